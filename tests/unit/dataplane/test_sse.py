"""Server-sent events: every line end, every oddity of the standard, and a bound on memory."""

from __future__ import annotations

import pytest

from services.dataplane.sse import SseEvent, SseOverflow, SseParser, frame


def parsed(*pieces: bytes) -> list[tuple[str, bytes]]:
    parser = SseParser()
    return [(e.event, e.data) for piece in pieces for e in parser.feed(piece)]


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"data: a\n\n", [("", b"a")]),
        (b"data:a\n\n", [("", b"a")]),
        (b"data:  a\n\n", [("", b" a")]),
        (b"event: x\ndata: a\n\n", [("x", b"a")]),
        (b"data: a\nevent: x\n\n", [("x", b"a")]),
        (b"data: a\ndata: b\n\n", [("", b"a\nb")]),
        (b"data\n\n", [("", b"")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [("", b"a"), ("", b"b")]),
        (b"data: a\r\rdata: b\r\r", [("", b"a"), ("", b"b")]),
        (b"data: a\n\r\ndata: b\n\n", [("", b"a"), ("", b"b")]),
        (b": comment\n\ndata: a\n\n", [("", b"a")]),
        (b": comment\ndata: a\n\n", [("", b"a")]),
        (b"event: ping\n\ndata: a\n\n", [("", b"a")]),
        (b"id: 7\nretry: 100\ndata: a\n\n", [("", b"a")]),
        (b"\n\n\ndata: a\n\n\n\ndata: b\n\n", [("", b"a"), ("", b"b")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("", b"a")]),
        (b"data: \xf0\x9f\x99\x82\n\n", [("", "🙂".encode())]),
        (b"event: caf\xff\ndata: a\n\n", [("caf\ufffd", b"a")]),
        (b"data: a: b\n\n", [("", b"a: b")]),
        (b"data: unfinished\n", []),
    ],
)
def test_events_are_read_as_the_standard_says(data: bytes, events: list[tuple[str, bytes]]) -> None:
    assert parsed(data) == events
    assert parsed(*(data[i : i + 1] for i in range(len(data)))) == events


def test_an_event_keeps_the_bytes_that_it_came_in() -> None:
    assert SseParser().feed(b"event: x\ndata: a\n\n") == [SseEvent("x", b"a", b"event: x\ndata: a")]


def test_the_rest_is_what_was_not_completed() -> None:
    parser = SseParser()
    parser.feed(b"data: a\n\ndata: b")
    assert parser.rest() == b"data: b"


def test_an_event_without_end_is_refused_before_it_fills_the_memory() -> None:
    parser = SseParser(max_event=1_000)
    for _ in range(10):
        assert parser.feed(b"x" * 100) == []
    with pytest.raises(SseOverflow):
        parser.feed(b"x")


def test_a_frame_reads_as_what_was_written() -> None:
    assert parsed(frame(b'{"a":1}') + frame(b"{}", "done")) == [("", b'{"a":1}'), ("done", b"{}")]
