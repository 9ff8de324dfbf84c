"""Callers of every API that read as strict clients do and tell what they have in the end."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import aiohttp
import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from turnout.inference.v1 import chat_pb2
from turnout.inference.v1.inference_service_pb2_grpc import InferenceServiceStub

from tests.support.asking import address
from tests.support.evil import FIRST
from tests.support.inprocess import KEY
from tests.support.matrix import Answer, Cell, body_of, error_body, shown_attempts
from tests.support.streams import METADATA, blocked_prompt, read_error, read_stream, read_typed, read_whole

DIALECTS = {
    "chat.completions": "chat",
    "messages": "messages",
    "openrouter.chat.completions": "chat",
    "responses": "responses",
    "generateContent": "generateContent",
}


class Callers:
    """One HTTP session and one gRPC channel for all calls of a run.

    Args:
        shown: Told a cell's number when its caller has the first content.
    """

    def __init__(self, url: str, channel: grpc.aio.Channel, shown: Callable[[int], None]) -> None:
        self._http = aiohttp.ClientSession(url, headers={"authorization": f"Bearer {KEY}"})
        self._stub: Any = InferenceServiceStub(channel)
        self._shown = shown

    async def aclose(self) -> None:
        await self._http.close()

    async def ask(self, cell: Cell) -> Answer:
        """Make a cell's request; what a strict client trips over is the answer's problem."""
        if cell.api == "typed":
            return await (self._typed_stream(cell) if cell.stream else self._typed(cell))
        text = ""
        async with self._http.post(address(cell.api, cell.model, stream=cell.stream), json=body_of(cell)) as response:
            async for piece in response.content.iter_any():
                text += piece.decode("latin-1")
                if FIRST in text:
                    self._shown(cell.number)
        text = text.encode("latin-1").decode()
        answer = Answer(status=response.status)
        try:
            if response.content_type == "text/event-stream":
                _read_stream(DIALECTS[cell.api], text, answer)
            else:
                _read_body(DIALECTS[cell.api], error_body(text), answer)
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            answer.problem = f"{type(error).__name__}: {error}; {text[-300:]!r}"
        return answer

    async def _typed(self, cell: Cell) -> Answer:
        try:
            response = await self._stub.CreateChatCompletion(_typed_request(cell), metadata=_METADATA)
        except grpc.aio.AioRpcError as error:
            return _refused(error, Answer())
        text = "".join(part.text for part in response.message.parts)
        problem = "" if response.id and response.finish_reason else "an answer without id or finish reason"
        return Answer(text, whole=True, attempts=_of_record(response.record), problem=problem)

    async def _typed_stream(self, cell: Cell) -> Answer:
        events: list[chat_pb2.ChatEvent] = []
        answer, failed = Answer(), None
        try:
            async for event in self._stub.StreamChatCompletion(_typed_request(cell), metadata=_METADATA):
                events.append(event)
                if event.text == FIRST:
                    self._shown(cell.number)
        except grpc.aio.AioRpcError as error:
            failed = error
            _refused(error, answer)
        try:
            read = read_typed(events, failed)
        except AssertionError as error:
            answer.problem = f"{error}; {events}"
            return answer
        answer.text, answer.whole = read.text, read.whole
        if read.whole:
            answer.attempts = _of_record(events[-1].end.record)
        return answer


def _read_stream(dialect: str, text: str, answer: Answer) -> None:
    read = read_stream(dialect, text)
    answer.text, answer.whole, answer.error = read.text, read.whole, read.error
    answer.attempts = shown_attempts(read.metadata)


def _read_body(dialect: str, body: Any, answer: Answer) -> None:
    blocked = blocked_prompt(body) if dialect == "generateContent" else None
    if blocked is not None:
        answer.error = blocked
    elif answer.status == 200:
        answer.text, answer.whole = read_whole(dialect, body), True
    else:
        answer.error = read_error(dialect, body)
    name = METADATA.get(dialect, "metadata")
    if name in body:
        answer.attempts = shown_attempts(body[name])


_METADATA = (("authorization", f"Bearer {KEY}"),)


def _typed_request(cell: Cell) -> chat_pb2.ChatRequest:
    message = chat_pb2.Message(role="user", parts=[chat_pb2.Part(text="Say it.")])
    return chat_pb2.ChatRequest(model=cell.model, models=[cell.fallback_model], messages=[message])


def _of_record(record: Any) -> list[tuple[str, bool]]:
    return [(attempt.model, attempt.success) for attempt in record.attempts]


def _refused(error: grpc.aio.AioRpcError, answer: Answer) -> Answer:
    """An error status, with exactly one ErrorInfo of ours."""
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    found = [detail for detail in status.details if detail.Unpack(info)] if status is not None else []
    answer.status = int(info.metadata.get("http_status", "0"))
    answer.error = {"message": error.details(), "reason": info.reason, "fields": json.dumps(dict(info.metadata))}
    if len(found) != 1 or info.domain != "turnout" or info.reason != "CHAIN_FAILED":
        answer.problem = f"a status without a reason: {error.code()} {error.details()}"
    return answer
