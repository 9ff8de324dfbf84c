"""The codec of Cohere's v2 chat API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from services.core.errors import Failure, FailureKind
from services.core.numbers import count_of
from services.core.policy.snapshot import Target
from services.dataplane.codec import StreamDecoder
from services.dataplane.exchange import (
    EMPTY,
    TRUNCATED,
    ChatAnswer,
    ChatRequest,
    CitationDelta,
    Failed,
    Finished,
    Started,
    StreamEvent,
    Terminal,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from services.dataplane.providers import openai_errors
from services.dataplane.providers.cohere_encode import encode_body
from services.dataplane.providers.cohere_wire import (
    FAILURES,
    FINISHES,
    VENDOR,
    Offsets,
    calls_in,
    citations,
    has_arguments,
    is_call,
    member,
    parts_of,
    rows,
    text,
    tokens_of,
    usage_of,
)
from services.dataplane.sse import ERROR, SseOverflow, SseParser
from services.dataplane.transport.port import UpstreamRequest

NOT_PROTOCOL = Failure(FailureKind.BAD_RESPONSE, "the provider's answer is not one of Cohere's chat API")
NOT_JSON = Failure(FailureKind.BAD_RESPONSE, "the stream holds an event that is not a JSON object")
NO_CALL = Failure(
    FailureKind.BAD_RESPONSE, "the answer holds a tool call that is none: it has no name, or arguments that are no text"
)
GOES_BACK = Failure(FailureKind.BAD_RESPONSE, "the stream goes back to a tool call after the next one has begun")
_INVALID_TOKEN = 498


class CohereCodec:
    """Stateless; one per process."""

    protocols: tuple[str, ...] = ("cohere",)
    api = ""
    finish_ends = False
    stream_type = "event-stream"

    def request(
        self, target: Target, credential: str, body: bytes, inbound: Mapping[str, str], *, stream: bool
    ) -> UpstreamRequest:
        del inbound
        accepted = "text/event-stream" if stream else "application/json"
        headers = {"content-type": "application/json", "accept": accepted, "user-agent": "turnout"}
        headers.update({name.lower(): value for name, value in target.provider.headers.items()})
        if credential:
            headers["authorization"] = f"Bearer {credential}"
        return UpstreamRequest(f"{target.provider.base_url}/chat", headers, body)

    def encode(self, request: ChatRequest, target: Target) -> tuple[bytes, list[str]]:
        body, dropped = encode_body(request, target.upstream_model)
        return msgspec.json.encode(body), dropped

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        failure = openai_errors.classify(status, headers, body)
        # Elsewhere that status says something about capacity.
        return replace(failure, kind=FailureKind.CREDENTIALS_REJECTED) if status == _INVALID_TOKEN else failure

    def decode(self, body: bytes) -> ChatAnswer | Failure:
        try:
            answer = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return NOT_PROTOCOL
        message, reason = member(answer, "message"), text(member(answer, "finish_reason"))
        if reason in FAILURES:
            return _failed(answer)
        if not isinstance(message, Mapping):
            return openai_errors.in_stream(answer) if isinstance(message, str) else NOT_PROTOCOL
        calls = calls_in(message)
        if not all(map(is_call, calls)):
            return NO_CALL
        parts, usage = parts_of(message, answer.get("logprobs")), usage_of(answer.get("usage"))
        finish = _finish(reason, called=bool(calls))
        if not parts and finish == "stop" and (usage is None or not usage.output_tokens):
            return EMPTY
        return ChatAnswer(text(answer.get("id")), parts, finish, usage)

    def decoder(self) -> StreamDecoder:
        return CohereStreamDecoder()


def _finish(reason: str, *, called: bool) -> str:
    return FINISHES.get(reason, "tool_calls" if called else "stop")


def _failed(told: Any) -> Failure:
    """An answer that ends as an error; which one, its `error_type` says."""
    code = openai_errors.code_of(member(told, "error_type"))
    kind = openai_errors.BY_CODE.get(code, FailureKind.SERVER_ERROR)
    return Failure(kind, f"the answer ended as an error ({code or text(member(told, 'finish_reason'))})", code=code)


class CohereStreamDecoder:
    """Decodes one stream; `message-end` is its terminal event. What may follow it, such as [DONE], says nothing."""

    def __init__(self) -> None:
        self._parser = SseParser()
        self._offsets = Offsets()
        self._over = False
        self._calls = 0
        self._number = -1
        self._spoken = True

    def feed(self, data: bytes) -> Sequence[StreamEvent]:
        out: list[StreamEvent] = []
        if self._over:
            return out
        try:
            events = self._parser.feed(data)
        except SseOverflow as error:
            self._fail(Failure(FailureKind.BAD_RESPONSE, str(error)), out)
            return out
        for event in events:
            if event.event == ERROR:
                self._fail(openai_errors.in_stream(openai_errors.error_object(event.data)), out)
                break
            try:
                value = msgspec.json.decode(event.data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                value = None
            if isinstance(value, Mapping):
                self._read(value, out)
            elif event.data.startswith(b"[DONE]"):
                self._fail(TRUNCATED, out)  # the end, and no message-end before it
            else:
                self._fail(NOT_JSON, out)
            if self._over:
                break
        return out

    def _fail(self, failure: Failure, out: list[StreamEvent]) -> None:
        self._over = True
        out.append(Failed(failure))

    def _read(self, event: Mapping[str, Any], out: list[StreamEvent]) -> None:
        kind = text(event.get("type"))
        message = member(event, "delta", "message")
        if kind in ("content-delta", "content-start"):
            self._read_content(count_of(event.get("index")), event, out)
        elif kind == "tool-plan-delta":
            self._think(text(member(message, "tool_plan")), out)
        elif kind == "tool-call-start":
            self._start_call(event.get("index"), member(message, "tool_calls"), out)
        elif kind == "tool-call-delta":
            self._read_arguments(event.get("index"), member(message, "tool_calls"), out)
        elif kind == "tool-call-end":
            self._close_call(out)
        elif kind == "citation-start":
            for citation in rows(member(message, "citations")):
                out.extend(CitationDelta(found) for found in citations(citation, self._offsets))
        elif kind == "message-start":
            out.append(Started(text(event.get("id"))))
        elif kind == "message-end":
            self._end(event.get("delta"), out)
        elif not kind and isinstance(event.get("message"), str):
            self._fail(openai_errors.in_stream(event), out)

    def _read_content(self, index: int, event: Mapping[str, Any], out: list[StreamEvent]) -> None:
        content = member(event, "delta", "message", "content")
        self._think(text(member(content, "thinking")), out)
        said = text(member(content, "text"))
        if said:
            self._offsets.add(index, said)
            out.append(TextDelta(said, tuple(tokens_of(event.get("logprobs")))))

    def _think(self, thought: str, out: list[StreamEvent]) -> None:
        if thought:
            out.append(ThinkingDelta(thought, vendor=VENDOR))

    def _start_call(self, number: Any, call: Any, out: list[StreamEvent]) -> None:
        self._close_call(out)
        if not is_call(call):
            self._fail(NO_CALL, out)
            return
        index, self._number, self._spoken = self._calls, count_of(number), False
        self._calls += 1
        name = text(member(call, "function", "name"))
        out.append(ToolCallStarted(index, text(member(call, "id")) or f"call_{index}", name))
        self._read_arguments(number, call, out)

    def _read_arguments(self, number: Any, call: Any, out: list[StreamEvent]) -> None:
        if call is not None and not has_arguments(call):
            self._fail(NO_CALL, out)
            return
        piece = text(member(call, "function", "arguments"))
        if not piece:
            return
        if not self._calls or count_of(number) != self._number:
            self._fail(GOES_BACK, out)
            return
        self._spoken = True
        out.append(ToolCallDelta(self._calls - 1, piece))

    def _close_call(self, out: list[StreamEvent]) -> None:
        """Give the last call's arguments, if it came without any: an empty object, as everybody else writes it."""
        if not self._spoken:
            self._spoken = True
            out.append(ToolCallDelta(self._calls - 1, "{}"))

    def _end(self, delta: Any, out: list[StreamEvent]) -> None:
        reason = text(member(delta, "finish_reason"))
        if reason in FAILURES or (not reason and member(delta, "error")):
            self._fail(_failed(delta), out)
            return
        self._close_call(out)
        usage = usage_of(member(delta, "usage"))
        out.append(Finished(_finish(reason, called=self._calls > 0)))
        if usage is not None:
            out.append(UsageReported(usage))
        self._over = True
        out.append(Terminal())

    def end(self) -> Sequence[StreamEvent]:
        if self._over:
            return ()
        out: list[StreamEvent] = []
        if self._parser.rest().strip():
            out.extend(self.feed(b"\n\n"))
        if not self._over:
            self._fail(TRUNCATED, out)
        return out
