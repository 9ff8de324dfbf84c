"""Hosts that fail before there is an answer: refused, unreachable, shut at once, no TLS; and the one that plays scripts."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

from services.core.errors import Clock
from tests.support.evil import BROKEN_OFF, TIMEOUTS, Fate, Fault, K, Phase
from tests.support.upstream import Seen, Step, Upstream, running_upstream


@dataclass(slots=True)
class Host:
    """An address and how many connections it took."""

    url: str
    accepted: int = 0


def hosts() -> list[Fault]:
    """Every fault before the request has arrived."""

    def row(name: str, kinds: frozenset[K], clock: Clock | None = None) -> Fault:
        return Fault(f"host-{name}", Phase.CONNECT, Fate.NEXT, kinds, lambda _: (), clock=clock, host=name)

    return [
        row("refused", frozenset({K.CONNECT_FAILED})),
        row("unreachable", frozenset({K.CONNECT_TIMEOUT}), Clock.CONNECT),
        row("resetting", BROKEN_OFF),
        row("closing", BROKEN_OFF),
        row("deaf", TIMEOUTS, Clock.HEADERS),
        row("plain", frozenset({K.TLS_FAILED})),
        row("mute-tls", frozenset({K.CONNECT_TIMEOUT}), Clock.CONNECT),
    ]


@asynccontextmanager
async def running_hosts(choose: Callable[[Seen], Sequence[Step]]) -> AsyncIterator[tuple[Upstream, dict[str, Host]]]:
    """The server that plays scripts, and every other host by name."""
    async with AsyncExitStack() as stack:
        evil = await stack.enter_async_context(running_upstream(choose))
        found = {"evil": Host(evil.url)}
        for name in ("resetting", "closing", "deaf", "plain", "mute-tls"):
            found[name] = await stack.enter_async_context(_serving(name))
        found["refused"] = stack.enter_context(_closed())
        found["unreachable"] = stack.enter_context(_full())
        yield evil, found


@asynccontextmanager
async def _serving(name: str) -> AsyncIterator[Host]:
    """A server that takes connections and does nothing good with them."""
    scheme = "https" if name in {"plain", "mute-tls"} else "http"
    found = Host("")
    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        found.accepted += 1
        if name == "resetting":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif name in {"deaf", "mute-tls"}:
            with suppress(ConnectionError):
                while await reader.read(65_536):
                    pass
        elif name == "plain":
            writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            with suppress(ConnectionError):
                await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    found.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield found
    finally:
        server.close()
        for task in serving:
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in serving if task is not None), return_exceptions=True)


@contextmanager
def _closed() -> Iterator[Host]:
    """A port that nobody listens at, and that nobody else can take."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        yield Host(f"http://127.0.0.1:{found.getsockname()[1]}")


@contextmanager
def _full() -> Iterator[Host]:
    """A port whose queue of connections is full: the kernel drops what comes then, as a dead network does."""
    with ExitStack() as stack:
        found = stack.enter_context(socket.socket())
        found.bind(("127.0.0.1", 0))
        found.listen(1)
        address = found.getsockname()
        for _ in range(3):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(address)
        yield Host(f"http://127.0.0.1:{address[1]}")
