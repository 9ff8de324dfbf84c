"""The typed gRPC API as a dialect: messages of `turnout.inference.v1` instead of JSON.

A stream's frames are ChatEvents, each after its length; `split_events` takes
them apart again. Errors stay what they are: the gRPC handler turns them into statuses.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from google.protobuf.message import DecodeError
from turnout.inference.v1 import chat_pb2

from services.core.attempts.effects import Kind
from services.core.errors import InvalidRequest, RouterError
from services.core.routing.context import RequestContext
from services.core.routing.plan import Candidate
from services.dataplane.codec import CodecFor
from services.dataplane.exchange import (
    AnswerPart,
    ChatAnswer,
    ChatRequest,
    Finished,
    Image,
    Message,
    Part,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
)
from services.dataplane.mending import is_mendable, mended
from services.dataplane.translate import CrossTranslation, laid_over
from services.dataplane.translation import EVENT_STREAM, STREAM_HEADER, Emitted, Evidence, InboundRequest, Translation
from services.wire.needs import least_tokens
from services.wire.structs import plain_struct

_ROLES = {"system", "developer", "user", "assistant", "tool"}


class TypedChat:
    """The dialect. Stateless; one per process."""

    api = "typed"

    def __init__(self, codec_for: CodecFor) -> None:
        self._codec_for = codec_for

    def read(self, body: bytes, headers: Mapping[str, str]) -> InboundRequest:
        try:
            request = chat_pb2.ChatRequest.FromString(body)
        except DecodeError as error:
            raise InvalidRequest("the request is not a ChatRequest") from error
        stream = headers.get(STREAM_HEADER) == "true"
        return _TypedRequest(self._codec_for, request, stream=stream)

    def error(self, error: RouterError, evidence: Evidence | None) -> tuple[int, bytes]:
        del evidence
        return error.status, b""


class _TypedRequest:
    """One request."""

    frames_type = EVENT_STREAM

    def __init__(self, codec_for: CodecFor, request: chat_pb2.ChatRequest, *, stream: bool) -> None:
        if not request.model and not request.models:
            raise InvalidRequest("`model` is missing", param="model")
        self.stream = stream
        self._codec_for = codec_for
        self._request = request
        self._chat = _read(request, stream=stream)
        parts = [p for m in self._chat.messages for p in m.parts]
        needs = {"tools"} if request.tools else set()
        needs |= {"vision"} if any(isinstance(p, Image) for p in parts) else set()
        texts = "".join(p.text for p in parts if isinstance(p, Text))
        self.restartable = False
        self.context = RequestContext(
            model=request.model,
            models=tuple(request.models),
            metadata=plain_struct(request.metadata),
            user=request.user,
            needs=frozenset(needs),
            least_tokens=least_tokens(texts.encode(), needs),
        )

    def condition_messages(self) -> tuple[Mapping[str, Any], ...]:
        texts = ("\n".join(p.text for p in m.parts if isinstance(p, Text)) for m in self._chat.messages)
        return tuple({"role": m.role, "content": t} for m, t in zip(self._chat.messages, texts, strict=True))

    def translate(self, candidate: Candidate) -> Translation:
        codec = self._codec_for(candidate.target, TypedChat.api)
        request = laid_over(self._chat, candidate, self.context.metadata)
        return CrossTranslation(codec, candidate, request, TypedWriter(candidate.target.model), {})

    def mendable(self) -> bool:
        return is_mendable(self._chat)

    def mend(self, candidate: Candidate, kind: Kind, emitted: Emitted) -> Translation:
        codec = self._codec_for(candidate.target, TypedChat.api)
        request = laid_over(self._chat, candidate, self.context.metadata)
        writer = TypedWriter(candidate.target.model)
        return mended(codec, candidate, request, writer, {}, kind=kind, emitted=emitted)

    def restart_frame(self, evidence: Evidence) -> bytes:
        raise AssertionError("typed callers are never restarted")


class TypedWriter:
    """Writes one answer as messages; the record is filled in by the service, once the request has ended."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._id = ""
        self._finish = "stop"

    def answer(self, answer: ChatAnswer, evidence: Evidence) -> bytes:
        del evidence
        message = chat_pb2.Message(role="assistant")
        reasoning = []
        for part in answer.parts:
            if isinstance(part, Text):
                message.parts.add(text=part.text)
            elif isinstance(part, ToolCall):
                message.tool_calls.add(id=part.id, name=part.name, arguments=part.arguments)
            elif isinstance(part, Thinking):
                reasoning.append(part.text)
        response = chat_pb2.ChatResponse(
            id=answer.id,
            model=self._model,
            message=message,
            reasoning="".join(reasoning),
            finish_reason=answer.finish_reason,
        )
        return response.SerializeToString()

    def loss(self, item: AnswerPart | StreamEvent) -> str:
        del item
        return ""

    def carry_on(self, emitted: Emitted) -> None:
        self._id = emitted.response_id

    def frames(self, events: Sequence[StreamEvent]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if isinstance(event, Started):
                self._id = self._id or event.id
            elif isinstance(event, Finished):
                self._finish = event.reason
            elif isinstance(event, TextDelta):
                out.append(_framed(chat_pb2.ChatEvent(text=event.text)))
            elif isinstance(event, ThinkingDelta) and event.text:
                out.append(_framed(chat_pb2.ChatEvent(reasoning=event.text)))
            elif isinstance(event, ToolCallStarted):
                delta = chat_pb2.ToolCallDelta(index=event.index, id=event.id, name=event.name)
                out.append(_framed(chat_pb2.ChatEvent(tool_call=delta)))
            elif isinstance(event, ToolCallDelta):
                delta = chat_pb2.ToolCallDelta(index=event.index, arguments=event.arguments)
                out.append(_framed(chat_pb2.ChatEvent(tool_call=delta)))
        return b"".join(out)

    def closing(self, evidence: Evidence) -> bytes:
        end = chat_pb2.ChatEnd(id=self._id or evidence.generation_id, model=self._model, finish_reason=self._finish)
        return _framed(chat_pb2.ChatEvent(end=end))

    def broken(self, error: RouterError, evidence: Evidence) -> bytes:
        del error, evidence
        return b""


def _framed(event: chat_pb2.ChatEvent) -> bytes:
    body = event.SerializeToString()
    return len(body).to_bytes(4, "big") + body


def split_events(data: bytes) -> Iterator[chat_pb2.ChatEvent]:
    """The events of whole frames."""
    at = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        yield chat_pb2.ChatEvent.FromString(data[at + 4 : end])
        at = end


def _read(request: chat_pb2.ChatRequest, *, stream: bool) -> ChatRequest:
    def given(name: Literal["max_tokens", "temperature", "top_p", "seed"]) -> Any:
        return getattr(request, name) if request.HasField(name) else None

    choice = request.tool_choice
    if choice not in {"", "auto", "none", "required"}:
        choice = f"tool:{choice}"
    return ChatRequest(
        messages=tuple(_message(m, f"messages[{i}]") for i, m in enumerate(request.messages)),
        stream=stream,
        tools=tuple(Tool(t.name, t.description, plain_struct(t.parameters) or None) for t in request.tools),
        tool_choice=choice,
        max_tokens=given("max_tokens"),
        temperature=given("temperature"),
        top_p=given("top_p"),
        stop=tuple(request.stop),
        seed=given("seed"),
        user=request.user,
    )


def _message(message: chat_pb2.Message, path: str) -> Message:
    if message.role not in _ROLES:
        raise InvalidRequest(f"`{path}.role` must be one of {', '.join(sorted(_ROLES))}", param=f"{path}.role")
    parts: list[Part] = [_part(p) for p in message.parts]
    if message.role == "tool":
        content = tuple(p for p in parts if isinstance(p, (Text, Image)))
        return Message("user", (ToolResult(message.tool_call_id, content),))
    parts += [ToolCall(c.id, c.name, c.arguments) for c in message.tool_calls]
    return Message(message.role, tuple(parts), message.name)


def _part(part: chat_pb2.Part) -> Text | Image | Thinking:
    if part.WhichOneof("content") != "image":
        return Text(part.text)
    image = part.image
    data = base64.b64encode(image.data).decode() if image.data else ""
    return Image(url=image.url, data=data, media_type=image.media_type, detail=image.detail)
