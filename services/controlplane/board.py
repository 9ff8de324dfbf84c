"""The board: the newest policy set, and the one of the canary, on show for everybody in this replica.

Only the publisher writes it. Readers take the present set, or wait for one
that differs from what they have seen; they never queue.
"""

from __future__ import annotations

import asyncio

from services.core.discovery.canary import Canary, is_chosen, overlaid
from services.core.discovery.messages import PolicySet
from services.core.errors import Problem


class Board:
    """The sets on show, and whoever waits for the next."""

    def __init__(self) -> None:
        self._current = PolicySet()
        self._trial: PolicySet | None = None
        self.canary: Canary | None = None
        self._changed = asyncio.Event()
        self.ready = asyncio.Event()
        self.problems: tuple[Problem, ...] = ()

    @property
    def current(self) -> PolicySet:
        """The newest set; without a version before the first listing."""
        return self._current

    @property
    def trial(self) -> PolicySet | None:
        """The set of the canary's workers; None: no canary runs."""
        return self._trial

    def show(self, policy: PolicySet, canary: Canary | None = None) -> None:
        """Replace what is on show, unless it is the same."""
        self.ready.set()
        if policy == self._current and canary == self.canary:
            return
        self._current, self.canary = policy, canary
        self._trial = overlaid(policy, canary) if canary is not None else None
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def offered(self, node: str) -> PolicySet:
        """The set for one worker."""
        if self._trial is not None and self.canary is not None and is_chosen(self.canary, node):
            return self._trial
        return self._current

    async def other_than(self, seen: PolicySet, node: str = "") -> PolicySet:
        """The newest set for a worker as soon as it is not `seen`."""
        while (offered := self.offered(node)) is seen:
            await self._changed.wait()
        return offered
