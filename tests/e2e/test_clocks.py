"""Clocks run from the attempt's start: a generous one never hides a strict one, and one whose event has come is over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.inprocess import running_suite
from tests.support.upstream import Pause, Trickle, openai_answer, openai_events, running_upstream, streamed, whole

GENEROUS = {"connect": "10s", "headers": "20s", "first_event": "20s", "first_content": "20s"}


def documents(silent: str, good: str, clocks: dict[str, str]) -> list[dict[str, Any]]:
    providers = [
        {"kind": "Provider", "name": name, "type": "openai_compatible", "base_url": f"{url}/v1", "clocks": limits}
        for name, url, limits in (("silent", silent, clocks), ("good", good, {}))
    ]
    variant = {"variant_id": "v", "model_id": "silent/m", "model_selection": {"models": ["good/m"]}}
    route = {"route_id": "r", "variants": [{"weight": 100, "variant": variant}]}
    return [*providers, {"kind": "Router", "name": "pair", "default_route": route}]


async def first_attempt(folder: Path, clocks: dict[str, str], *, stream: bool) -> dict[str, Any]:
    """The first attempt's evidence, at a provider that takes requests and never answers."""
    async with running_upstream() as silent, running_upstream() as good:
        silent.script([Pause()])
        good.script(streamed(openai_events("Hello")) if stream else [whole(200, openai_answer("Hello"))])
        async with running_suite(folder, "fused", *documents(silent.url, good.url, clocks)) as suite:
            body = {"model": "inworld/pair", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}
            answer = await suite.http.post("/v1/chat/completions", json=body)
            assert answer.status_code == 200, answer.text
            record = suite.worker.records.get(answer.headers["x-generation-id"])
    first = record.attempts[0]
    return {"model": first.model, "clock": first.clock, "seconds": first.duration_ms / 1000.0}


async def test_a_strict_first_content_clock_is_not_lengthened_by_the_connect_clock(tmp_path: Path) -> None:
    first = await first_attempt(tmp_path, {**GENEROUS, "first_content": "200ms"}, stream=True)
    assert (first["model"], first["clock"]) == ("silent/m", "first_content")
    assert first["seconds"] < 5.0


async def test_a_strict_total_clock_of_a_whole_answer_is_not_lengthened_by_the_connect_clock(tmp_path: Path) -> None:
    first = await first_attempt(tmp_path, {**GENEROUS, "headers": "20s", "total": "200ms"}, stream=False)
    assert (first["model"], first["clock"]) == ("silent/m", "total")
    assert first["seconds"] < 5.0


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_keeps_moving_outlasts_every_clock_but_that_of_the_whole(
    tmp_path: Path, stream: bool
) -> None:
    names = ("connect", "headers", "first_event", "first_content", "idle")
    strict = {**dict.fromkeys(names, "2s"), "total": "60s"}
    async with running_upstream() as slow, running_upstream() as good:
        head, *rest = streamed(openai_events("Hello")) if stream else halves(whole(200, openai_answer("Hello")))
        slow.script([head, Trickle(b"".join(rest), len(b"".join(rest)) // 24, 0.1)])
        async with running_suite(tmp_path, "fused", *documents(slow.url, good.url, strict)) as suite:
            body = {"model": "inworld/pair", "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}
            answer = await suite.http.post("/v1/chat/completions", json=body)
            record = suite.worker.records.get(answer.headers["x-generation-id"])
    assert [(each.model, each.clock, each.success) for each in record.attempts] == [("silent/m", "", True)]
    assert record.attempts[0].duration_ms > 2_000.0, "longer than each of them"


def halves(answer: bytes) -> tuple[bytes, bytes]:
    """An answer's head, and its body."""
    head, end, body = answer.partition(b"\r\n\r\n")
    return head + end, body
