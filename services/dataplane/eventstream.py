"""Amazon's binary event streams: bytes cut anywhere in, whole messages out.

A message is a prelude (its length, the length of its headers, a checksum of the two), headers,
payload, and a checksum of all that; numbers are big-endian, checksums CRC-32.
https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from zlib import crc32

import msgspec

MAX_MESSAGE = 16 * 1024 * 1024
_PRELUDE = struct.Struct(">III")
_CHECKSUM = struct.Struct(">I")
_LEAST = _PRELUDE.size + _CHECKSUM.size
_KNOWN_HEADERS = 64
"""How many different heads are remembered: those of a stream repeat, one for each kind of event."""

_FIXED = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Sizes of the header types that are no text: booleans, numbers, a time, a UUID."""
_BYTES, _TEXT = 6, 7


class EventMessage(msgspec.Struct, frozen=True):
    """One message. Of its headers only those that are text; their names begin with a colon."""

    headers: Mapping[str, str]
    payload: bytes


class NotEventStream(Exception):
    """The bytes are no event stream, or were changed on the way; nothing can be read behind them."""


class EventStreamParser:
    """Parses one stream."""

    def __init__(self, max_message: int = MAX_MESSAGE) -> None:
        self._buffer = bytearray()
        self._max = max_message
        self._heads: dict[bytes, Mapping[str, str]] = {}

    def feed(self, data: bytes) -> Iterator[EventMessage]:
        """The messages that `data` completes, one by one; take them all.

        Raises:
            NotEventStream: A checksum or a length is wrong, or a message exceeds the limit.
        """
        self._buffer += data
        while len(self._buffer) >= _PRELUDE.size:
            length, head_length = self._lengths()
            if len(self._buffer) < length:
                return
            whole = bytes(self._buffer[:length])
            del self._buffer[:length]
            yield self._message(whole, head_length)

    def _lengths(self) -> tuple[int, int]:
        """Checked as soon as they are there, so that no one waits for the end of what is no message."""
        length, head_length, checksum = _PRELUDE.unpack_from(self._buffer)
        if crc32(self._buffer[:8]) != checksum:
            raise NotEventStream("the stream is no event stream: a prelude's checksum is wrong")
        if length > self._max:
            raise NotEventStream(f"an event is larger than {self._max:,} bytes")
        if head_length + _LEAST > length:
            raise NotEventStream("an event's headers are longer than the event")
        return length, head_length

    def _message(self, whole: bytes, head_length: int) -> EventMessage:
        if crc32(whole[:-4]) != _CHECKSUM.unpack_from(whole, len(whole) - 4)[0]:
            raise NotEventStream("an event's checksum is wrong")
        end = _PRELUDE.size + head_length
        head = whole[_PRELUDE.size : end]
        headers = self._heads.get(head)
        if headers is None:
            headers = _headers(head)
            if len(self._heads) < _KNOWN_HEADERS:
                self._heads[head] = headers
        return EventMessage(headers, whole[end:-4])

    def rest(self) -> bytes:
        """Bytes of a message that was not completed."""
        return bytes(self._buffer)


def _headers(head: bytes) -> Mapping[str, str]:
    found: dict[str, str] = {}
    at = 0
    try:
        while at < len(head):
            name_end = at + 1 + head[at]
            name = head[at + 1 : name_end].decode()
            kind = head[name_end]
            at = name_end + 1
            if kind in _FIXED:
                at += _FIXED[kind]
            elif kind in {_BYTES, _TEXT}:
                size = int.from_bytes(head[at : at + 2], "big")
                value = head[at + 2 : at + 2 + size]
                at += 2 + size
                if kind == _TEXT:
                    found[name] = value.decode()
            else:
                raise NotEventStream("an event has a header of an unknown type")
    except (IndexError, UnicodeDecodeError):
        at = -1
    if at != len(head):
        raise NotEventStream("an event's headers cannot be read")
    return found
