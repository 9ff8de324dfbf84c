"""Several addresses and credentials of one provider: shared load, and failover among them."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_failover import ERROR, PATHS, request_body
from tests.e2e.test_mending import pair
from tests.support.inprocess import TOPOLOGIES, running_suite
from tests.support.upstream import STREAM_HEAD, Pause, Upstream, chunk, openai_answer, openai_events, streamed, whole

__all__ = ["pair"]


def provider(first: Upstream, second: Upstream, **more: Any) -> dict[str, Any]:
    addresses = [("eu", first), ("us", second)]
    endpoints = [{"name": name, "base_url": f"{found.url}/v1"} for name, found in addresses]
    return {"kind": "Provider", "name": "p", "type": "openai_compatible", "endpoints": endpoints, **more}


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_another_address_answers_when_one_fails(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str
) -> None:
    first, second = pair
    first.script([whole(500, ERROR)])
    second.script([whole(200, openai_answer("good"))])
    async with running_suite(tmp_path, topology, provider(first, second)) as suite:
        chains = []
        for _ in range(20):
            answer = await suite.http.post(PATHS["chat"], json=request_body("chat", stream=False, model="p/m"))
            assert answer.status_code == 200, answer.text
            chains.append(answer.json()["metadata"]["attempts"])
        records = [r async for r in suite.worker.records.follow(20, end=True)]
    assert all(chain[-1]["success"] for chain in chains)
    assert {a.endpoint for r in records for a in r.attempts} == {"eu", "us"}
    assert {a.server_address for r in records for a in r.attempts if a.success} == {second.url.removeprefix("http://")}
    assert len(chains[-1]) == 1, "the failing address is set aside by then"


async def test_load_goes_to_the_address_with_less_in_flight(tmp_path: Path, pair: tuple[Upstream, Upstream]) -> None:
    first, second = pair
    gate = Pause()
    first.script([gate, *streamed(openai_events("slow"))])
    second.script(streamed(openai_events("quick")))
    async with running_suite(tmp_path, "fused", provider(first, second)) as suite:
        body = request_body("chat", stream=True, model="p/m")
        hanging: set[asyncio.Task[Any]] = set()
        for _ in range(40):
            task = asyncio.create_task(suite.http.post(PATHS["chat"], json=body))
            hung = asyncio.create_task(_one_more(first))
            await asyncio.wait({task, hung}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                hanging.add(task)
            hung.cancel()
        assert len(first.journal) == len(hanging)
        assert len(first.journal) < 15, "requests that hang at one address keep others away from it"
        gate.go.set()
        await asyncio.gather(*hanging)


async def _one_more(upstream: Upstream) -> None:
    """Return when one more request has arrived."""
    upstream.arrived.clear()
    await upstream.arrived.wait()


async def test_a_pool_of_credentials_shares_the_load_and_outlives_a_bad_one(
    tmp_path: Path, pair: tuple[Upstream, Upstream]
) -> None:
    first, _ = pair
    seen: Counter[str] = Counter()
    first.script([whole(401, ERROR)])
    environment = {"A": "sk-a", "B": "sk-b"}
    form = {"kind": "Provider", "name": "p", "type": "openai_compatible", "base_url": f"{first.url}/v1"}
    async with running_suite(
        tmp_path, "fused", {**form, "credentials": ["env:A", "env:B"]}, environment=environment
    ) as suite:
        answer = await suite.http.post(PATHS["chat"], json=request_body("chat", stream=False, model="p/m"))
        assert answer.status_code == 502
        assert [a["error"] for a in answer.json()["metadata"]["attempts"]] == ["CREDENTIALS_REJECTED"] * 2
        seen.update(r.headers["authorization"] for r in first.journal)
    assert seen == {"Bearer sk-a": 1, "Bearer sk-b": 1}


async def test_the_limit_on_the_first_content_follows_the_targets_own_speed(
    tmp_path: Path, pair: tuple[Upstream, Upstream]
) -> None:
    first, second = pair
    first.script(*[streamed(openai_events("quick"))] * 30, [STREAM_HEAD, chunk(openai_events("x")[0]), Pause()])
    second.script(streamed(openai_events("fallback")))
    forms = [
        {"kind": "Provider", "name": name, "type": "openai_compatible", "base_url": f"{found.url}/v1"}
        for name, found in (("one", first), ("two", second))
    ]
    variant = {"variant_id": "v", "model_id": "one/m", "model_selection": {"models": ["two/m"]}}
    route = {"route_id": "r", "variants": [{"weight": 100, "variant": variant}]}
    clocks = {"first_content": "60s", "ttft": {"p": 0.95, "factor": 4, "min": "1s"}}
    forms.append({"kind": "Router", "name": "pair", "default_route": route, "clocks": clocks})
    async with running_suite(tmp_path, "fused", *forms) as suite:
        for _ in range(30):
            await suite.http.post(PATHS["chat"], json=request_body("chat", stream=True))
        answer = await asyncio.wait_for(suite.http.post(PATHS["chat"], json=request_body("chat", stream=True)), 20)
        record = await anext(suite.worker.records.follow(1, end=True))
    assert "fallback" in answer.text
    assert [(a.clock, a.success) for a in record.attempts] == [("first_content", False), ("", True)]
