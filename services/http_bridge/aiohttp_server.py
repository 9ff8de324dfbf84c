"""The server: an adapter of aiohttp's low-level HTTP server.

aiohttp's parser refuses what smuggling is made of (both length headers, bad
chunks, bare line feeds, folded headers). What it leaves open is closed here:
exactly one Host, the number and size of headers, the size of bodies, slow
headers, slow bodies, slow readers, and a graceful end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web
from aiohttp.web_protocol import RequestHandler

from services.core.errors import RouterError
from services.http_bridge.errors import error_response
from services.http_bridge.http import (
    MAX_BODY,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    Application,
    Request,
    Response,
    StreamingResponse,
)
from services.runtime.listening import check_listen

KEEPALIVE_SECONDS = 75.0
HEADER_SECONDS = 10.0
BODY_IDLE_SECONDS = 30.0
WRITE_STALL_SECONDS = 30.0
_SERVER = "turnout"

log = logging.getLogger(__name__)

WireHandler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class _Protocol(RequestHandler):
    """aiohttp's connection, with a limit on how long the first request's headers may take."""

    __slots__ = ("_header_timer",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        loop = asyncio.get_running_loop()
        self._header_timer: asyncio.TimerHandle | None = loop.call_later(HEADER_SECONDS, transport.abort)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._header_timer is not None and (self._messages or self._current_request is not None):
            self._header_timer.cancel()
            self._header_timer = None

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """A request that is not HTTP, or a fault of ours: a sentence, no bytes of the request, and the end."""
        del message
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun; all that is left is to close")
        if status >= 500:
            log.error("a request failed inside the bridge", exc_info=exc)
            return _refuse(error_response(request.path, 500, "the bridge failed; its log says how"))
        log.debug("refused a malformed request (%s)", type(exc).__name__)
        return _refuse(error_response(request.path, status, "the request is not valid HTTP/1.1"))

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None
        super().connection_lost(exc)


class _Server(web.Server):
    """Makes connections."""

    def __call__(self) -> RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class RunningHttpServer:
    """A started server."""

    def __init__(self, server: web.Server, listener: asyncio.Server, port: int) -> None:
        self.port = port
        self._server = server
        self._listener = listener

    async def stop(self, grace: float) -> None:
        """Accept nothing more, let running requests finish within `grace` seconds, then end them."""
        self._listener.close()
        await self._server.shutdown(grace)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._listener.wait_closed()


async def start_http_server(application: Application, host: str, port: int) -> RunningHttpServer:
    """Serve `application` on `host:port` (port 0: any).

    Raises:
        CannotListen: The address cannot be bound.
    """
    check_listen(host, port)
    server = _Server(
        _adapt(application),
        handler_cancellation=True,
        keepalive_timeout=KEEPALIVE_SECONDS,
        access_log=None,
        max_line_size=8_190,
        max_field_size=8_190,
        lingering_time=1.0,
        auto_decompress=False,
    )
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server, host, port, backlog=1024, reuse_address=True)
    found = listener.sockets[0].getsockname()[1]
    for bound in listener.sockets:
        with contextlib.suppress(OSError):
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return RunningHttpServer(server, listener, found)


def _adapt(application: Application) -> WireHandler:
    async def handle(wire: web.BaseRequest) -> web.StreamResponse:
        refused = _refusal(wire)
        if refused is not None:
            return _refuse(refused)
        try:
            body = await _body(wire)
        except TimeoutError:
            return _refuse(error_response(wire.path, 408, "the request's body did not arrive in time"))
        request = Request(
            wire.method,
            wire.path,
            {name.lower(): value for name, value in wire.headers.items()},
            dict(wire.query) if wire.query_string else {},
            body or b"",
            too_large=body is None,
            raw_query=wire.rel_url.raw_query_string,
        )
        response = await application(request)
        if isinstance(response, Response):
            return _whole(response, close=request.too_large)
        return await _stream(wire, response)

    return handle


def _refusal(wire: web.BaseRequest) -> Response | None:
    headers = wire.headers
    if len(headers.getall(hdrs.HOST, ())) != 1:
        return error_response(wire.path, 400, "a request names exactly one Host")
    if len(headers) > MAX_HEADERS or sum(len(n) + len(v) for n, v in wire.raw_headers) > MAX_HEADER_BYTES:
        return error_response(wire.path, 431, "the request has too many or too large headers")
    if wire.content_length is not None and wire.content_length > MAX_BODY:
        return error_response(wire.path, 413, f"the request's body is larger than {MAX_BODY:,} bytes")
    if headers.get(hdrs.CONTENT_ENCODING, "identity").lower() not in {"", "identity"}:
        return error_response(wire.path, 415, "encoded request bodies are not accepted")
    return None


async def _body(wire: web.BaseRequest) -> bytes | None:
    """The body; None when it is larger than the limit.

    Raises:
        TimeoutError: It stopped arriving.
    """
    if not wire.body_exists:
        return b""
    if wire.content.is_eof():
        # It came with the headers, as most do: nothing to wait for, and a timer would cost 10 µs.
        whole = wire.content.read_nowait()
        return whole if len(whole) <= MAX_BODY else None
    pieces: list[bytes] = []
    size = 0
    while True:
        async with asyncio.timeout(BODY_IDLE_SECONDS):
            piece = await wire.content.readany()
        if not piece:
            return b"".join(pieces)
        size += len(piece)
        if size > MAX_BODY:
            return None
        pieces.append(piece)


def _refuse(response: Response) -> web.Response:
    return _whole(response, close=True)


def _whole(response: Response, *, close: bool) -> web.Response:
    wire = web.Response(status=response.status, body=response.body, headers={**response.headers, hdrs.SERVER: _SERVER})
    if close:
        wire.force_close()
    return wire


async def _stream(wire: web.BaseRequest, response: StreamingResponse) -> web.StreamResponse:
    out = web.StreamResponse(status=response.status, headers={**response.headers, hdrs.SERVER: _SERVER})
    chunks = response.chunks
    try:
        await out.prepare(wire)
        async for chunk in chunks:
            # A reader that takes nothing for this long has its connection closed, and with it the upstream.
            async with asyncio.timeout(WRITE_STALL_SECONDS):
                await out.write(chunk)
        await out.write_eof()
    except RouterError:
        _break(wire, out)
    except (TimeoutError, ConnectionError):
        if wire.transport is not None:
            wire.transport.abort()
    finally:
        await chunks.aclose()
    return out


def _break(wire: web.BaseRequest, out: web.StreamResponse) -> None:
    """End an answer that broke so that nobody takes it for whole: without the last chunk, or by a reset."""
    if wire.transport is None:
        return
    if hdrs.TRANSFER_ENCODING in out.headers:
        # What was written still arrives; the chunk that says "this was all" does not.
        wire.transport.close()
        return
    # A body that ends with its connection: only a reset tells it from a whole one.
    raw = wire.transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.transport.abort()
