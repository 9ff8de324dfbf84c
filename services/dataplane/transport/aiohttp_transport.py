"""The transport over aiohttp's client.

One session and one TLS context per process. Bodies are read raw, as they arrive.
The pool has no limit, so that its queue never hides behind the connect clock.
"""

from __future__ import annotations

import asyncio
import io
import os
import ssl
from collections.abc import Mapping
from functools import partial

import aiohttp
from aiohttp import ClientResponse, hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.helpers import _EXC_SENTINEL
from yarl import URL

from services.core.errors import (
    Clock,
    Failure,
    FailureKind,
    timeout_failure,
)
from services.dataplane.transport.port import (
    TransportFailed,
    UpstreamRequest,
    gathered,
)

KEEPALIVE_SECONDS = 15.0
DNS_TTL_SECONDS = 30
_MAX_LINE = 64 * 1024
_READ_BUFFER = 256 * 1024
_LARGE = 1024 * 1024
"""From here on a body is written piece by piece, so that one upload does not hold up everybody else's requests."""

_PLAIN = {"", "identity"}


class _Handler(ResponseHandler):
    """The library's, but for one case: a body that turns out to be no HTTP.

    The library drops the connection then and forgets who reads the body, who would wait for ever.
    """

    def set_exception(self, exc: BaseException, exc_cause: BaseException = _EXC_SENTINEL) -> None:
        payload = self._payload
        super().set_exception(exc, exc_cause)
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            # Not at once: what came before belongs to the reader.
            self._loop.call_soon(payload.set_exception, aiohttp.ClientPayloadError("the body is no HTTP"))


def _handler(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return _Handler(loop)


class AiohttpResponse:
    """A response whose headers have arrived."""

    __slots__ = ("_complete", "_response", "headers", "status")

    def __init__(self, response: ClientResponse) -> None:
        self._response = response
        self._complete = False
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}

    async def read(self) -> bytes:
        try:
            data = await self._response.content.readany()
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            # The library says RuntimeError when the connection is gone before the read begins.
            raise TransportFailed(_broken(error)) from error
        if not data:
            self._complete = True
        return data

    async def read_all(self, limit: int) -> bytes:
        return await gathered(self, limit)

    def close(self) -> None:
        if self._complete or self._response.content.is_eof():
            self._response.release()
        else:
            self._response.close()


class AiohttpTransport:
    """Opens exchanges over one aiohttp session; make it inside the running loop."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        connector = aiohttp.TCPConnector(
            limit=0,
            ttl_dns_cache=DNS_TTL_SECONDS,
            keepalive_timeout=KEEPALIVE_SECONDS,
            ssl=tls or ssl.create_default_context(),
        )
        # There is no other way in.
        connector._factory = partial(_handler, asyncio.get_running_loop())  # noqa: SLF001
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            raise_for_status=False,
            timeout=aiohttp.ClientTimeout(total=None),
            skip_auto_headers=(hdrs.USER_AGENT, hdrs.ACCEPT),
            read_bufsize=_READ_BUFFER,
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_LINE,
        )
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}

    async def open(self, request: UpstreamRequest, *, connect: float, headers: float) -> AiohttpResponse:
        sent = {**request.headers, "accept-encoding": "identity"}
        try:
            async with asyncio.timeout(connect + headers):
                response = await self._session.request(
                    request.method,
                    # Escapes go out as they are written: a signature may be over them.
                    URL(request.url, encoded="%" in request.url),
                    data=request.body if len(request.body) < _LARGE else io.BytesIO(request.body),
                    headers=sent,
                    allow_redirects=False,
                    timeout=self._timeout(connect),
                )
        except aiohttp.ConnectionTimeoutError as error:
            raise TransportFailed(timeout_failure(Clock.CONNECT, connect)) from error
        except TimeoutError as error:
            raise TransportFailed(timeout_failure(Clock.HEADERS, headers)) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TransportFailed(_not_opened(error)) from error
        if response.headers.get(hdrs.CONTENT_ENCODING, "").lower() not in _PLAIN:
            response.close()
            told = "the provider encoded its answer although it was asked not to"
            raise TransportFailed(Failure(FailureKind.BAD_RESPONSE, told, status=response.status))
        return AiohttpResponse(response)

    def _timeout(self, connect: float) -> aiohttp.ClientTimeout:
        """Aiohttp's own clock, for the connection only; there are few different values."""
        found = self._timeouts.get(connect)
        if found is None:
            if len(self._timeouts) > 1_000:
                self._timeouts.clear()
            found = self._timeouts[connect] = aiohttp.ClientTimeout(total=None, sock_connect=connect)
        return found

    async def aclose(self) -> None:
        await self._session.close()


def _not_opened(error: Exception) -> Failure:
    """The failure behind an error of `open`; foreign messages are not repeated, they may name anything."""
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError, ssl.SSLError)):
        return Failure(FailureKind.TLS_FAILED, "the provider's certificate was not accepted, or TLS failed")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Failure(FailureKind.CONNECT_FAILED, f"the name {error.host!r} cannot be resolved")
    if isinstance(error, aiohttp.ClientConnectorError):
        # The system's word for it: asyncio's own text is a tuple in brackets, or that of several addresses.
        why = os.strerror(error.errno).lower() if error.errno else "at none of its addresses"
        return Failure(FailureKind.CONNECT_FAILED, f"no connection to {error.host}:{error.port}: {why}")
    if isinstance(error, aiohttp.InvalidURL):
        return Failure(FailureKind.CONNECT_FAILED, "the provider's address is not valid")
    if isinstance(error, (aiohttp.ClientResponseError, ValueError)):
        return Failure(FailureKind.BAD_RESPONSE, "the provider's answer is not valid HTTP")
    return Failure(FailureKind.DISCONNECTED, "the connection broke before the answer's headers")


def _broken(error: Exception) -> Failure:
    told = f"the connection broke inside the answer ({type(error).__name__})"
    return Failure(FailureKind.DISCONNECTED, told)
