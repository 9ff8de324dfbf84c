"""Amazon's event streams: messages as botocore reads them, whatever the cuts; damage is noticed, and told."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dataplane.eventstream import EventMessage, EventStreamParser, NotEventStream
from tests.support.converse import converse_frame, frame, raw_frame

DELTA = converse_frame({"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Hé 🙂"}}})
STOP = converse_frame({"messageStop": {"stopReason": "end_turn"}})
NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)
HEADERS = st.dictionaries(NAMES, st.text(max_size=30), max_size=4)
MESSAGES = st.lists(st.tuples(HEADERS, st.binary(max_size=200)), max_size=4)


def read(pieces: list[bytes], limit: int = 10_000) -> list[EventMessage]:
    parser = EventStreamParser(limit)
    return [message for piece in pieces for message in parser.feed(piece)]


def test_a_message_has_its_headers_and_its_payload() -> None:
    message, stop = read([DELTA + STOP])
    assert message.headers == {
        ":event-type": "contentBlockDelta",
        ":content-type": "application/json",
        ":message-type": "event",
    }
    assert message.payload.decode() == '{"contentBlockIndex": 0, "delta": {"text": "Hé 🙂"}}'
    assert stop.headers[":event-type"] == "messageStop"


def test_messages_are_the_same_wherever_the_bytes_are_cut() -> None:
    whole = read([DELTA + STOP])
    data = DELTA + STOP
    assert read([data[i : i + 1] for i in range(len(data))]) == whole
    for at in range(len(data)):
        assert read([data[:at], data[at:]]) == whole


@settings(max_examples=150)
@given(MESSAGES, st.integers(1, 50))
def test_messages_are_what_botocore_reads(messages: list[tuple[dict[str, str], bytes]], size: int) -> None:
    data = b"".join(frame(headers, payload) for headers, payload in messages)
    judge = EventStreamBuffer()
    judge.add_data(data)
    expected = [(dict(m.headers), m.payload) for m in judge]
    found = read([data[i : i + size] for i in range(0, len(data), size)], 10**6)
    assert [(dict(m.headers), m.payload) for m in found] == expected


def test_headers_that_are_no_text_are_skipped() -> None:
    head = b"".join(
        b"\x01" + name.encode() + bytes([kind]) + value
        for name, kind, value in [
            ("t", 0, b""), ("f", 1, b""), ("b", 2, b"\x01"), ("s", 3, b"\x00\x01"), ("i", 4, b"\x00" * 4),
            ("l", 5, b"\x00" * 8), ("y", 6, b"\x00\x02ab"), ("x", 7, b"\x00\x02ok"), ("w", 8, b"\x00" * 8),
            ("u", 9, b"\x00" * 16),
        ]
    )  # fmt: skip
    (message,) = read([raw_frame(head, b"{}")])
    assert message.headers == {"x": "ok"}
    judge = EventStreamBuffer()
    judge.add_data(raw_frame(head, b"{}"))
    assert next(iter(judge)).headers["x"] == "ok"


@pytest.mark.parametrize("at", range(len(DELTA)))
def test_a_bit_that_is_wrong_anywhere_is_noticed(at: int) -> None:
    damaged = bytearray(DELTA + STOP)
    damaged[at] ^= 0x10
    with pytest.raises(NotEventStream):
        read([bytes(damaged)])


def test_what_came_before_the_damage_is_given() -> None:
    messages = EventStreamParser().feed(DELTA + STOP[:-1] + b"\x00")
    assert next(messages).headers[":event-type"] == "contentBlockDelta"
    with pytest.raises(NotEventStream, match="checksum"):
        next(messages)


@pytest.mark.parametrize(
    "data",
    [b"data: {}\n\ndata: {}\n\n", b'{"message": "no"}', b"<!doctype html>", b"\x00" * 16],
    ids=["sse", "json", "html", "zeros"],
)
def test_what_is_no_event_stream_is_told_at_once(data: bytes) -> None:
    with pytest.raises(NotEventStream, match="prelude's checksum"):
        read([data])


def prelude(length: int, head: int) -> bytes:
    data = struct.pack(">II", length, head)
    return data + struct.pack(">I", crc32(data))


def test_a_message_above_the_limit_is_refused_by_its_prelude() -> None:
    with pytest.raises(NotEventStream, match="larger than 10,000 bytes"):
        read([prelude(10_001, 0)])
    with pytest.raises(NotEventStream, match="headers are longer"):
        read([prelude(40, 30)])
    with pytest.raises(NotEventStream, match="headers are longer"):
        read([prelude(3, 0)])


@pytest.mark.parametrize(
    "head",
    [b"\x05a", b"\x01a\x07\x00\x09x", b"\x01a\x0a", b"\x01a", b"\x02\xff\xff\x07\x00\x00", b"\x01a\x04\x00"],
    ids=["short-name", "short-value", "unknown-type", "no-type", "not-utf8", "short-number"],
)
def test_headers_that_cannot_be_read_are_refused(head: bytes) -> None:
    with pytest.raises(NotEventStream, match="header"):
        read([raw_frame(head, b"{}")])


def test_the_rest_is_what_was_not_completed() -> None:
    parser = EventStreamParser()
    assert list(parser.feed(STOP + DELTA[:7])) == read([STOP])
    assert parser.rest() == DELTA[:7]


def test_heads_are_remembered_up_to_a_bound() -> None:
    many = b"".join(frame({":n": str(number)}, b"") for number in range(200))
    parser = EventStreamParser()
    assert len(list(parser.feed(many))) == 200
    assert len(parser._heads) == 64
