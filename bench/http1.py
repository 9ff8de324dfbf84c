"""The generator's HTTP/1.1 connection: one request at a time, callbacks instead of tasks, and clocks.

It reads what the upstream and the router are known to send: a Content-Length or
a chunked body. Anything else counts as a failure, loudly.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

now = time.perf_counter


@dataclass(slots=True)
class Exchange:
    """One request and what came back. Instants in seconds of `now`; 0.0: not reached.

    Attributes:
        due: When the request was to be sent; latency counts from here.
        first: When the first byte of the body was there.
        writes: Chunks of the transfer encoding, which is how often the server wrote; 0: not chunked.
        failure: Why it does not count; empty: it does.
    """

    due: float
    first: float = 0.0
    ended: float = 0.0
    status: int = 0
    writes: int = 0
    size: int = 0
    failure: str = ""


Done = Callable[["Connection", Exchange], None]


class Connection(asyncio.Protocol):
    """A kept-alive connection."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._done: Done | None = None
        self._terminal = b""
        self._buffer = b""
        self._left = -1
        self._chunked = False
        self._whole = False
        self._expected = 200

    @property
    def usable(self) -> bool:
        """Whether a request can be sent now."""
        return self.transport is not None and not self.transport.is_closing() and self._exchange is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self._exchange is not None:
            self._finish(f"the connection was lost: {exc or 'closed'}")

    def send(self, request: bytes, due: float, done: Done, *, terminal: bytes = b"", expected: int = 200) -> None:
        """Send `request`; `done` is called when its answer is whole.

        Args:
            terminal: What one chunk of a chunked body must hold for the body to count as whole.
            expected: The status that counts as success.
        """
        assert self.transport is not None, "only usable connections send"
        self._exchange, self._done = Exchange(due), done
        self._terminal, self._expected = terminal, expected
        self._buffer, self._left, self._chunked, self._whole = b"", -1, False, False
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        self._buffer = buffer = self._buffer + data if self._buffer else data
        if not exchange.status:
            stop = buffer.find(b"\r\n\r\n")
            if stop < 0:
                return
            self._read_head(exchange, buffer[:stop].lower())
            self._buffer = buffer = buffer[stop + 4 :]
        if buffer and not exchange.first:
            exchange.first = now()
        if self._chunked:
            self._read_chunks(exchange)
        elif len(buffer) >= self._left:
            exchange.size = len(buffer)
            self._finish("" if exchange.status == self._expected else f"status {exchange.status}: {buffer[:300]!r}")

    def _read_head(self, exchange: Exchange, head: bytes) -> None:
        exchange.status = int(head[9:12])
        self._chunked = b"\r\ntransfer-encoding: chunked" in head
        if not self._chunked:
            at = head.index(b"\r\ncontent-length: ") + 18
            stop = head.find(b"\r\n", at)
            self._left = int(head[at : stop if stop >= 0 else len(head)])

    def _read_chunks(self, exchange: Exchange) -> None:
        """Take whole chunks off the buffer."""
        buffer, at = self._buffer, 0
        while True:
            line = buffer.find(b"\r\n", at)
            if line < 0:
                break
            size = int(buffer[at:line], 16)
            start, stop = line + 2, line + 2 + size
            if len(buffer) < stop + 2:
                break
            if size == 0:
                good = self._whole and exchange.status == self._expected
                self._finish("" if good else f"status {exchange.status}, terminal event seen: {self._whole}")
                return
            exchange.writes += 1
            exchange.size += size
            self._whole = self._whole or buffer.find(self._terminal, start, stop) >= 0
            at = stop + 2
        self._buffer = buffer[at:]

    def _finish(self, failure: str) -> None:
        exchange, done = self._exchange, self._done
        self._exchange = self._done = None
        self._buffer = b""
        if exchange is not None and done is not None:
            exchange.ended, exchange.failure = now(), failure
            done(self, exchange)
