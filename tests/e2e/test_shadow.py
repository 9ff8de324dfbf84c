"""Shadows: what a candidate gets, while callers, their health and their budgets do not notice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.inprocess import TOPOLOGIES, Running, eventually, records, running_suite
from tests.support.upstream import (
    Pause,
    Upstream,
    anthropic_answer,
    anthropic_events,
    openai_answer,
    openai_events,
    running_upstream,
    streamed,
    whole,
)

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "inworld/r", "messages": [{"role": "user", "content": "Hi"}], "user": "ann"}


@asynccontextmanager
async def serving(
    folder: Path, topology: str = "fused", **shadow: Any
) -> AsyncIterator[tuple[Running, Upstream, Upstream]]:
    """A route at `live`, with a shadow at `trial`, which speaks another protocol."""
    async with running_upstream() as live, running_upstream() as trial:
        rule = {"model_id": "trial/m", "percent": 100, "max_per_second": 100, **shadow}
        documents: list[dict[str, Any]] = [
            {"kind": "Provider", "name": "live", "type": "openai_compatible", "base_url": f"{live.url}/v1"},
            {"kind": "Provider", "name": "trial", "type": "anthropic", "base_url": trial.url},
            {"kind": "Model", "name": "trial/m", "prices": {"input_per_million": 1000, "output_per_million": 1000}},
            {
                "kind": "Router",
                "name": "r",
                "default_route": {
                    "route_id": "main",
                    "variants": [{"weight": 100, "variant": {"variant_id": "v", "model_id": "live/m"}}],
                    "shadow": rule,
                },
            },
        ]
        async with running_suite(folder, topology, *documents) as suite:
            live.script([whole(200, openai_answer("Live"))])
            trial.script([whole(200, anthropic_answer("Trial"))])
            yield suite, live, trial


def shadows(suite: Running) -> list[Any]:
    return [record for record in records(suite) if record.shadow_of]


def counted(suite: Running, result: str) -> float:
    labels = {"router": "r", "result": result}
    return suite.worker._metrics.registry.get_sample_value("turnout_shadows_total", labels) or 0.0


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_an_answered_request_is_sent_to_the_candidate_and_recorded_apart(tmp_path: Path, topology: str) -> None:
    async with serving(tmp_path, topology) as (suite, _, trial):
        answer = (await suite.http.post(CHAT, json=BODY)).json()
        assert answer["choices"][0]["message"]["content"] == "Live"
        assert [a["model"] for a in answer["metadata"]["attempts"]] == ["live/m"]
        await eventually(lambda: bool(shadows(suite)))
        (record,) = shadows(suite)
        assert record.shadow_of == answer["metadata"]["generation_id"]
        assert (record.outcome, record.model, record.variant_id) == ("ok", "trial/m", "shadow:trial/m")
        assert (record.route_id, record.exposed, record.usage.cost_usd > 0) == ("main", False, True)
        assert b"Hi" in trial.journal[0].body
        registry = suite.worker._metrics.registry
        labels = {"api": "chat.completions", "router": "r", "outcome": "ok", "status": "2xx"}
        assert registry.get_sample_value("turnout_requests_total", labels) == 1
        assert registry.get_sample_value("turnout_attempts_total", {"provider": "trial", "result": "OK"}) is None
        assert counted(suite, "ok") == 1


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_a_stream_is_shadowed_when_it_has_ended(tmp_path: Path, topology: str) -> None:
    async with serving(tmp_path, topology) as (suite, live, trial):
        live.script(streamed(openai_events("Li", "ve")))
        trial.script(streamed(anthropic_events("Tri", "al")))
        answer = await suite.http.post(CHAT, json={**BODY, "stream": True})
        assert "data: [DONE]" in answer.text
        await eventually(lambda: bool(shadows(suite)))
        (record,) = shadows(suite)
        assert (record.outcome, record.stream, record.HasField("time_to_first_token_ms")) == ("ok", True, True)


async def test_a_candidate_that_fails_benches_nothing_for_callers(tmp_path: Path) -> None:
    async with serving(tmp_path) as (suite, _, trial):
        trial.script([whole(503, {"error": {"message": "down"}})])
        for done in range(1, 9):
            assert (await suite.http.post(CHAT, json=BODY)).status_code == 200
            await eventually(lambda done=done: len(shadows(suite)) == done)  # type: ignore[misc]
        assert {record.outcome for record in shadows(suite)} == {"failed"}
        assert all(len(record.attempts) <= 1 for record in shadows(suite))
        seen = suite.worker.runner.health.view(suite.worker.engine.clock.monotonic())
        assert "live/m" in str(seen)
        assert "trial" not in str(seen)
        # Its own health knows better than to go on calling it.
        assert len(trial.journal) < 8
        trial.script([whole(200, anthropic_answer("Back"))])
        direct = (await suite.http.post(CHAT, json={**BODY, "model": "trial/m"})).json()
        assert direct["choices"][0]["message"]["content"] == "Back"


async def test_what_was_not_answered_is_not_shadowed(tmp_path: Path) -> None:
    async with serving(tmp_path) as (suite, live, trial):
        live.script([whole(400, {"error": {"message": "bad"}})])
        assert (await suite.http.post(CHAT, json=BODY)).status_code == 400
        live.script([whole(200, openai_answer("Live"))])
        assert (await suite.http.post(CHAT, json=BODY)).status_code == 200
        await eventually(lambda: bool(shadows(suite)))
        assert (len(shadows(suite)), len(trial.journal)) == (1, 1)


@pytest.mark.parametrize(
    ("bound", "why"), [({"max_per_second": 0.001}, "rate"), ({"max_cost_per_hour_usd": 0.02}, "cost")]
)
async def test_bounds_hold_and_what_they_cost_is_counted(tmp_path: Path, bound: dict[str, float], why: str) -> None:
    async with serving(tmp_path, **bound) as (suite, _, trial):
        for _ in range(4):
            assert (await suite.http.post(CHAT, json=BODY)).status_code == 200
        await eventually(lambda: len(shadows(suite)) == 1 and counted(suite, why) == 3)
        assert len(trial.journal) == 1


async def test_the_end_waits_for_shadows_within_the_grace_and_drops_them_beyond(tmp_path: Path) -> None:
    async with serving(tmp_path) as (suite, _, trial):
        trial.script([Pause()])
        assert (await suite.http.post(CHAT, json=BODY)).status_code == 200
        await eventually(lambda: bool(trial.journal))
        await suite.worker.shadows.drain(0.0)
        assert [record.outcome for record in shadows(suite)] == ["cancelled"]
        assert (await suite.http.post(CHAT, json=BODY)).status_code == 200
        assert counted(suite, "ending") == 1


async def test_a_shadow_that_ends_within_the_grace_is_whole(tmp_path: Path) -> None:
    async with serving(tmp_path) as (suite, _, trial):
        slow = Pause()
        trial.script([slow, whole(200, anthropic_answer("Trial"))])
        assert (await suite.http.post(CHAT, json=BODY)).status_code == 200
        await eventually(lambda: bool(trial.journal))
        ending = asyncio.ensure_future(suite.worker.shadows.drain(30.0))
        slow.go.set()
        await ending
        assert [record.outcome for record in shadows(suite)] == ["ok"]
