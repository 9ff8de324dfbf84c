"""The worker's evidence: bounded, followed, handed on."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from services.core.errors import NotFound
from services.dataplane.records import FOLLOWER_BACKLOG, KEPT, RecordLog
from services.dataplane.trail import Trail
from tests.unit.dataplane.build import trail


def finished(number: int) -> Trail:
    return trail(generation_id=f"g{number}", outcome="ok", ended=101.0)


def test_every_trail_goes_to_every_sink_once() -> None:
    seen: list[str] = []
    log = RecordLog("n", [lambda t: seen.append("a" + t.generation_id), lambda t: seen.append("b" + t.generation_id)])
    log.append(finished(1))
    assert seen == ["ag1", "bg1"]


def test_a_record_is_found_by_its_id_as_long_as_it_is_kept() -> None:
    log = RecordLog("n")
    for number in range(KEPT + 1):
        log.append(finished(number))
    assert log.get(f"g{KEPT}").generation_id == f"g{KEPT}"
    assert log.get("g1").node_id == "n"
    with pytest.raises(NotFound, match="keeps the last 2000"):
        log.get("g0")


async def test_a_tail_that_ends_is_the_last_records_in_order() -> None:
    log = RecordLog("n")
    for number in range(5):
        log.append(finished(number))
    assert [r.generation_id async for r in log.follow(3, end=True)] == ["g2", "g3", "g4"]
    assert [r.generation_id async for r in log.follow(0, end=True)] == []
    assert [r.generation_id async for r in log.follow(99, end=True)] == ["g0", "g1", "g2", "g3", "g4"]


async def test_a_follower_gets_what_comes_and_is_forgotten_when_it_leaves() -> None:
    log = RecordLog("n")
    log.append(finished(1))
    async with aclosing(log.follow(1)) as records:
        assert (await anext(records)).generation_id == "g1"
        waiting = asyncio.ensure_future(anext(records))
        await asyncio.sleep(0)
        log.append(finished(2))
        assert (await asyncio.wait_for(waiting, 5)).generation_id == "g2"
        log.append(finished(3))
        assert (await anext(records)).generation_id == "g3"
    assert log._followers == set()


async def test_a_follower_that_does_not_keep_up_loses_its_oldest_records_and_nobody_elses() -> None:
    log = RecordLog("n")
    async with aclosing(log.follow(0)) as records:
        waiting = asyncio.ensure_future(anext(records))
        await asyncio.sleep(0)
        for number in range(FOLLOWER_BACKLOG + 10):
            log.append(finished(number))
        assert (await asyncio.wait_for(waiting, 5)).generation_id == "g10"
