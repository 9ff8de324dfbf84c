"""Breakers at work: what is set aside, who probes it, and what callers get when nothing else is left."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_failover import ERROR, PATHS, outcome, request_body
from tests.e2e.test_mending import pair
from tests.support.inprocess import TOPOLOGIES, Running, running_suite
from tests.support.upstream import STREAM_HEAD, Pause, Upstream, chunk, openai_answer, openai_events, whole

__all__ = ["pair"]

BREAKER = {"consecutive_failures": 1, "open_for": "300ms", "ramp": "10ms"}


def documents(found: list[Upstream], breaker: dict[str, Any] = BREAKER, **router: Any) -> list[dict[str, Any]]:
    names = ["one", "two"][: len(found)]
    forms: list[dict[str, Any]] = [
        {
            "kind": "Provider",
            "name": name,
            "type": "openai_compatible",
            "base_url": f"{upstream.url}/v1",
            "breaker": breaker,
        }
        for name, upstream in zip(names, found, strict=True)
    ]
    variant = {"variant_id": "v", "model_id": "one/m", "model_selection": {"models": [f"{n}/m" for n in names[1:]]}}
    route = {"route_id": "r", "variants": [{"weight": 100, "variant": variant}]}
    return [*forms, {"kind": "Router", "name": "pair", "default_route": route, "retry": {"max_retries": 0}, **router}]


async def ask(suite: Running, *, stream: bool = False) -> Any:
    return await suite.http.post(PATHS["chat"], json=request_body("chat", stream=stream))


BAD, GOOD = [whole(500, ERROR)], [whole(200, openai_answer("good"))]


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_reject_refuses_at_once_and_says_when_to_come_back(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str
) -> None:
    first, _ = pair
    first.script(BAD)
    breaker = {**BREAKER, "open_for": "30s"}
    async with running_suite(
        tmp_path, topology, *documents([first], breaker, on_exhausted={"mode": "reject"})
    ) as suite:
        assert (await ask(suite)).status_code == 502
        answer = await ask(suite)
    assert answer.status_code == 503
    assert 29 <= int(answer.headers["retry-after"]) <= 31
    assert "set aside" in answer.json()["error"]["message"]
    assert len(first.journal) == 1, "nothing was sent"


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_the_last_target_is_never_ejected_by_default(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str
) -> None:
    first, _ = pair
    first.script(BAD, GOOD)
    async with running_suite(tmp_path, topology, *documents([first], {**BREAKER, "open_for": "30s"})) as suite:
        assert (await ask(suite)).status_code == 502
        assert (await ask(suite)).status_code == 200


async def test_what_a_provider_asked_for_is_kept_even_for_the_last_target(
    tmp_path: Path, pair: tuple[Upstream, Upstream]
) -> None:
    first, _ = pair
    first.script([whole(429, ERROR, retry_after="30")])
    async with running_suite(tmp_path, "fused", *documents([first])) as suite:
        assert (await ask(suite)).status_code == 429
        answer = await ask(suite)
    assert answer.status_code == 429
    assert 29 <= int(answer.headers["retry-after"]) <= 31
    assert len(first.journal) == 1, "the second request is refused here, not there"


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_a_queued_request_is_served_when_its_target_comes_back(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str
) -> None:
    first, _ = pair
    first.script(BAD, GOOD)
    rule = {"mode": "queue", "max_wait": "5s", "max_len": 3}
    async with running_suite(tmp_path, topology, *documents([first], on_exhausted=rule)) as suite:
        assert (await ask(suite)).status_code == 502
        answers = await asyncio.gather(*(ask(suite) for _ in range(3)))
    assert [a.status_code for a in answers] == [200] * 3


async def test_a_full_queue_refuses(tmp_path: Path, pair: tuple[Upstream, Upstream]) -> None:
    first, _ = pair
    first.script(BAD)
    rule = {"mode": "queue", "max_wait": "60s", "max_len": 2}
    breaker = {**BREAKER, "open_for": "30s"}
    async with running_suite(tmp_path, "fused", *documents([first], breaker, on_exhausted=rule)) as suite:
        await ask(suite)
        waiting = [asyncio.create_task(ask(suite)) for _ in range(4)]
        done: set[Any] = set()
        async with asyncio.timeout(10):
            while len(done) < 2:
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                waiting_now = [t for t in waiting if not t.done()]
                if len(waiting_now) == 2:
                    break
        assert sorted(t.result().status_code for t in waiting if t.done()) == [503, 503]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_one_probe_at_a_time_while_the_others_go_elsewhere(
    tmp_path: Path, pair: tuple[Upstream, Upstream]
) -> None:
    first, second = pair
    gate = Pause()
    first.script(BAD, [gate, *GOOD])
    second.script(GOOD)
    forms = documents([first, second], {**BREAKER, "open_for": "50ms"})
    async with running_suite(tmp_path, "fused", *forms) as suite:
        await ask(suite)
        opened = suite.worker.runner.health.report(suite.worker.engine.clock.monotonic())
        assert [c.state for c in opened if c.name == "one/m"] == ["open"]
        until = next(c.until for c in opened if c.name == "one/m")
        await asyncio.sleep(max(0.0, until - suite.worker.engine.clock.monotonic()) + 0.01)
        first.arrived.clear()
        probe = asyncio.create_task(ask(suite))
        await asyncio.wait_for(first.arrived.wait(), 5)
        answers = await asyncio.gather(*(ask(suite) for _ in range(5)))
        assert len(first.journal) == 2, "the failure and one probe"
        gate.go.set()
        assert (await probe).json()["metadata"]["attempts"][0]["model"] == "one/m"
        assert all(a.json()["metadata"]["attempts"][-1]["model"] == "two/m" for a in answers)
        report = suite.worker.runner.health.report(suite.worker.engine.clock.monotonic())
        assert all(c.state == "closed" for c in report)


async def test_the_tokens_of_an_aborted_stream_are_recorded_as_estimated(
    tmp_path: Path, pair: tuple[Upstream, Upstream]
) -> None:
    first, _ = pair
    first.script([STREAM_HEAD, *(chunk(f) for f in openai_events("some text that was seen")[:2]), Pause()])
    async with running_suite(tmp_path, "fused", *documents([first])) as suite:
        async with suite.http.stream("POST", PATHS["chat"], json=request_body("chat", stream=True)) as answer:
            async for piece in answer.aiter_text():
                if "seen" in piece:
                    break
        await asyncio.wait_for(first.journal[0].ended.wait(), 2)
        await outcome(suite, "cancelled")
        record = await anext(suite.worker.records.follow(1, end=True))
    usage = record.attempts[0].usage
    assert (usage.estimated, usage.output_tokens) == (True, 6)
    assert usage.input_tokens > 0
