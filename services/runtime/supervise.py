"""How a process lives: a main coroutine, a stop signal, and background tasks that are watched.

Where crashes of background tasks end: one that crashes is logged
and ends the process, which whoever supervises it starts again.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import uvloop

from services.runtime.listening import CannotListen

log = logging.getLogger(__name__)

_GARBAGE_THRESHOLDS = (10_000, 20, 50)
"""New objects before a collection, and collections of each age before one of the next. Python's own (700, 10, 10) cost
15 % of a request's CPU: the worker keeps its last trails, which grow old in vain, and requests leave no cycles."""


class Stop:
    """Set when the process should end; a crashed background task sets it too."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.exit_code = 0

    def set(self, exit_code: int = 0) -> None:
        """Ask the process to end."""
        self.exit_code = self.exit_code or exit_code
        self._event.set()

    async def wait(self) -> None:
        """Return when the process should end."""
        await self._event.wait()


Main = Callable[[Stop], Awaitable[None]]


def run(main: Main) -> int:
    """Run `main` until it returns; SIGTERM and SIGINT set its Stop, a second one ends at once.

    Returns the exit code: 1 when an address cannot be listened on, which is logged as one sentence.
    """
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    # What is imported by now lives as long as the process; nobody needs to look at it again.
    gc.freeze()
    return uvloop.run(_run(main))


async def _run(main: Main) -> int:
    stop = Stop()
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        loop.remove_signal_handler(number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    try:
        await main(stop)
    except CannotListen as error:
        log.error("%s", error)
        return 1
    return stop.exit_code


class Background:
    """Background tasks of a process."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work`; if it crashes, log it and end the process."""
        task = asyncio.create_task(self._watched(name, work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _watched(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            log.exception("background task %s crashed; the process ends", name)
            self._stop.set(1)

    async def cancel(self) -> None:
        """Cancel what still runs and wait for it. For tasks that await no gRPC read."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
