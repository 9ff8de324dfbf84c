"""`python -m bench.upstream PORT`: the provider that every way calls; fixed bytes, as cheap as Python can.

The first segment of the path says how it behaves:

    fast      answers at once; a stream's chunks back to back, one write each
    paced     a chunk every 10 ms
    burst     `BURST` chunks in one write, every 10 ms
    e500 e429 refuses with that status
    even      a stream that begins after 50 ms
    late      the same, but 2 % of them begin after 2 s

It is a mock on purpose: what is measured is the router, so the upstream must be
the same for every way and cost next to nothing.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections.abc import Callable
from typing import cast

import uvloop

from bench.payloads import answer, frames

PACE_SECONDS = 0.010
BURST = 8
EVEN_SECONDS, LATE_SECONDS, LATE_SHARE = 0.050, 2.0, 0.02

_END = b"0\r\n\r\n"
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


def _whole(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _chunked(frame: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(frame), frame)


ANSWER = _whole("200 OK", answer())
REFUSALS = {
    b"e500": _whole(
        "500 Internal Server Error", b'{"error":{"message":"bench","type":"server_error","param":null,"code":null}}'
    ),
    b"e429": _whole(
        "429 Too Many Requests",
        b'{"error":{"message":"bench","type":"requests","param":null,"code":"rate_limit_exceeded"}}',
    ),
}
FRAMES = [_chunked(frame) for frame in frames()]


def _writes(behaviour: bytes) -> tuple[list[bytes], float]:
    """The writes of a stream, and the seconds between them."""
    if behaviour == b"burst":
        content = FRAMES[:-1]
        grouped = [b"".join(content[i : i + BURST]) for i in range(0, len(content), BURST)]
        grouped.append(FRAMES[-1] + _END)
    else:
        grouped = [*FRAMES[:-1], FRAMES[-1] + _END]
    grouped[0] = _STREAM_HEAD + grouped[0]
    return grouped, PACE_SECONDS if behaviour in {b"paced", b"burst"} else 0.0


STREAMS = {name: _writes(name) for name in (b"fast", b"paced", b"burst", b"even", b"late")}
_LATENESS = random.Random(7)


def _delay(behaviour: bytes) -> float:
    """Seconds before a stream begins."""
    if behaviour == b"late" and _LATENESS.random() < LATE_SHARE:
        return LATE_SECONDS
    return EVEN_SECONDS if behaviour in {b"even", b"late"} else 0.0


class Provider(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        head, separator, rest = buffer.partition(b"\r\n\r\n")
        if not separator or len(rest) < _content_length(head):
            self._buffer = buffer
            return
        self._buffer = b""
        behaviour = head[head.index(b"/") + 1 : head.index(b"/", head.index(b"/") + 1)]
        self._answer(behaviour, streamed=b'"stream":true' in rest)

    def _answer(self, behaviour: bytes, *, streamed: bool) -> None:
        assert self._transport is not None, "data came over it"
        refusal = REFUSALS.get(behaviour)
        if refusal is not None or not streamed:
            self._transport.write(refusal or ANSWER)
            return
        writes, pace = STREAMS[behaviour]
        if pace:
            self._write_next(writes, 0, self._loop.time(), pace)
            return
        delay = _delay(behaviour)
        if delay:
            self._loop.call_later(delay, self._write_all, writes)
        else:
            self._write_all(writes)

    def _write_all(self, writes: list[bytes]) -> None:
        if self._transport is not None:
            for piece in writes:
                self._transport.write(piece)

    def _write_next(self, writes: list[bytes], index: int, began: float, pace: float) -> None:
        if self._transport is None:
            return
        self._transport.write(writes[index])
        if index + 1 < len(writes):
            due = began + (index + 1) * pace
            self._loop.call_at(due, self._write_next, writes, index + 1, began, pace)


def _content_length(head: bytes) -> int:
    at = head.lower().find(b"\r\ncontent-length:")
    if at < 0:
        return 0
    stop = head.find(b"\r\n", at + 2)
    return int(head[at + 17 : stop if stop >= 0 else len(head)])


async def serve(port: int, protocol: Callable[[], asyncio.Protocol]) -> None:
    """Serve until SIGTERM."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_server(protocol, "127.0.0.1", port, backlog=1024)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), Provider))
