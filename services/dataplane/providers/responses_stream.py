"""Streams of OpenAI's Responses API as stream events.

Items come one after the other: a delta belongs to the item that began last. What a server did
not stream it tells at the end of the item, or of the answer; both are read, and nothing twice.
The terminal event is `response.completed`, `.incomplete` or `.failed`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from services.core.errors import Failure, FailureKind
from services.dataplane.exchange import (
    TRUNCATED,
    CitationDelta,
    Dropped,
    Failed,
    Finished,
    Image,
    ImageDelta,
    Started,
    StreamEvent,
    Terminal,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from services.dataplane.providers.openai_errors import error_object, in_stream
from services.dataplane.providers.responses_wire import (
    LIFE,
    TERMINALS,
    Item,
    Places,
    WireEvent,
    WireResponse,
    call_id,
    citation_of,
    decode_event,
    finish_of,
    has_no_place,
    is_refusal,
    items_of,
    logprobs_of,
    parts_of,
    text_in,
    thought_of,
    to_usage,
    vendor_of,
)
from services.dataplane.sse import ERROR, SseOverflow, SseParser

DONE = b"[DONE]"
NOT_JSON = Failure(FailureKind.BAD_RESPONSE, "the stream holds an event that is not JSON")
TWO_STARTS = Failure(FailureKind.BAD_RESPONSE, "the stream begins a second response inside the first")
BACKWARDS = Failure(FailureKind.BAD_RESPONSE, "the stream goes back to a tool call after the next item has begun")


@dataclass(slots=True)
class _Open:
    """What was streamed of an item. `call` is its number among the tool calls, -1: it is none."""

    call: int = -1
    text: bool = False
    thought: bool = False
    raw_thought: bool = False
    parted: bool = False
    cited: bool = False
    spoken: bool = False
    done: bool = False


class ResponsesStreamDecoder:
    """Decodes one stream."""

    def __init__(self) -> None:
        self._parser = SseParser()
        self._over = False
        self._started = False
        self._refused = False
        self._calls = 0
        self._items: dict[int, _Open] = {}
        self._places = Places()
        self._last = self._at = 0
        self._readers: Mapping[str, Callable[[WireEvent, list[StreamEvent]], None]] = {
            "response.output_text.delta": self._text,
            "response.refusal.delta": self._refusal,
            "response.reasoning_summary_text.delta": self._summary,
            "response.reasoning_text.delta": self._thought,
            "response.reasoning_summary_part.added": self._summary_part,
            "response.function_call_arguments.delta": self._arguments,
            "response.output_text.annotation.added": self._annotation,
            "response.output_item.added": self._added,
            "response.output_item.done": self._done,
        }

    def feed(self, data: bytes) -> Sequence[StreamEvent]:
        if self._over:
            return ()
        out: list[StreamEvent] = []
        try:
            events = self._parser.feed(data)
        except SseOverflow as error:
            self._fail(Failure(FailureKind.BAD_RESPONSE, str(error)), out)
            return out
        for event in events:
            if event.data.startswith(DONE):
                self._fail(TRUNCATED, out)
                break
            if event.event == ERROR:
                self._fail(in_stream(error_object(event.data)), out)
                break
            try:
                decoded = decode_event(event.data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._fail(NOT_JSON, out)
                break
            if decoded.error or decoded.type == ERROR:
                self._fail(in_stream(decoded.error or error_object(event.data)), out)
                break
            self._read(decoded, out)
            if self._over:
                break
        return out

    def _fail(self, failure: Failure, out: list[StreamEvent]) -> None:
        self._over = True
        out.append(Failed(failure))

    def _read(self, event: WireEvent, out: list[StreamEvent]) -> None:
        reader = self._readers.get(event.type)
        if reader is not None:
            reader(event, out)
        elif event.response is not None and event.type in LIFE:
            if event.type == "response.created" and self._items:
                self._fail(TWO_STARTS, out)
                return
            self._start(event.response, out)
        elif event.response is not None and event.type in TERMINALS:
            self._end(event, event.response, out)

    def _start(self, response: WireResponse, out: list[StreamEvent]) -> None:
        if not self._started:
            self._started = True
            out.append(Started(response.id or "", created=int(response.created_at or 0)))

    def _item(self, event: WireEvent) -> _Open:
        """The item of an event."""
        index = self._at = self._places.of(event)
        self._last = max(self._last, index)
        return self._items.setdefault(index, _Open())

    def _text(self, event: WireEvent, out: list[StreamEvent]) -> None:
        item = self._item(event)
        if isinstance(event.delta, str) and event.delta:
            item.text = True
            out.append(TextDelta(event.delta, logprobs_of(event.logprobs)))

    def _refusal(self, event: WireEvent, out: list[StreamEvent]) -> None:
        self._refused = True
        self._text(event, out)

    def _thought(self, event: WireEvent, out: list[StreamEvent]) -> None:
        item = self._item(event)
        if isinstance(event.delta, str) and event.delta:
            item.thought = item.raw_thought = True
            out.append(ThinkingDelta(event.delta))

    def _summary(self, event: WireEvent, out: list[StreamEvent]) -> None:
        item = self._item(event)
        if item.raw_thought or not isinstance(event.delta, str) or not event.delta:
            return
        parting = "\n\n" if item.parted else ""
        item.thought, item.parted = True, False
        out.append(ThinkingDelta(parting + event.delta))

    def _summary_part(self, event: WireEvent, out: list[StreamEvent]) -> None:
        del out
        item = self._item(event)
        item.parted = item.thought

    def _annotation(self, event: WireEvent, out: list[StreamEvent]) -> None:
        item = self._item(event)
        citation = citation_of(event.annotation) if isinstance(event.annotation, Mapping) else None
        if citation is not None:
            item.cited = True
            out.append(CitationDelta(citation))

    def _arguments(self, event: WireEvent, out: list[StreamEvent]) -> None:
        before = self._last
        item = self._item(event)
        if item.call < 0 or not isinstance(event.delta, str) or not event.delta:
            return
        if self._at < before:
            # No dialect of ours can go back to a call; half a call must not pass for a whole one.
            self._fail(BACKWARDS, out)
            return
        item.spoken = True
        out.append(ToolCallDelta(item.call, event.delta))

    def _added(self, event: WireEvent, out: list[StreamEvent]) -> None:
        item = self._item(event)
        if isinstance(event.item, Mapping) and event.item.get("type") == "function_call":
            self._call(item, event.item, out)

    def _call(self, item: _Open, value: Item, out: list[StreamEvent]) -> None:
        if item.call < 0:
            item.call = self._calls
            self._calls += 1
            out.append(ToolCallStarted(item.call, call_id(value), text_in(value, "name")))

    def _done(self, event: WireEvent, out: list[StreamEvent]) -> None:
        if isinstance(event.item, Mapping):
            self._whole(self._item(event), event.item, out)

    def _whole(self, item: _Open, value: Item, out: list[StreamEvent]) -> None:
        """An item as it ended: what of it was not streamed."""
        if item.done:
            return
        item.done = True
        kind = value.get("type")
        if kind == "function_call":
            self._call(item, value, out)
            if not item.spoken:
                item.spoken = True
                out.append(ToolCallDelta(item.call, text_in(value, "arguments") or "{}"))
        elif kind == "message":
            self._message(item, value, out)
        elif kind == "reasoning":
            self._reasoning(item, value, out)
        else:
            out.extend(ImageDelta(part) for part in parts_of(value) if isinstance(part, Image))
            told = has_no_place(value)
            out += [Dropped(told)] if told else []

    def _message(self, item: _Open, value: Item, out: list[StreamEvent]) -> None:
        texts = [part for part in parts_of(value) if isinstance(part, Text)]
        if not item.text:
            self._refused |= is_refusal(value)
            out.extend(TextDelta(part.text, part.logprobs) for part in texts)
        if not item.cited:
            out.extend(CitationDelta(citation) for part in texts for citation in part.citations)
        item.text = True

    def _reasoning(self, item: _Open, value: Item, out: list[StreamEvent]) -> None:
        text, proof = "" if item.thought else thought_of(value), text_in(value, "encrypted_content")
        if text or proof:
            out.append(ThinkingDelta(text, proof, vendor=vendor_of(proof), id=text_in(value, "id")))

    def _end(self, event: WireEvent, response: WireResponse, out: list[StreamEvent]) -> None:
        if event.type == "response.failed" or response.error or response.status in {"failed", "cancelled"}:
            self._fail(in_stream(response.error), out)
            return
        self._over = True
        self._start(response, out)
        items = items_of(response)
        for index, value in enumerate(items):
            self._whole(self._items.setdefault(index, _Open()), value, out)
        for item in self._items.values():
            if item.call >= 0 and not item.spoken:
                out.append(ToolCallDelta(item.call, "{}"))
        if response.usage is not None:
            out.append(UsageReported(to_usage(response.usage, items, response.service_tier)))
        out.append(Finished(finish_of(response, called=self._calls > 0, refused=self._refused)))
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
