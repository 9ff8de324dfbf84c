"""Server-sent events: bytes cut anywhere in, whole events out; and the frames that we write.

As the WHATWG standard says: lines end in CR, LF or CRLF, a blank line ends an event, a byte
order mark at the start is skipped, comments are ignored. Events without data are dropped.

Beyond the standard: an object or list that stands where a field should is an event named "error". It is how servers
whose stream has begun already tell that they have failed; ignored, it would let a broken answer pass for a whole one.
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import re

from services.core.values import Value

MAX_EVENT = 4 * 1024 * 1024

# Atomic, so that a CRLF never counts as two line ends.
_BOUNDARY = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BARE = re.compile(rb"[\r\n](?:\[\s*+(?:\{\s*+(?:\"|\Z)|\Z)|\{\s*+(?:\"|\Z))")
"""The line end before a line that is no field, but a JSON object or a list of them, or the first half of one.

Other brackets are junk, which the standard ignores.
"""
_BOM = b"\xef\xbb\xbf"


ERROR = "error"
"""Name of the event that tells of a failure."""


class SseEvent(Value, frozen=True):
    """One event. `raw` is the event as it came, without the blank line that ends it."""

    event: str
    data: bytes
    raw: bytes


class SseOverflow(Exception):
    """An event is larger than the limit."""


class SseParser:
    """Parses one stream."""

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self._buffer = b""
        self._max_event = max_event
        self._started = False
        self._skip_newline = False

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that `data` completes.

        Raises:
            SseOverflow: An event exceeds the limit.
        """
        if self._skip_newline and data:
            # The last event ended in a CR; an LF that follows belongs to it.
            self._skip_newline = False
            data = data.removeprefix(b"\n")
        searched = max(0, len(self._buffer) - 3)
        buffer = self._buffer + data if self._buffer else data
        if not self._started:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._buffer = buffer
                return []
            self._started = True
            buffer = buffer.removeprefix(_BOM)
            searched = 0
        events = self._split_plain(buffer) if b"\r" not in buffer else self._split(buffer, searched)
        if len(self._buffer) > self._max_event:
            raise SseOverflow(f"an event is larger than {self._max_event:,} bytes")
        return events

    def _split_plain(self, buffer: bytes) -> list[SseEvent]:
        """The common case: lines end in LF."""
        *blocks, self._buffer = buffer.split(b"\n\n")
        return [event for block in blocks for event in _events_of(block)]

    def _split(self, buffer: bytes, searched: int) -> list[SseEvent]:
        events: list[SseEvent] = []
        start = 0
        for match in _BOUNDARY.finditer(buffer, searched):
            events += _events_of(buffer[start : match.start()])
            start = match.end()
        self._buffer = buffer[start:]
        self._skip_newline = not self._buffer and buffer.endswith(b"\r") and start > 0
        return events

    def rest(self) -> bytes:
        """Bytes of an event that was not completed."""
        return self._buffer


def _events_of(block: bytes) -> list[SseEvent]:
    """The event of a block, and what stands bare behind it."""
    block = block.lstrip(b"\r\n")
    if block.startswith(b"data: ") and b"\n" not in block and b"\r" not in block:
        return [SseEvent("", block[6:], block)]
    name, _, rest = block.partition(b"\n")
    if name.startswith(b"event: ") and rest.startswith(b"data: ") and b"\n" not in rest and b"\r" not in block:
        return [SseEvent(name[7:].decode("utf-8", "replace"), rest[6:], block)]
    bare = _BARE.search(b"\n" + block)
    if bare is None:
        return _event_of(block)
    at = bare.start()
    return [*_event_of(block[:at].rstrip(b"\r\n")), SseEvent(ERROR, block[at:], block[at:])]


def _event_of(block: bytes) -> list[SseEvent]:
    event, data = "", []
    for line in _LINE_END.split(block):
        name, colon, value = line.partition(b":")
        if not name:
            continue
        value = value.removeprefix(b" ") if colon else b""
        if name == b"data":
            data.append(value)
        elif name == b"event":
            event = value.decode("utf-8", "replace")
    return [SseEvent(event, b"\n".join(data), block)] if data else []


def frame(data: bytes, event: str = "") -> bytes:
    """A frame with `data`, which must not hold a line end (JSON of ours never does)."""
    if event:
        return b"event: " + event.encode() + b"\ndata: " + data + b"\n\n"
    return b"data: " + data + b"\n\n"
