"""The fake clock, which users' tests rely on as well as ours; and the real one beside it."""

from __future__ import annotations

import asyncio
import time

from services.runtime.clock import SystemClock
from services.runtime.testing import FakeClock


async def test_sleepers_wake_in_order_when_time_is_moved_and_not_before() -> None:
    clock = FakeClock()
    woken: list[str] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(name)

    tasks = [asyncio.create_task(sleeper(n, s)) for n, s in (("late", 5.0), ("soon", 1.0), ("now", 0.0))]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert woken == ["now"]
    clock.advance(0.5)
    await asyncio.sleep(0)
    assert woken == ["now"]
    clock.advance(10)
    await asyncio.gather(*tasks)
    assert woken == ["now", "soon", "late"]


async def test_a_sleeper_that_was_cancelled_is_left_alone() -> None:
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(1))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    clock.advance(2)
    assert clock.monotonic() == 1_002.0


def test_the_wall_moves_with_the_clock_and_seeds_are_all_different() -> None:
    clock = FakeClock(wall=1_000_000.0)
    clock.advance(2.5)
    assert clock.wall() == 1_000_002.5
    assert len({clock.seed() for _ in range(10)}) == 10


async def test_the_systems_clock_is_the_systems() -> None:
    clock = SystemClock()
    before = time.monotonic()
    await clock.sleep(0)
    assert before <= clock.monotonic() <= time.monotonic()
    assert abs(clock.wall() - time.time()) < 60
    assert 0 <= clock.seed() < 2**64
    assert clock.seed() != clock.seed()
