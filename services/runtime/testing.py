"""Test doubles that are part of the public surface: users' tests are a use case."""

from __future__ import annotations

import asyncio


class FakeClock:
    """A clock that stands still until `advance` moves it; sleepers wake in order."""

    def __init__(self, start: float = 1_000.0, wall: float = 1_750_000_000.0) -> None:
        self.now = start
        self._wall_offset = wall - start
        self._seed = 0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self._wall_offset

    def seed(self) -> int:
        self._seed += 1
        return self._seed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, future))
        await future

    def advance(self, seconds: float) -> None:
        """Move time forward and wake everybody whose time has come."""
        self.now += seconds
        due = sorted((s for s in self._sleepers if s[0] <= self.now), key=lambda s: s[0])
        self._sleepers = [s for s in self._sleepers if s[0] > self.now]
        for _, future in due:
            if not future.done():
                future.set_result(None)
