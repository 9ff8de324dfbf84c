"""Who watches the health of targets: every change goes to each watcher, and to the metrics.

A watcher that does not keep up loses its oldest events, never the worker its memory. What was
set aside on its provider's word comes back by time alone: nothing happens in the tracker
then, so each watcher looks again when that time has come.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from turnout.health.v1.health_pb2 import HealthEvent as Message
from turnout.health.v1.health_pb2 import TargetHealth, TargetState

from services.dataplane.health_report import HealthReports, timestamp
from services.dataplane.health_tracker import HealthEvent
from services.runtime.clock import Clock

BACKLOG = 1_000

_BY_TIME = (TargetState.TARGET_STATE_ASKED, TargetState.TARGET_STATE_RESTING)
"""States that end by time alone."""


@dataclass(frozen=True, slots=True)
class _Noted:
    """An event, and the monotonic instant at which it ends by itself; 0.0: it does not."""

    message: Message
    ends: float


class _Watcher:
    """One watcher's backlog."""

    def __init__(self, backlog: int) -> None:
        self.backlog: deque[_Noted] = deque(maxlen=backlog)
        self.lost = 0
        self.woken = asyncio.Event()
        self.ends: dict[str, float] = {}
        """What the watcher knows to be set aside until an instant, by name."""

    def offer(self, noted: _Noted) -> None:
        if len(self.backlog) == self.backlog.maxlen:
            self.lost += 1
        self.backlog.append(noted)
        self.woken.set()

    def told(self, noted: _Noted) -> Message:
        """The message of `noted`, with what was lost before it."""
        name = noted.message.target.name
        self.ends.pop(name, None)
        if noted.ends:
            self.ends[name] = noted.ends
        if not self.lost:
            return noted.message
        message = Message(lost=self.lost)
        message.MergeFrom(noted.message)
        self.lost = 0
        return message


class HealthEvents:
    """Hands health events on. `publish` is the tracker's hook; it returns at once."""

    def __init__(self, reports: HealthReports, clock: Clock, *, backlog: int = BACKLOG) -> None:
        self._reports = reports
        self._clock = clock
        self._backlog = backlog
        self._watchers: set[_Watcher] = set()
        self.sink: Callable[[HealthEvent, TargetHealth], None] = lambda event, target: None

    def publish(self, event: HealthEvent) -> None:
        """Tell everybody that a cell was set aside or came back."""
        target, until = self._reports.one(event.name)
        self.sink(event, target)
        if self._watchers:
            noted = self._noted(target, until, set_aside=event.until > 0.0)
            for watcher in self._watchers:
                watcher.offer(noted)

    def _noted(self, target: TargetHealth, until: float, *, set_aside: bool) -> _Noted:
        at = timestamp(self._clock.wall())
        message = Message(node_id=self._reports.node_id, at=at, set_aside=set_aside, target=target)
        return _Noted(message, until if set_aside and target.state in _BY_TIME else 0.0)

    async def watch(self, *, present: bool) -> AsyncGenerator[Message, None]:
        """Events as they happen; with `present`, first one for everything that is set aside now."""
        watcher = _Watcher(self._backlog)
        self._watchers.add(watcher)
        try:
            for noted in self._present() if present else ():
                yield watcher.told(noted)
            while True:
                while watcher.backlog:
                    yield watcher.told(watcher.backlog.popleft())
                if await self._nothing_until(watcher):
                    for message in self._returned(watcher):
                        yield message
        finally:
            self._watchers.discard(watcher)

    def _present(self) -> list[_Noted]:
        shut = [t.name for t in self._reports.all().targets if t.state != TargetState.TARGET_STATE_CLOSED]
        return [self._noted(*self._reports.one(name), set_aside=True) for name in shut]

    async def _nothing_until(self, watcher: _Watcher) -> bool:
        """Wait for an event, or until something may have come back by itself: True."""
        timeout = None
        if watcher.ends:
            timeout = max(0.0, min(watcher.ends.values()) - self._clock.monotonic())
        try:
            async with asyncio.timeout(timeout):
                await watcher.woken.wait()
        except TimeoutError:
            return True
        watcher.woken.clear()
        return False

    def _returned(self, watcher: _Watcher) -> list[Message]:
        """What has come back by time alone."""
        found = []
        now = self._clock.monotonic()
        for name in [name for name, until in watcher.ends.items() if until <= now]:
            del watcher.ends[name]
            target, until = self._reports.one(name)
            if target.state in _BY_TIME:
                watcher.ends[name] = until
            elif target.state == TargetState.TARGET_STATE_CLOSED:
                found.append(self._noted(target, until, set_aside=False).message)
        return found
