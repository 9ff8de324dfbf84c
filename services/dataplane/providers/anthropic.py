"""The codec of Anthropic's messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from services.core.errors import Failure, FailureKind
from services.core.policy.snapshot import Target
from services.dataplane.codec import StreamDecoder
from services.dataplane.exchange import (
    EMPTY,
    TRUNCATED,
    AnswerPart,
    ChatAnswer,
    ChatRequest,
    CitationDelta,
    Failed,
    Finished,
    Started,
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
from services.dataplane.providers.anthropic_encode import encode_body
from services.dataplane.providers.anthropic_errors import classify, in_stream
from services.dataplane.providers.anthropic_wire import (
    FINISH_REASONS,
    WireBlock,
    WireEvent,
    WireMessage,
    WireUsage,
    cited,
    decode_event,
    decode_message,
    is_empty,
    merged,
    to_citation,
    to_usage,
)
from services.dataplane.providers.openai_errors import error_object
from services.dataplane.sse import ERROR, SseOverflow, SseParser
from services.dataplane.transport.port import UpstreamRequest

DEFAULT_VERSION = "2023-06-01"
VENDOR = "anthropic"
"""Who can read the proofs of its reasoning."""
_FORWARDED = ("anthropic-version", "anthropic-beta", "idempotency-key")

NOT_PROTOCOL = Failure(FailureKind.BAD_RESPONSE, "the provider's answer is not a message")
TWO_STARTS = Failure(FailureKind.BAD_RESPONSE, "the stream begins a second message inside the first")
NOT_JSON = Failure(FailureKind.BAD_RESPONSE, "the stream holds an event that is not JSON")


class AnthropicCodec:
    """Stateless; one per process."""

    protocols: tuple[str, ...] = ("anthropic",)
    api = "messages"
    finish_ends = False
    stream_type = "event-stream"

    def request(
        self, target: Target, credential: str, body: bytes, inbound: Mapping[str, str], *, stream: bool
    ) -> UpstreamRequest:
        del stream
        headers = {"content-type": "application/json", "user-agent": "turnout", "anthropic-version": DEFAULT_VERSION}
        headers.update({name: inbound[name] for name in _FORWARDED if name in inbound})
        headers.update({name.lower(): value for name, value in target.provider.headers.items()})
        if credential:
            headers["x-api-key"] = credential
        return UpstreamRequest(f"{target.provider.base_url}/v1/messages", headers, body)

    def encode(self, request: ChatRequest, target: Target) -> tuple[bytes, list[str]]:
        body, dropped = encode_body(request, target.upstream_model)
        return msgspec.json.encode(body), dropped

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return classify(status, headers, body)

    def decode(self, body: bytes) -> ChatAnswer | Failure:
        message = read_message(body)
        if isinstance(message, Failure):
            return message
        return ChatAnswer(
            id=message.id,
            parts=_parts(message.content or ()),
            finish_reason=FINISH_REASONS.get(message.stop_reason or "", "stop"),
            native_finish_reason=message.stop_reason or "",
            usage=to_usage(message.usage) if message.usage is not None else None,
            stop_sequence=message.stop_sequence or "",
        )

    def decoder(self) -> StreamDecoder:
        return AnthropicStreamDecoder()


def read_message(body: bytes) -> WireMessage | Failure:
    """A whole answer that is one: JSON, no error inside, not empty without a reason."""
    try:
        message = decode_message(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NOT_PROTOCOL
    if message.type == "error" or message.error:
        return in_stream(message.error)
    if message.content is None:
        return NOT_PROTOCOL
    return EMPTY if is_empty(message) else message


def _parts(blocks: Sequence[WireBlock]) -> tuple[AnswerPart, ...]:
    """The parts of an answer; what the provider's own tools did is none of them."""
    parts: list[AnswerPart] = []
    said = 0
    for block in blocks:
        part = _part(block, said)
        if part is not None:
            parts.append(part)
        said += len(block.text or "") if block.type == "text" else 0
    return tuple(parts)


def _part(block: WireBlock, said: int) -> AnswerPart | None:
    """A block as a part; `said`: characters of text before it."""
    if block.type == "text":
        text = block.text or ""
        found = (to_citation(wire, said, said + len(text)) for wire in cited(block))
        return Text(text, citations=tuple(c for c in found if c is not None))
    if block.type == "thinking":
        return Thinking(block.thinking or "", block.signature or "", vendor=VENDOR)
    if block.type == "redacted_thinking":
        return Thinking(redacted=block.data or "", vendor=VENDOR)
    if block.type == "tool_use":
        return ToolCall(block.id or "", block.name or "", bytes(block.input).decode())
    return None


