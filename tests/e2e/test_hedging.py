"""Hedges: a second attempt while the first is silent; the first content wins, the loser is closed and recorded."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_failover import PATHS, outcome, request_body, text_of
from tests.e2e.test_mending import documents, frames, pair
from tests.support.inprocess import TOPOLOGIES, running_suite
from tests.support.upstream import STREAM_HEAD, Pause, Upstream, openai_answer, streamed, whole

__all__ = ["pair"]

HEDGE = {"enabled": True, "after": "100ms", "budget": 1.0}


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("api", ["chat", "messages"])
@pytest.mark.parametrize("stream", [False, True])
async def test_the_first_content_wins_and_the_loser_is_closed(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str, api: str, stream: bool
) -> None:
    first, second = pair
    first.script([STREAM_HEAD, Pause()] if stream else [Pause()])
    second.script(streamed(frames("openai", "quick")) if stream else [whole(200, openai_answer("quick"))])
    async with running_suite(tmp_path, topology, *documents(first, second, ("openai",) * 2, hedge=HEDGE)) as suite:
        answer = await suite.http.post(PATHS[api], json=request_body(api, stream=stream))
        await asyncio.wait_for(first.journal[0].ended.wait(), 5)
        await outcome(suite, "ok")
    text, metadata = text_of(api, stream, answer.text)
    assert text == "quick"
    lost, won = metadata["attempts"]
    assert (lost["success"], lost["cancelled"]) == (False, True)
    assert (won["success"], won["kind"]) == (True, "hedge")


async def test_no_hedge_starts_when_the_first_is_quick(tmp_path: Path, pair: tuple[Upstream, Upstream]) -> None:
    first, second = pair
    first.script(streamed(frames("openai", "a")))
    second.script(streamed(frames("openai", "b")))
    patient = {**HEDGE, "after": "5s"}
    async with running_suite(tmp_path, "fused", *documents(first, second, ("openai",) * 2, hedge=patient)) as suite:
        for _ in range(5):
            answer = await suite.http.post(PATHS["chat"], json=request_body("chat", stream=True))
            assert text_of("chat", True, answer.text)[0] == "a"
    assert not second.journal


async def test_a_hedge_whose_both_sides_fail_goes_on_to_the_next(
    tmp_path: Path, pair: tuple[Upstream, Upstream]
) -> None:
    first, second = pair
    gate = Pause()
    first.script([gate, whole(500, {"error": {"message": "no"}})], streamed(frames("openai", "third")))
    second.script([whole(500, {"error": {"message": "no"}})])
    forms = documents(first, second, ("openai",) * 2, hedge=HEDGE)
    forms.append({"kind": "Provider", "name": "three", "type": "openai_compatible", "base_url": f"{first.url}/v1"})
    selection: Any = forms[3]["default_route"]["variants"][0]["variant"]["model_selection"]
    selection["models"].append("three/m")
    async with running_suite(tmp_path, "fused", *forms) as suite:
        task = asyncio.create_task(suite.http.post(PATHS["chat"], json=request_body("chat", stream=True)))
        await asyncio.wait_for(second.arrived.wait(), 5)
        gate.go.set()
        answer = await task
    text, metadata = text_of("chat", True, answer.text)
    assert text == "third"
    assert [a["success"] for a in metadata["attempts"]] == [False, False, True]


async def test_hedges_stay_within_their_budget(tmp_path: Path, pair: tuple[Upstream, Upstream]) -> None:
    first, second = pair
    gate = Pause()
    first.script([gate, *streamed(frames("openai", "late"))])
    second.script(streamed(frames("openai", "hedged")))
    forms = documents(first, second, ("openai",) * 2, hedge={**HEDGE, "budget": 0.05})
    forms[0]["clocks"] = {}
    async with running_suite(tmp_path, "fused", *forms) as suite:
        tasks = [
            asyncio.create_task(suite.http.post(PATHS["chat"], json=request_body("chat", stream=True)))
            for _ in range(40)
        ]
        done: set[asyncio.Task[Any]] = set()
        async with asyncio.timeout(10):
            while len(done) < 2:
                done |= (await asyncio.wait(set(tasks) - done, return_when=asyncio.FIRST_COMPLETED))[0]
        done |= (await asyncio.wait(set(tasks) - done, timeout=0.5))[0]
        assert len(done) == len(second.journal) == 2, "5 % of 40"
        gate.go.set()
        await asyncio.gather(*tasks)
