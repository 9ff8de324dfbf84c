"""The board: the newest policy set, on show for everybody in this replica.

Only the publisher writes it. Readers take the present set, or wait for one
that differs from what they have seen; they never queue.
"""

from __future__ import annotations

import asyncio

from services.core.discovery.messages import PolicySet
from services.core.errors import Problem


class Board:
    """One set, and whoever waits for the next."""

    def __init__(self) -> None:
        self._current = PolicySet()
        self._changed = asyncio.Event()
        self.ready = asyncio.Event()
        self.problems: tuple[Problem, ...] = ()

    @property
    def current(self) -> PolicySet:
        """The newest set; without a version before the first listing."""
        return self._current

    def show(self, policy: PolicySet) -> None:
        """Replace the set, unless it is the same."""
        self.ready.set()
        if policy == self._current:
            return
        self._current = policy
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def other_than(self, seen: PolicySet) -> PolicySet:
        """The newest set as soon as it is not `seen`."""
        while self._current is seen:
            await self._changed.wait()
        return self._current
