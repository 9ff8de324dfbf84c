"""The alarm: limits of waits are kept, few timers are made, and whoever else cancels is heard."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.dataplane.alarm import Alarm

SOON, LATER, NEVER = 0.02, 0.06, 3_600.0


@pytest.fixture
async def timers(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.TimerHandle]:
    """Every timer that is made from now on."""
    made: list[asyncio.TimerHandle] = []
    loop = asyncio.get_running_loop()
    call_at = loop.call_at

    def noted(*given: Any, **more: Any) -> asyncio.TimerHandle:
        made.append(call_at(*given, **more))
        return made[-1]

    monkeypatch.setattr(loop, "call_at", noted)
    return made


async def test_a_wait_that_is_too_long_ends_and_not_before_its_limit() -> None:
    alarm, loop = Alarm(), asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(TimeoutError), alarm.after(SOON):
        await asyncio.Event().wait()
    assert loop.time() - began >= SOON * 0.9
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0


async def test_one_timer_serves_wait_after_wait(timers: list[asyncio.TimerHandle]) -> None:
    alarm = Alarm()
    for _ in range(50):
        with alarm.after(NEVER):
            await asyncio.sleep(0)
    assert len(timers) == 1
    alarm.stop()
    assert timers[0].cancelled()


async def test_a_shorter_limit_has_a_timer_of_its_own(timers: list[asyncio.TimerHandle]) -> None:
    alarm = Alarm()
    with alarm.after(NEVER):
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError), alarm.after(SOON):
        await asyncio.Event().wait()
    assert [timer.cancelled() for timer in timers] == [True, False]


async def test_a_timer_that_goes_off_for_an_earlier_wait_is_set_again(timers: list[asyncio.TimerHandle]) -> None:
    alarm = Alarm()
    with alarm.after(SOON):
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError), alarm.after(LATER):
        await asyncio.Event().wait()
    assert len(timers) == 2
    assert timers[1].when() - timers[0].when() > SOON


async def test_a_timer_that_goes_off_between_waits_does_nothing(timers: list[asyncio.TimerHandle]) -> None:
    alarm, passed = Alarm(), asyncio.Event()
    with alarm.after(SOON):
        await asyncio.sleep(0)
    # Timers go off in the order of their times, so this one is after the alarm's.
    timer = asyncio.get_running_loop().call_at(timers[0].when() + 0.001, passed.set)
    await passed.wait()
    with alarm.after(NEVER):
        await asyncio.sleep(0)
    assert [made for made in timers if made is not timer][-1].when() > timer.when() + 1.0
    alarm.stop()


async def test_whoever_cancels_the_task_is_heard() -> None:
    waits = asyncio.Event()

    async def wait() -> None:
        with Alarm().after(NEVER):
            waits.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await waits.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_whoever_cancels_the_task_as_the_limit_passes_is_heard_too() -> None:
    loop = asyncio.get_running_loop()

    async def wait() -> None:
        with Alarm().after(-SOON):
            # Both come before the task runs again: the limit has passed, and somebody else cancels.
            current = asyncio.current_task()
            assert current is not None
            loop.call_soon(current.cancel)
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_an_error_inside_is_not_changed() -> None:
    alarm = Alarm()
    with pytest.raises(ValueError, match="mine"), alarm.after(NEVER):
        raise ValueError("mine")
    alarm.stop()