class AnthropicStreamDecoder:
    """Decodes one stream; `message_stop` is its terminal event, if a stop reason came before it."""

    def __init__(self) -> None:
        self._parser = SseParser()
        self._over = False
        self._finished = False
        self._began = False
        self._usage: WireUsage | None = None
        self._calls: dict[int, int] = {}
        self._unspoken: dict[int, bytes] = {}
        self._said = 0
        self._block_from = 0
        self._cited: list[Any] = []

    def feed(self, data: bytes) -> Sequence[StreamEvent]:
        if self._over:
            return ()
        out: list[StreamEvent] = []
        try:
            events = self._parser.feed(data)
        except SseOverflow as error:
            self._over = True
            return [Failed(Failure(FailureKind.BAD_RESPONSE, str(error)))]
        for event in events:
            if event.event == ERROR:
                self._over = True
                out.append(Failed(in_stream(error_object(event.data))))
                break
            try:
                self._read(decode_event(event.data), out)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._over = True
                out.append(Failed(NOT_JSON))
            if self._over:
                break
        return out

    def _read(self, event: WireEvent, out: list[StreamEvent]) -> None:
        if event.type == "content_block_delta":
            self._read_delta(event, out)
        elif event.type == "content_block_start":
            self._read_start(event, out)
        elif event.type == "content_block_stop":
            self._cite(out)
            arguments = self._unspoken.pop(event.index, None)
            if arguments is not None:
                # No delta came: the input is what the block began with, mostly an empty object.
                out.append(ToolCallDelta(self._calls[event.index], arguments.decode()))
        elif event.type == "message_start" and self._began:
            self._over = True
            out.append(Failed(TWO_STARTS))
        elif event.type == "message_start" and event.message is not None:
            self._usage = event.message.usage
            out.append(Started(event.message.id, to_usage(self._usage) if self._usage is not None else None))
        elif event.type == "message_delta":
            if event.usage is not None:
                self._usage = merged(self._usage, event.usage)
                out.append(UsageReported(to_usage(self._usage)))
            if event.delta is not None and event.delta.stop_reason:
                self._finished = True
                reason = FINISH_REASONS.get(event.delta.stop_reason, "stop")
                out.append(Finished(reason, event.delta.stop_sequence or "", event.delta.stop_reason))
        elif event.type == "message_stop":
            self._over = True
            # Without a stop reason the model never said that it was done.
            out.append(Terminal() if self._finished else Failed(TRUNCATED))
        elif event.type == "error":
            self._over = True
            out.append(Failed(in_stream(event.error)))

    def _read_start(self, event: WireEvent, out: list[StreamEvent]) -> None:
        block = event.content_block
        self._began = True
        if block is None:
            return
        self._block_from = self._said
        if block.type == "tool_use":
            self._calls[event.index] = len(self._calls)
            self._unspoken[event.index] = bytes(block.input)
            out.append(ToolCallStarted(self._calls[event.index], block.id or "", block.name or ""))
        elif block.type == "redacted_thinking":
            out.append(ThinkingDelta(redacted=block.data or "", vendor=VENDOR))
        elif block.type == "text":
            self._cited.extend(cited(block))
            self._say(block.text, out)
        elif block.type == "thinking" and block.thinking:
            out.append(ThinkingDelta(block.thinking, vendor=VENDOR))

    def _say(self, text: str | None, out: list[StreamEvent]) -> None:
        if text:
            self._said += len(text)
            out.append(TextDelta(text))

    def _cite(self, out: list[StreamEvent]) -> None:
        """The citations of the block that ends: only now is it known how much text they belong to."""
        found = (to_citation(wire, self._block_from, self._said) for wire in self._cited)
        out.extend(CitationDelta(citation) for citation in found if citation is not None)
        self._cited.clear()

    def _read_delta(self, event: WireEvent, out: list[StreamEvent]) -> None:
        delta = event.delta
        if delta is None:
            return
        if delta.text:
            self._say(delta.text, out)
        elif delta.citation is not None:
            self._cited.append(delta.citation)
        elif delta.thinking:
            out.append(ThinkingDelta(delta.thinking, vendor=VENDOR))
        elif delta.signature:
            out.append(ThinkingDelta(signature=delta.signature, vendor=VENDOR))
        elif delta.partial_json and event.index in self._calls:
            self._unspoken.pop(event.index, None)
            out.append(ToolCallDelta(self._calls[event.index], delta.partial_json))

    def end(self) -> Sequence[StreamEvent]:
        if self._over:
            return ()
        out: list[StreamEvent] = []
        if self._parser.rest().strip():
            out.extend(self.feed(b"\n\n"))
        if not self._over:
            self._over = True
            out.append(Failed(TRUNCATED))
        return out
