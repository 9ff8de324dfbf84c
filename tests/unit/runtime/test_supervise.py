"""How a process lives: a crash of a background task ends it, a signal ends it well."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from services.runtime.listening import CannotListen
from services.runtime.supervise import Background, Stop, _run


async def test_a_crashed_background_task_is_logged_and_ends_the_process(caplog: pytest.LogCaptureFixture) -> None:
    async def crash() -> None:
        raise RuntimeError("boom")

    stop = Stop()
    Background(stop).start("publisher", crash())
    await asyncio.wait_for(stop.wait(), 5)
    assert stop.exit_code == 1
    assert "background task publisher crashed; the process ends" in caplog.text
    assert "boom" in caplog.text


async def test_a_background_task_that_ends_by_itself_ends_nothing() -> None:
    stop = Stop()
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    await Background(stop).start("work", work())
    assert done.is_set()
    waiting = asyncio.ensure_future(stop.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


async def test_cancel_waits_for_every_task_even_one_that_fails_on_its_way_out() -> None:
    ended: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)
            if name == "bad":
                raise ValueError(name)

    stop = Stop()
    background = Background(stop)
    for name in ("good", "bad"):
        background.start(name, work(name))
    await asyncio.sleep(0)
    await background.cancel()
    assert sorted(ended) == ["bad", "good"]


async def test_the_first_bad_exit_code_counts() -> None:
    stop = Stop()
    stop.set()
    assert stop.exit_code == 0
    stop.set(3)
    stop.set(5)
    stop.set()
    assert stop.exit_code == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_asks_the_process_to_end_well(number: signal.Signals) -> None:
    drained = asyncio.Event()

    async def main(stop: Stop) -> None:
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), 5)
        drained.set()

    loop = asyncio.get_running_loop()
    try:
        assert await _run(main) == 0
    finally:
        for other in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(other)
    assert drained.is_set()


async def test_a_crash_inside_shows_in_the_exit_code() -> None:
    async def crash() -> None:
        raise RuntimeError("boom")

    async def main(stop: Stop) -> None:
        Background(stop).start("crash", crash())
        await stop.wait()

    loop = asyncio.get_running_loop()
    try:
        assert await _run(main) == 1
    finally:
        for other in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(other)


async def test_an_address_that_is_taken_is_one_sentence_and_an_exit_code(caplog: pytest.LogCaptureFixture) -> None:
    async def main(stop: Stop) -> None:
        del stop
        raise CannotListen("cannot listen on 127.0.0.1:1: address already in use")

    loop = asyncio.get_running_loop()
    try:
        assert await _run(main) == 1
    finally:
        for other in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(other)
    (record,) = caplog.records
    assert record.getMessage() == "cannot listen on 127.0.0.1:1: address already in use"
    assert record.exc_info is None
