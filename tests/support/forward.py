"""A TCP port of the test's own loop that leads to another one: a place to stand between two programs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Gate = Callable[[bytes], Awaitable[None]]


async def _open(data: bytes) -> None:
    del data


class Forward:
    """Passes bytes on, both ways. `gate` is awaited with each piece that a client sends, before it is passed on."""

    def __init__(self, port: int, host: str, gate: Gate) -> None:
        self._target = port
        self._host = host
        self._gate = gate
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None] | None] = set()
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self._host, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse new connections and cut those that there are."""
        assert self._server is not None
        self._server.close()
        for writer in self._connections:
            writer.transport.abort()
        await asyncio.gather(*(task for task in self._serving if task is not None), return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving.add(asyncio.current_task())
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        self._connections |= {writer, back}
        await asyncio.gather(self._pipe(reader, back, self._gate), self._pipe(there, writer, _open))
        self._connections -= {writer, back}

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: Gate) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                await gate(data)
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def forwarding(port: int, host: str = "127.0.0.1", gate: Gate = _open) -> AsyncIterator[Forward]:
    """A port of `host` that leads to `port` of 127.0.0.1."""
    found = Forward(port, host, gate)
    await found.start()
    try:
        yield found
    finally:
        await found.stop()
