"""The world of the simulation: a clock that jumps from event to event, and targets that fail on time."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from services.core.errors import Failure, FailureKind


class Timeline:
    """Events in the order of their instants; what comes first was scheduled first."""

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def at(self, when: float, act: Callable[..., None], *args: Any) -> None:
        """Call `act` at instant `when`, or now if that is over."""
        self._count += 1
        heapq.heappush(self._heap, (max(when, self.now), self._count, act, args))

    def run(self, until: float) -> None:
        """Let everything happen that happens before `until`."""
        heap = self._heap
        while heap and heap[0][0] < until:
            self.now, _, act, args = heapq.heappop(heap)
            act(*args)
        self.now = until


@dataclass(frozen=True, slots=True)
class Answer:
    """What a target does with an attempt: content after `content` seconds and the end after `end`; or a failure."""

    content: float
    end: float
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a target between two instants.

    Attributes:
        errors: Share of attempts that fail with a 500 after 50 ms.
        slower: Factor on the time to first content.
        capacity: Attempts per second that it takes; the rest is refused with `refusal`. 0.0: any number.
        asks: It refuses everything, and asks for that many seconds of peace. 0.0: it does not.
    """

    since: float
    until: float
    errors: float = 0.0
    slower: float = 1.0
    capacity: float = 0.0
    refusal: FailureKind = FailureKind.RATE_LIMITED
    asks: float = 0.0


_WELL = Trouble(0.0, math.inf)
ERROR = Failure(FailureKind.SERVER_ERROR, "500", status=500)


@dataclass
class Upstream:
    """A target as the fleet sees it. Counts are by second of arrival."""

    name: str
    random: Random
    troubles: tuple[Trouble, ...] = ()
    content: float = 0.3
    spread: float = 0.25
    length: float = 1.5
    late: float = 0.0
    late_seconds: float = 2.0
    calls: Counter[int] = field(default_factory=Counter)
    failed: Counter[int] = field(default_factory=Counter)
    served: Counter[int] = field(default_factory=Counter)
    _level: float = 0.0
    _level_at: float = 0.0

    def call(self, now: float) -> Answer:
        """One more attempt arrives."""
        second = int(now)
        self.calls[second] += 1
        trouble = next((t for t in self.troubles if t.since <= now < t.until), _WELL)
        failure = self._failure(trouble, now)
        if failure is not None:
            self.failed[second] += 1
            return Answer(0.05, 0.05, failure)
        self.served[second] += 1
        content = trouble.slower * self.content * math.exp(self.random.gauss(0.0, self.spread))
        if self.late and self.random.random() < self.late:
            content += self.late_seconds
        return Answer(content, content + self.length * self.random.uniform(0.5, 1.5))

    def _failure(self, trouble: Trouble, now: float) -> Failure | None:
        if trouble.asks:
            return Failure(FailureKind.RATE_LIMITED, "429", status=429, retry_after=trouble.asks)
        if trouble.errors and self.random.random() < trouble.errors:
            return ERROR
        if trouble.capacity and not self._takes(trouble.capacity, now):
            return Failure(trouble.refusal, "too much")
        return None

    def _takes(self, capacity: float, now: float) -> bool:
        """A bucket that leaks `capacity` attempts a second and holds half a second of them."""
        self._level = max(0.0, self._level - (now - self._level_at) * capacity)
        self._level_at = now
        if self._level + 1.0 > capacity / 2:
            return False
        self._level += 1.0
        return True


@dataclass
class Ledger:
    """What callers saw, by second of arrival; and their times to first content, in order of arrival."""

    offered: Counter[int] = field(default_factory=Counter)
    good: Counter[int] = field(default_factory=Counter)
    lost: Counter[int] = field(default_factory=Counter)
    content: list[tuple[float, float]] = field(default_factory=list)
    refused: list[tuple[float, Failure]] = field(default_factory=list)
    hedges: int = 0
