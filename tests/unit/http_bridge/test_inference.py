"""Inference routes: what reaches the worker, what comes back, and what is told of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from turnout.inference.v1.inference_service_pb2 import Api, InvokeEvent, InvokeRequest, InvokeResponse

from services.core.errors import Overloaded
from services.http_bridge.http import Response, StreamingResponse
from tests.unit.http_bridge.fakes import JSON, SSE, Rig, json_of, rig

BODY = b'{"model":"m","messages":[]}'
STREAM = b'{"model":"m","messages":[],"stream":true}'


async def read(response: Response | StreamingResponse) -> list[bytes]:
    assert isinstance(response, StreamingResponse)
    return [chunk async for chunk in response.chunks]


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/v1/chat/completions", Api.API_CHAT_COMPLETIONS),
        ("/api/v1/chat/completions", Api.API_OPENROUTER_CHAT),
        ("/v1/messages", Api.API_MESSAGES),
        ("/api/v1/messages", Api.API_MESSAGES),
    ],
)
async def test_the_body_reaches_the_worker_untouched_and_the_answer_the_caller(path: str, api: Any) -> None:
    found = rig()
    found.backend.response.body = b'{"odd" :1}'
    response = await found.call("POST", path, BODY)
    assert isinstance(response, Response)
    assert (response.status, response.body) == (200, b'{"odd" :1}')
    (asked,) = found.backend.asked
    assert (asked.api, asked.body) == (api, BODY)
    assert asked.traceparent == f"00-{'ab' * 16}-{'cd' * 8}-01"
    assert asked.tracestate == "vendor=1"
    assert found.observer.ended == [(path, 200)]


async def test_only_listed_headers_leave_the_bridge() -> None:
    found = rig()
    secret = {"cookie": "a=b", "x_forwarded_for": "1.2.3.4", "host": "x", "proxy_authorization": "y"}
    wanted = {"authorization": "Bearer k", "x_api_key": "k", "anthropic_version": "v", "x_session_id": "s"}
    traced = {"traceparent": "tp", "tracestate": "ts"}
    await found.call("POST", "/v1/messages", BODY, headers={**secret, **wanted, **traced})
    assert dict(found.backend.asked[0].headers) == {k.replace("_", "-"): v for k, v in wanted.items()}
    assert found.observer.begun == [("tp", "ts")]


@pytest.mark.parametrize(("value", "milliseconds"), [("1.5s", 1500), ("250ms", 250), ("soon", 0), ("0s", 0)])
async def test_the_callers_patience_is_passed_on(value: str, milliseconds: int) -> None:
    found = rig()
    await found.call("POST", "/v1/messages", BODY, headers={"x_turnout_timeout": value})
    assert found.backend.asked[0].timeout_ms == milliseconds


async def test_a_stream_is_passed_on_piece_by_piece_and_told_once_when_it_ends() -> None:
    found = rig()
    found.backend.events = [InvokeEvent(status=200, headers=SSE, data=b"one"), InvokeEvent(), InvokeEvent(data=b"two")]
    response = await found.call("POST", "/v1/chat/completions", STREAM)
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"
    assert found.observer.ended == []
    assert await read(response) == [b"one", b"two"]
    assert found.observer.ended == [("/v1/chat/completions", 200)]
    assert found.backend.closed.is_set()


async def test_a_stream_that_fails_before_content_is_a_whole_answer_with_its_status() -> None:
    found = rig()
    found.backend.events = [InvokeEvent(status=503, headers=JSON, data=b'{"err'), InvokeEvent(data=b'or":1}')]
    response = await found.call("POST", "/v1/chat/completions", STREAM)
    assert isinstance(response, Response)
    assert (response.status, response.body) == (503, b'{"error":1}')
    assert found.observer.ended == [("/v1/chat/completions", 503)]


@pytest.mark.parametrize("body", [BODY, STREAM])
async def test_a_data_plane_that_is_away_is_an_error_in_the_callers_dialect(body: bytes) -> None:
    found = rig()
    found.backend.error = Overloaded("no worker", retry_after=1.0)
    found.backend.events = [found.backend.error]
    response = await found.call("POST", "/v1/messages", body)
    assert response.status == 503
    assert response.headers["retry-after"] == "1"
    assert json_of(response)["error"] == {"type": "overloaded_error", "message": "no worker"}
    assert found.observer.ended == [("/v1/messages", 503)]


async def test_a_body_that_is_too_large_never_reaches_the_worker() -> None:
    found = rig()
    response = await found.call("POST", "/v1/messages", b"", too_large=True)
    assert response.status == 413
    assert found.backend.asked == []


@pytest.mark.parametrize(
    "body", [b'{"stream":false}', b'{"stream":null}', b'{"x":"stream"}', b"{", b'{"stream":"yes"}', b"\xff", b""]
)
async def test_a_body_that_does_not_ask_for_a_stream_is_served_whole(body: bytes) -> None:
    found = rig()
    assert isinstance(await found.call("POST", "/v1/chat/completions", body), Response)


async def gone(found: Rig, response: StreamingResponse) -> None:
    await anext(response.chunks)
    await response.chunks.aclose()
    assert found.backend.closed.is_set()


async def test_a_caller_that_leaves_a_stream_closes_it_all_the_way() -> None:
    found = rig()
    found.backend.events = [InvokeEvent(status=200, headers=SSE, data=b"one"), InvokeEvent(data=b"two")]
    response = await found.call("POST", "/v1/chat/completions", STREAM)
    assert isinstance(response, StreamingResponse)
    await gone(found, response)
    assert found.observer.ended == [("/v1/chat/completions", 200)]


async def test_a_caller_that_leaves_before_the_answer_is_told_as_499(monkeypatch: pytest.MonkeyPatch) -> None:
    found = rig()
    waiting = asyncio.Event()

    async def hang(request: InvokeRequest) -> InvokeResponse:
        del request
        waiting.set()
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    monkeypatch.setattr(found.backend, "invoke", hang)
    task = asyncio.create_task(found.call("POST", "/v1/chat/completions", BODY))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert found.observer.ended == [("/v1/chat/completions", 499)]
