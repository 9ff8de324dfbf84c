"""Decodes the event streams of ConverseStream.

A stream is whole when its stop reason came and its metadata, in whatever order; a stream that closes
cleanly behind the stop reason is whole too, and only lacks its usage.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from services.core.errors import Failure, FailureKind
from services.dataplane.eventstream import EventMessage, EventStreamParser, NotEventStream
from services.dataplane.exchange import (
    TRUNCATED,
    CitationDelta,
    Failed,
    Finished,
    ImageDelta,
    Started,
    StreamEvent,
    Terminal,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from services.dataplane.providers.bedrock_errors import in_stream
from services.dataplane.providers.bedrock_wire import (
    ANTHROPIC,
    SERVER_TOOL,
    WireDelta,
    WireEvent,
    WireImage,
    WireReasoning,
    citation_of,
    decode_event,
    finish_of,
    image_of,
    malformed,
    revealed,
    stop_sequence_of,
    to_usage,
)

NOT_JSON = Failure(FailureKind.BAD_RESPONSE, "the stream holds an event that is not JSON")
TWO_STARTS = Failure(FailureKind.BAD_RESPONSE, "the stream begins a second message inside the first")


class BedrockStreamDecoder:
    """Decodes one stream."""

    def __init__(self) -> None:
        self._parser = EventStreamParser()
        self._over = False
        self._began = False
        self._finished = False
        self._counted = False
        self._calls: dict[int, int] = {}
        self._silent: set[int] = set()
        """Calls whose arguments have not come yet."""
        self._chars = 0
        self._block_from: dict[int, int] = {}
        """Where the text of a block begins in the answer's."""
        self._images: dict[int, WireImage] = {}

    def feed(self, data: bytes) -> Sequence[StreamEvent]:
        if self._over:
            return ()
        out: list[StreamEvent] = []
        try:
            for message in self._parser.feed(data):
                self._message(message, out)
                if self._over:
                    break
        except NotEventStream as error:
            self._fail(Failure(FailureKind.BAD_RESPONSE, str(error)), out)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self._fail(NOT_JSON, out)
        return out

    def _fail(self, failure: Failure, out: list[StreamEvent]) -> None:
        self._over = True
        out.append(Failed(failure))

    def _message(self, message: EventMessage, out: list[StreamEvent]) -> None:
        headers = message.headers
        if headers.get(":message-type", "event") != "event":
            name = headers.get(":exception-type") or headers.get(":error-code") or ""
            self._fail(in_stream(name, message.payload), out)
            return
        kind = headers.get(":event-type")
        if kind == "contentBlockDelta":
            event = decode_event(message.payload)
            if event.delta is not None:
                self._began = True
                self._delta(event.content_block_index, event.delta, out)
        elif kind == "contentBlockStart":
            self._began = True
            self._start(decode_event(message.payload), out)
        elif kind == "contentBlockStop":
            self._stop(decode_event(message.payload).content_block_index, out)
        elif kind == "messageStart":
            if self._began:
                self._fail(TWO_STARTS, out)
            else:
                out.append(Started())
        elif kind == "messageStop":
            self._finish(decode_event(message.payload), out)
        elif kind == "metadata":
            self._count(decode_event(message.payload), out)

    def _start(self, event: WireEvent, out: list[StreamEvent]) -> None:
        index, start = event.content_block_index, event.start
        if start is None:
            return
        tool = start.tool_use
        if tool is not None and tool.type != SERVER_TOOL:
            self._calls[index] = len(self._calls)
            self._silent.add(index)
            out.append(ToolCallStarted(self._calls[index], tool.tool_use_id, tool.name))
        elif start.image is not None:
            self._images[index] = start.image

    def _delta(self, index: int, delta: WireDelta, out: list[StreamEvent]) -> None:
        if delta.text:
            self._block_from.setdefault(index, self._chars)
            self._chars += len(delta.text)
            out.append(TextDelta(delta.text))
        elif delta.reasoning_content is not None:
            thought = _thought(delta.reasoning_content)
            if thought is not None:
                out.append(thought)
        elif delta.tool_use is not None:
            if delta.tool_use.input and index in self._calls:
                self._silent.discard(index)
                out.append(ToolCallDelta(self._calls[index], delta.tool_use.input))
        elif delta.citation is not None:
            start = self._block_from.get(index, self._chars)
            out.append(CitationDelta(citation_of(delta.citation, start, self._chars)))
        elif delta.image is not None:
            known = self._images.get(index, WireImage())
            source = delta.image.source or known.source
            self._images[index] = WireImage(known.format or delta.image.format, source)

    def _stop(self, index: int, out: list[StreamEvent]) -> None:
        if index in self._silent:
            # A call without arguments: their JSON is the empty object, which nobody wrote.
            self._silent.discard(index)
            out.append(ToolCallDelta(self._calls[index], "{}"))
        image = image_of(self._images.pop(index, WireImage()))
        if image is not None:
            out.append(ImageDelta(image))

    def _finish(self, event: WireEvent, out: list[StreamEvent]) -> None:
        failure = malformed(event.stop_reason)
        if failure is not None:
            self._fail(failure, out)
            return
        if not event.stop_reason:
            return
        self._finished = True
        reason = finish_of(event.stop_reason, calls=bool(self._calls))
        stopped_by = stop_sequence_of(event.additional_model_response_fields)
        out.append(Finished(reason, stopped_by, native=event.stop_reason))
        self._end_if_whole(out)

    def _count(self, event: WireEvent, out: list[StreamEvent]) -> None:
        self._counted = True
        if event.usage is not None:
            out.append(UsageReported(to_usage(event.usage, event.service_tier)))
        self._end_if_whole(out)

    def _end_if_whole(self, out: list[StreamEvent]) -> None:
        if self._finished and self._counted:
            self._over = True
            out.append(Terminal())

    def end(self) -> Sequence[StreamEvent]:
        if self._over:
            return ()
        self._over = True
        if self._finished:
            # Whatever of the metadata came: the answer itself is there.
            return (Terminal(),)
        return (Failed(TRUNCATED),)


def _thought(reasoning: WireReasoning) -> ThinkingDelta | None:
    if reasoning.redacted_content:
        return ThinkingDelta(redacted=revealed(reasoning.redacted_content), vendor=ANTHROPIC)
    if reasoning.text:
        return ThinkingDelta(reasoning.text)
    return ThinkingDelta(signature=reasoning.signature, vendor=ANTHROPIC) if reasoning.signature else None
