"""The rules of the upstream-transport port, against a provider that breaks all of its own."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
from collections.abc import AsyncIterator

import pytest

from services.core.errors import Clock, FailureKind
from services.dataplane.transport.aiohttp_transport import AiohttpTransport
from services.dataplane.transport.port import TransportFailed, UpstreamRequest
from tests.support.upstream import STREAM_END, STREAM_HEAD, Close, Pause, Reset, Upstream, chunk, whole

LONG = 30.0


class Counting(Upstream):
    """Counts connections."""

    def __init__(self) -> None:
        super().__init__()
        self.made = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.made += 1
        await super()._serve(reader, writer)


@pytest.fixture
async def upstream() -> AsyncIterator[Counting]:
    found = Counting()
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
async def transport() -> AsyncIterator[AiohttpTransport]:
    found = AiohttpTransport()
    yield found
    await found.aclose()
    await asyncio.sleep(0)


def request(upstream: Upstream, **headers: str) -> UpstreamRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return UpstreamRequest(f"{upstream.url}/v1/a%2Fb", {"content-type": "application/json", **named}, b'{"a": 1}')


async def exchanged(transport: AiohttpTransport, upstream: Upstream) -> bytes:
    """A whole exchange: a reset may be seen before or after the headers."""
    response = await transport.open(request(upstream), connect=LONG, headers=LONG)
    try:
        return await response.read_all(100)
    finally:
        response.close()


async def test_a_request_arrives_as_it_was_made_and_the_answer_as_it_was_sent(
    transport: AiohttpTransport, upstream: Counting
) -> None:
    upstream.script([whole(418, b"\x00\xff", x_odd="1", X_UPPER="2")])
    response = await transport.open(request(upstream, x_mine="yes"), connect=LONG, headers=LONG)
    assert response.status == 418
    assert response.headers["x-odd"] == "1"
    assert response.headers["x-upper"] == "2"
    assert await response.read_all(100) == b"\x00\xff"
    response.close()
    (seen,) = upstream.journal
    assert (seen.method, seen.path, seen.body) == ("POST", "/v1/a%2Fb", b'{"a": 1}')
    assert seen.headers == {
        "host": f"127.0.0.1:{upstream.port}",
        "content-type": "application/json",
        "x-mine": "yes",
        "accept-encoding": "identity",
        "content-length": "8",
    }


async def test_a_read_gives_what_has_arrived_and_nothing_only_at_a_clean_end(
    transport: AiohttpTransport, upstream: Counting
) -> None:
    first, second = Pause(), Pause()
    upstream.script([STREAM_HEAD, chunk(b"one"), first, chunk(b"two"), chunk(b"three"), second, STREAM_END])
    response = await transport.open(request(upstream), connect=LONG, headers=LONG)
    assert await response.read() == b"one"
    first.go.set()
    rest = b""
    while len(rest) < 8:
        rest += await response.read()
    assert rest == b"twothree"
    second.go.set()
    assert await response.read() == b""
    response.close()


async def test_a_connection_that_ended_cleanly_is_used_again_and_another_is_not(
    transport: AiohttpTransport, upstream: Counting
) -> None:
    held = Pause()
    upstream.script([whole(200, b"{}")], [STREAM_HEAD, chunk(b"x"), held], [whole(200, b"{}")])
    response = await transport.open(request(upstream), connect=LONG, headers=LONG)
    await response.read_all(10)
    response.close()
    cut = await transport.open(request(upstream), connect=LONG, headers=LONG)
    assert upstream.made == 1
    await cut.read()
    cut.close()
    # The provider learns at once that nobody reads on.
    await asyncio.wait_for(upstream.journal[1].ended.wait(), 2)
    response = await transport.open(request(upstream), connect=LONG, headers=LONG)
    response.close()
    assert upstream.made == 2


async def test_close_after_a_cancelled_read_closes_the_socket(transport: AiohttpTransport, upstream: Counting) -> None:
    upstream.script([STREAM_HEAD, Pause()])
    response = await transport.open(request(upstream), connect=LONG, headers=LONG)
    reading = asyncio.create_task(response.read())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    response.close()
    await asyncio.wait_for(upstream.journal[0].ended.wait(), 2)


async def test_a_cancelled_open_closes_the_socket(transport: AiohttpTransport, upstream: Counting) -> None:
    upstream.script([Pause()])
    opening = asyncio.create_task(transport.open(request(upstream), connect=LONG, headers=LONG))
    await upstream.arrived.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await asyncio.wait_for(upstream.journal[0].ended.wait(), 2)


BROKEN = {
    "a reset before the headers": ([Reset], FailureKind.DISCONNECTED),
    "an end before the headers": ([Close], FailureKind.DISCONNECTED),
    "an end inside the headers": ([b"HTTP/1.1 200 OK\r\ncontent-ty", Close], FailureKind.DISCONNECTED),
    "no HTTP": ([b"SSH-2.0-x\r\n\r\n", Close], FailureKind.BAD_RESPONSE),
    "headers that are too long": (
        [b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n", Close],
        FailureKind.BAD_RESPONSE,
    ),
    "a gzip that nobody asked for": (
        [whole(200, gzip.compress(b"{}"), content_encoding="gzip")],
        FailureKind.BAD_RESPONSE,
    ),
}


@pytest.mark.parametrize(("script", "kind"), BROKEN.values(), ids=BROKEN.keys())
async def test_an_answer_that_does_not_begin_is_a_failure_of_its_kind(
    transport: AiohttpTransport, upstream: Counting, script: list[bytes], kind: FailureKind
) -> None:
    upstream.script(script)
    with pytest.raises(TransportFailed) as failed:
        await transport.open(request(upstream), connect=LONG, headers=LONG)
    assert failed.value.failure.kind is kind
    # One request, one connection: retries live elsewhere.
    assert len(upstream.journal) == 1


CUT = {
    "a reset": [STREAM_HEAD, chunk(b"some"), Reset],
    "an end between chunks": [STREAM_HEAD, chunk(b"some"), Close],
    "an end inside a chunk": [STREAM_HEAD, chunk(b"some") + b"9\r\nhalf", Close],
    "a body that is shorter than announced": [b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nsome", Close],
}


@pytest.mark.parametrize("script", CUT.values(), ids=CUT.keys())
async def test_an_answer_that_is_cut_never_looks_whole(
    transport: AiohttpTransport, upstream: Counting, script: list[bytes]
) -> None:
    upstream.script(script)
    with pytest.raises(TransportFailed) as failed:
        await exchanged(transport, upstream)
    assert failed.value.failure.kind is FailureKind.DISCONNECTED


async def test_a_body_above_the_limit_is_not_read_to_its_end(transport: AiohttpTransport, upstream: Counting) -> None:
    upstream.script([whole(200, b"x" * 101)])
    response = await transport.open(request(upstream), connect=LONG, headers=LONG)
    with pytest.raises(TransportFailed, match="larger than 100 bytes"):
        await response.read_all(100)
    response.close()


async def test_the_headers_clock_trips_under_its_name(transport: AiohttpTransport, upstream: Counting) -> None:
    upstream.script([Pause()])
    with pytest.raises(TransportFailed) as failed:
        await transport.open(request(upstream), connect=0.05, headers=0.05)
    assert failed.value.failure.kind is FailureKind.HEADERS_TIMEOUT
    assert failed.value.failure.clock is Clock.HEADERS


async def test_the_connect_clock_trips_under_its_name(transport: AiohttpTransport) -> None:
    # A listener whose backlog is full answers no connection.
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        began = time.monotonic()
        with pytest.raises(TransportFailed) as failed:
            await transport.open(
                UpstreamRequest(f"http://127.0.0.1:{deaf.getsockname()[1]}/", {}, b""), connect=0.1, headers=LONG
            )
        assert time.monotonic() - began < LONG / 2
    assert failed.value.failure.kind is FailureKind.CONNECT_TIMEOUT
    assert failed.value.failure.clock is Clock.CONNECT


@pytest.mark.parametrize(
    ("url", "kind", "told"),
    [
        ("http://127.0.0.1:1/x", FailureKind.CONNECT_FAILED, "no connection to 127.0.0.1:1: connection refused$"),
        ("http://", FailureKind.CONNECT_FAILED, "address is not valid"),
    ],
)
async def test_no_connection_is_told_by_where_it_went(
    transport: AiohttpTransport, url: str, kind: FailureKind, told: str
) -> None:
    with pytest.raises(TransportFailed, match=told) as failed:
        await transport.open(UpstreamRequest(url, {}, b""), connect=LONG, headers=LONG)
    assert failed.value.failure.kind is kind


async def test_a_name_that_does_not_resolve_is_told(
    transport: AiohttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nowhere(*_arguments: object, **_more: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "nobody of that name")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", nowhere)
    with pytest.raises(TransportFailed, match=r"'llm\.example' cannot be resolved") as failed:
        await transport.open(UpstreamRequest("http://llm.example/", {}, b""), connect=LONG, headers=LONG)
    assert failed.value.failure.kind is FailureKind.CONNECT_FAILED


async def test_tls_that_fails_is_no_mere_lost_connection(transport: AiohttpTransport) -> None:
    async def plain(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(TransportFailed) as failed:
            await transport.open(UpstreamRequest(f"https://127.0.0.1:{port}/", {}, b""), connect=LONG, headers=LONG)
    assert failed.value.failure.kind is FailureKind.TLS_FAILED


async def test_redirects_cookies_and_proxies_are_not_followed(
    transport: AiohttpTransport, upstream: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    upstream.script([whole(302, b"{}", location="/elsewhere", set_cookie="a=b")], [whole(200, b"{}")])
    response = await transport.open(request(upstream), connect=LONG, headers=LONG)
    assert response.status == 302
    await response.read_all(10)
    response.close()
    response = await transport.open(request(upstream), connect=LONG, headers=LONG)
    response.close()
    assert [seen.path for seen in upstream.journal] == ["/v1/a%2Fb"] * 2
    assert "cookie" not in upstream.journal[1].headers


async def test_a_header_that_http_cannot_carry_is_a_failure_and_nothing_is_sent(
    transport: AiohttpTransport, upstream: Counting
) -> None:
    with pytest.raises(TransportFailed):
        await transport.open(request(upstream, authorization="Bearer a\r\nb: c"), connect=LONG, headers=LONG)
    assert upstream.journal == []
