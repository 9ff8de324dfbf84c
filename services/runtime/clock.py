"""Time and chance as an object, so that nothing else reads a clock or draws a number.

`FakeClock` in `services/runtime/testing.py` is the test double.
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
from typing import Protocol


class Clock(Protocol):
    """Time and chance."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""

    def wall(self) -> float:
        """Seconds since the Unix epoch; for timestamps only."""

    def seed(self) -> int:
        """A fresh random number of 64 bits."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


_POOL = 512
"""Random numbers that are drawn from the system at once; a draw of its own for each costs ten times as much."""


class SystemClock:
    """The machine's clock. Not for use on both sides of a fork, which would draw the same numbers."""

    def __init__(self) -> None:
        self._pool: list[int] = []

    # The functions themselves: every request asks a dozen times, and a call that only calls doubles what it costs.
    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    def seed(self) -> int:
        if not self._pool:
            self._pool = list(struct.unpack(f"{_POOL}Q", os.urandom(8 * _POOL)))
        return self._pool.pop()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
