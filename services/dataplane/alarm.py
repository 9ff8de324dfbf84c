"""One timer for all waits of an attempt, one after the other.

`asyncio.timeout` makes a timer for each wait and drops it. A stream has a wait for each of its chunks, with limits
that almost never pass, and so its timers cost more than its chunks. Here a timer that goes off early enough stays
where it is for later waits too; one that finds, when it goes off, that its wait has longer, is set again.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

SLACK_SECONDS = 0.001
"""How much longer than asked a wait may last: for less, a timer is not set again."""


class Alarm:
    """Bounds the waits of one task at a time; not to be nested. Always `stop` it."""

    __slots__ = ("_cancelling", "_ends", "_loop", "_rang", "_task", "_timer")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._ends = 0.0
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._rang = False

    def after(self, seconds: float) -> Alarm:
        """For `with`: what is awaited inside ends with TimeoutError after `seconds`, as under `asyncio.timeout`."""
        self._ends = self._loop.time() + seconds
        return self

    def __enter__(self) -> None:
        task = asyncio.current_task(self._loop)
        assert task is not None, "used in a coroutine"
        self._task, self._cancelling = task, task.cancelling()
        timer = self._timer
        if timer is None or timer.when() > self._ends + SLACK_SECONDS:
            self.stop()
            self._timer = self._loop.call_at(self._ends, self._ring)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if not self._rang:
            return
        self._rang = False
        # Whoever else cancelled the task meanwhile is heard, and not us.
        if task is not None and task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _ring(self) -> None:
        self._timer = None
        if self._task is None:
            return
        if self._ends > self._loop.time() + SLACK_SECONDS:
            self._timer = self._loop.call_at(self._ends, self._ring)
        else:
            self._rang = True
            self._task.cancel()

    def stop(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
