"""The codec of OpenAI's chat completions, and of everything that speaks them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from services.core.errors import Failure, FailureKind
from services.core.policy.snapshot import Target
from services.dataplane.exchange import (
    ChatAnswer,
    ChatRequest,
    Failed,
    Finished,
    Started,
    StreamDecoder,
    StreamEvent,
    Terminal,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from services.dataplane.providers.openai_encode import encode_body
from services.dataplane.providers.openai_errors import classify, error_object, in_stream
from services.dataplane.providers.openai_wire import (
    WireAnswer,
    WireMessage,
    WireToolCall,
    decode_answer,
    is_empty,
    text_of,
    to_usage,
)
from services.dataplane.sse import SseOverflow, SseParser

DONE = b"[DONE]"
_FORWARDED = ("x-title", "http-referer", "idempotency-key")

TRUNCATED = Failure(FailureKind.STREAM_TRUNCATED, "the stream ended without its terminal event")
NOT_PROTOCOL = Failure(FailureKind.BAD_RESPONSE, "the provider's answer is not a chat completion")
EMPTY = Failure(FailureKind.EMPTY_ANSWER, "the provider's answer holds nothing, and no reason for it")
NOT_JSON = Failure(FailureKind.BAD_RESPONSE, "the stream holds a chunk that is not JSON")


class OpenAiCodec:
    """Stateless; one per process."""

    types: tuple[str, ...] = ("openai", "openai_compatible")
    api = "chat.completions"
    finish_ends = True

    def endpoint(self, target: Target) -> str:
        return f"{target.provider.base_url}/chat/completions"

    def headers(self, target: Target, credential: str, inbound: Mapping[str, str]) -> dict[str, str]:
        headers = {"content-type": "application/json", "user-agent": "turnout"}
        headers.update({name: inbound[name] for name in _FORWARDED if name in inbound})
        headers.update({name.lower(): value for name, value in target.provider.headers.items()})
        if credential:
            headers["authorization"] = f"Bearer {credential}"
        return headers

    def encode(self, request: ChatRequest, target: Target) -> tuple[bytes, list[str]]:
        body, dropped = encode_body(request, target.upstream_model, proper=target.provider.type == "openai")
        return msgspec.json.encode(body), dropped

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return classify(status, headers, body)

    def decode(self, body: bytes) -> ChatAnswer | Failure:
        answer = read_answer(body)
        if isinstance(answer, Failure):
            return answer
        assert answer.choices, "read_answer refuses answers without choices"
        choice = answer.choices[0]
        message = choice.message or WireMessage()
        return ChatAnswer(
            id=answer.id or "",
            parts=_parts(message),
            finish_reason=choice.finish_reason or "stop",
            usage=to_usage(answer.usage) if answer.usage is not None else None,
            created=int(answer.created or 0),
            refusal=message.refusal or "",
        )

    def decoder(self) -> StreamDecoder:
        return OpenAiStreamDecoder()


def read_answer(body: bytes) -> WireAnswer | Failure:
    """A whole answer that is one: JSON, no error inside, at least one choice, not empty."""
    try:
        answer = decode_answer(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        error = error_object(body)
        return in_stream(error) if isinstance(error, Mapping) and ("code" in error or "type" in error) else NOT_PROTOCOL
    if answer.error:
        return in_stream(answer.error)
    if not answer.choices:
        return NOT_PROTOCOL
    return EMPTY if is_empty(answer) else answer


def _parts(message: WireMessage) -> tuple[Text | Thinking | ToolCall, ...]:
    parts: list[Text | Thinking | ToolCall] = []
    thought = message.reasoning_content or message.reasoning
    if thought:
        parts.append(Thinking(thought))
    text = text_of(message.content)
    if text:
        parts.append(Text(text))
    for index, call in enumerate(message.tool_calls or ()):
        parts.append(ToolCall(call.id or f"call_{index}", _name(call), _arguments(call)))
    return tuple(parts)


def _name(call: WireToolCall) -> str:
    return (call.function.name if call.function is not None else None) or ""


def _arguments(call: WireToolCall) -> str:
    arguments = call.function.arguments if call.function is not None else None
    if isinstance(arguments, dict):
        # Some compatible servers send an object where the protocol has text.
        return msgspec.json.encode(arguments).decode()
    return arguments or ""


class OpenAiStreamDecoder:
    """Decodes one stream.

    The terminal event is `[DONE]`. Servers that leave it out end after a chunk with a finish
    reason; a clean end after that counts as whole, an end before it as truncated.
    """

    def __init__(self) -> None:
        self._parser = SseParser()
        self._started = False
        self._finished = False
        self._over = False
        self._calls: dict[int, int] = {}

    def feed(self, data: bytes) -> Sequence[StreamEvent]:
        if self._over:
            return ()
        out: list[StreamEvent] = []
        try:
            events = self._parser.feed(data)
        except SseOverflow as error:
            return [self._fail(Failure(FailureKind.BAD_RESPONSE, str(error)))]
        for event in events:
            if event.data == DONE:
                self._over = True
                # Without a finish reason the model never said that it was done.
                out.append(Terminal() if self._finished else Failed(TRUNCATED))
                return out
            try:
                chunk = decode_answer(event.data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                out.append(self._fail(NOT_JSON))
                return out
            if chunk.error or event.event == "error":
                out.append(self._fail(in_stream(chunk.error or error_object(event.data))))
                return out
            self._read(chunk, out)
        return out

    def _fail(self, failure: Failure) -> Failed:
        self._over = True
        return Failed(failure)

    def _read(self, chunk: WireAnswer, out: list[StreamEvent]) -> None:
        # Azure says what it filtered before the answer begins, in a chunk without an id.
        if not self._started and (chunk.id or chunk.choices):
            self._started = True
            out.append(Started(chunk.id or "", created=int(chunk.created or 0)))
        for choice in chunk.choices or ():
            if choice.index:
                continue  # other dialects have one answer
            if choice.delta is not None:
                self._read_delta(choice.delta, out)
            if choice.finish_reason:
                self._finished = True
                out.append(Finished(choice.finish_reason))
        if chunk.usage is not None:
            out.append(UsageReported(to_usage(chunk.usage)))

    def _read_delta(self, delta: WireMessage, out: list[StreamEvent]) -> None:
        thought = delta.reasoning_content or delta.reasoning
        if thought:
            out.append(ThinkingDelta(thought))
        text = text_of(delta.content) or delta.refusal
        if text:
            out.append(TextDelta(text))
        for position, call in enumerate(delta.tool_calls or ()):
            number = call.index if call.index is not None else position
            if number not in self._calls:
                self._calls[number] = len(self._calls)
                out.append(ToolCallStarted(self._calls[number], call.id or f"call_{number}", _name(call)))
            arguments = _arguments(call)
            if arguments:
                out.append(ToolCallDelta(self._calls[number], arguments))

    def end(self) -> Sequence[StreamEvent]:
        if self._over:
            return ()
        out: list[StreamEvent] = []
        if self._parser.rest().strip():
            out.extend(self.feed(b"\n\n"))
            if self._finished and out and out[-1] == Failed(NOT_JSON):
                # Half an event behind the finish reason, such as a piece of [DONE]: it is dropped, as SSE says.
                out.pop()
                self._over = False
        if not self._over:
            self._over = True
            out.append(Terminal() if self._finished else Failed(TRUNCATED))
        return out
