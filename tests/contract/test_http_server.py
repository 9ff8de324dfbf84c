"""What the bridge's HTTP server promises to friendly and to hostile clients, over raw sockets."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from services.core.errors import Overloaded
from services.http_bridge import aiohttp_server
from services.http_bridge.aiohttp_server import RunningHttpServer, start_http_server
from services.http_bridge.http import Request, Response, StreamingResponse


class App:
    """Echoes; streams for ever at /stream; holds at /hold until told."""

    def __init__(self) -> None:
        self.served: list[str] = []
        self.closed = asyncio.Event()
        self.entered = asyncio.Event()
        self.release = asyncio.Event()

    async def __call__(self, request: Request) -> Response | StreamingResponse:
        self.served.append(request.path)
        if request.path == "/stream":
            return StreamingResponse(200, self._for_ever(), {"content-type": "text/event-stream"})
        if request.path == "/broken":
            return StreamingResponse(200, self._breaks(), {"content-type": "audio/mpeg"})
        if request.path == "/hold":
            self.entered.set()
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                self.closed.set()
                raise
        if request.too_large:
            return Response(413)
        return Response(200, request.body)

    async def _for_ever(self) -> AsyncGenerator[bytes, None]:
        self.entered.set()
        try:
            while True:
                yield b"data: " + b"x" * 65_536 + b"\n\n"
                await asyncio.sleep(0)
        finally:
            self.closed.set()

    async def _breaks(self) -> AsyncGenerator[bytes, None]:
        yield b"first"
        yield b"x" * 500_000
        raise Overloaded("it broke")


@pytest.fixture
async def app() -> App:
    return App()


@pytest.fixture
async def server(app: App) -> AsyncIterator[RunningHttpServer]:
    found = await start_http_server(app, "127.0.0.1", 0)
    yield found
    app.release.set()
    await found.stop(1.0)
    await asyncio.sleep(0)


async def send_raw(port: int, payload: bytes) -> tuple[int, bool]:
    """(status of the first answer, whether the connection was closed and nothing more was served)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(payload)
        await writer.drain()
        data, closed = b"", True
        try:
            # Piece by piece: a reset after the answer must not hide the answer.
            while piece := await asyncio.wait_for(reader.read(65_536), 5):
                data += piece
        except TimeoutError:
            closed = False
        except ConnectionError:
            pass
        status = int(data.split(b" ", 2)[1]) if data.startswith(b"HTTP/1.") else 0
        return status, closed and len(re.findall(rb"HTTP/1\.\d \d{3}", data)) <= 1
    finally:
        writer.close()


HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"
SECOND = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"

HOSTILE = {
    "both lengths": HEAD + b"Content-Length: 4\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + SECOND,
    "two lengths": HEAD + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n" + SECOND,
    "unknown coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SECOND,
    "space before colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "signed length": HEAD + b"Content-Length: +3\r\n\r\nabc" + SECOND,
    "hex length": HEAD + b"Content-Length: 0x3\r\n\r\nabc" + SECOND,
    "NUL in a header": HEAD + b"X: a\x00b\r\n\r\n" + SECOND,
    "bytes after a chunk": HEAD + CHUNKED + b"\r\n3\r\nabcXX\r\n0\r\n\r\n" + SECOND,
    "folded header": HEAD + b"X: a\r\n b\r\nContent-Length: 0\r\n\r\n" + SECOND,
    "bare line feeds": b"POST /x HTTP/1.1\nHost: a\nContent-Length: 0\n\n" + SECOND,
    "no Host": b"POST /x HTTP/1.1\r\nContent-Length: 0\r\n\r\n" + SECOND,
    "two Hosts": b"POST /x HTTP/1.1\r\nHost: a\r\nHost: b\r\nContent-Length: 0\r\n\r\n" + SECOND,
    "a header of 128 KB": HEAD + b"X: " + b"a" * 131_072 + b"\r\n\r\n",
    "five thousand headers": HEAD + b"".join(b"X%d: a\r\n" % n for n in range(5_000)) + b"\r\n",
    "forty kilobytes of headers": HEAD + b"".join(b"X%d: %s\r\n" % (n, b"a" * 4_000) for n in range(10)) + b"\r\n",
    "an encoded body": HEAD + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc" + SECOND,
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_every_hostile_request_is_refused_and_the_connection_closed(
    app: App, server: RunningHttpServer, name: str
) -> None:
    status, closed = await send_raw(server.port, HOSTILE[name])
    assert closed, "the connection is closed and nothing else was served on it"
    assert 400 <= status < 500, status
    assert not app.served


async def test_bodies_come_whole_however_they_are_sent(app: App, server: RunningHttpServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(HEAD + CHUNKED + b"\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head
    assert await reader.readexactly(5) == b"abcde"
    writer.write(HEAD + b"Content-Length: 2\r\n\r\nhi")
    await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(2) == b"hi"
    writer.close()


async def test_a_body_above_the_limit_is_413_announced_or_not(
    app: App, server: RunningHttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aiohttp_server, "MAX_BODY", 1_000)
    assert await send_raw(server.port, HEAD + b"Content-Length: 1001\r\n\r\n" + b"a" * 1001) == (413, True)
    status, _ = await send_raw(server.port, HEAD + CHUNKED + b"\r\n7d0\r\n" + b"a" * 2000 + b"\r\n0\r\n\r\n")
    assert status == 413


@pytest.mark.parametrize("path", [b"/stream", b"/hold"])
async def test_a_caller_that_goes_ends_its_handler_at_once(app: App, server: RunningHttpServer, path: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST " + path + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    await asyncio.wait_for(app.entered.wait(), 5)
    writer.transport.abort()
    await asyncio.wait_for(app.closed.wait(), 5)
    del reader


async def test_a_reader_that_takes_nothing_stalls_the_stream_and_is_cut_off(
    app: App, server: RunningHttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aiohttp_server, "WRITE_STALL_SECONDS", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    writer.write(b"POST /stream HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
    await asyncio.wait_for(app.closed.wait(), 5.0)
    writer.close()
    del reader


async def test_headers_that_never_end_are_cut_off(
    app: App, server: RunningHttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aiohttp_server, "HEADER_SECONDS", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST / HTTP/1.1\r\nHost:")
    with contextlib.suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    assert not app.served


async def test_a_stopping_server_finishes_what_runs_and_accepts_nothing_new(app: App) -> None:
    server = await start_http_server(app, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok")
    await asyncio.wait_for(app.entered.wait(), 5)
    stopping = asyncio.create_task(server.stop(5.0))
    await asyncio.sleep(0)
    app.release.set()
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await stopping
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)


async def test_a_stream_that_breaks_arrives_as_far_as_it_came_and_has_no_end(server: RunningHttpServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /broken HTTP/1.1\r\nHost: a\r\n\r\n")
    data = await asyncio.wait_for(reader.read(), 5)
    assert b"first" in data
    assert data.count(b"x" * 1_000) >= 490
    assert not data.endswith(b"0\r\n\r\n")
    writer.close()


async def test_without_chunks_such_a_stream_is_reset_since_its_end_would_look_like_a_good_one(
    server: RunningHttpServer,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /broken HTTP/1.0\r\nHost: a\r\n\r\n")
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 5)
    writer.close()
