"""A simulated provider over HTTP, and its faults."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from services.cli.simulated import server
from services.cli.simulated.faults import Fault
from services.cli.simulated.server import SimulatedProvider, serve
from tests.support.ports import free_port

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hola"}]}


@dataclass(frozen=True, slots=True)
class Served:
    """A provider of each wire, and a client of each."""

    provider: SimulatedProvider
    http: httpx.AsyncClient
    path: str

    async def fault(self, **wanted: Any) -> httpx.Response:
        return await self.http.post("/_faults", json=wanted)

    async def ask(self, **more: Any) -> httpx.Response:
        return await self.http.post(self.path, json={**BODY, **more})


@pytest.fixture(params=["openai", "anthropic"])
async def served(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    provider, port = SimulatedProvider("sim", request.param, Fault(), token_seconds=0.0), free_port()
    runner = await serve(provider, "127.0.0.1", port)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as http:
        yield Served(provider, http, server.PATHS[request.param])
    await runner.cleanup()


async def test_a_request_is_answered_whole_or_as_a_stream_and_counted(served: Served) -> None:
    whole = await served.ask()
    assert (whole.status_code, whole.headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert "[simulated answer of sim, model m] You said: Hola" in whole.text
    stream = await served.ask(stream=True)
    assert (stream.status_code, stream.headers["content-type"]) == (200, "text/event-stream")
    assert "Hola" in stream.text
    assert (await served.http.get("/_faults")).json() == {
        "provider": "sim",
        "requests": 2,
        "fault": {"kind": "none", "status": 503, "seconds": 2.0, "after": 2, "retry_after": None, "times": -1},
    }


async def test_a_status_is_told_with_when_to_come_back(served: Served) -> None:
    await served.fault(kind="status", status=429, retry_after=1.5, times=1)
    refused = await served.ask()
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1.5")
    assert "simulated fault of sim" in refused.text
    assert (await served.ask()).status_code == 200
    await served.fault(kind="status", status=500)
    assert "retry-after" not in (await served.ask()).headers


async def test_a_stream_is_cut_after_so_many_chunks(served: Served) -> None:
    await served.fault(kind="cut", after=2)
    heard: list[str] = []
    with pytest.raises(httpx.RemoteProtocolError):
        await _listen(served, heard)
    assert '" answer"' in "".join(heard)
    assert '" of"' not in "".join(heard)


async def _listen(served: Served, heard: list[str]) -> None:
    async with served.http.stream("POST", served.path, json={**BODY, "stream": True}) as response:
        async for piece in response.aiter_text():
            heard.append(piece)


@pytest.mark.parametrize("kind", ["hang", "stall"])
async def test_silence_ends_with_the_caller(served: Served, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entered, left = asyncio.Event(), asyncio.Event()

    async def for_ever(seconds: float) -> None:
        if seconds != server.HANG_SECONDS:
            return
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()

    monkeypatch.setattr("services.cli.simulated.server.asyncio.sleep", for_ever)
    await served.fault(kind=kind, after=0)
    asking = asyncio.create_task(served.ask(stream=True))
    await entered.wait()
    asking.cancel()
    await asyncio.wait_for(left.wait(), 5)


async def test_a_slow_answer_waits_as_long_as_it_was_told(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def note(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("services.cli.simulated.server.asyncio.sleep", note)
    await served.fault(kind="slow", seconds=3)
    assert (await served.ask()).status_code == 200
    assert slept == [3]


@pytest.mark.parametrize("body", [b"{", b"[]", b"3", b"\xff"])
async def test_a_body_that_is_none_is_refused(served: Served, body: bytes) -> None:
    refused = await served.http.post(served.path, content=body)
    assert (refused.status_code, refused.headers["content-type"].split(";")[0]) == (400, "application/json")


@pytest.mark.parametrize("body", ["[]", "{", '{"kind": "odd"}', '{"kind": "slow", "seconds": "x"}', '{"status": null}'])
async def test_a_fault_that_makes_no_sense_is_refused(served: Served, body: str) -> None:
    refused = await served.http.post("/_faults", content=body)
    assert refused.status_code == 400
    assert refused.json()["error"]
    assert (await served.ask()).status_code == 200
