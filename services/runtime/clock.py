"""Time and chance as an object, so that nothing else reads a clock or draws a number.

`FakeClock` in `services/runtime/testing.py` is the test double.
"""

from __future__ import annotations

import asyncio
import os
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


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    def seed(self) -> int:
        return int.from_bytes(os.urandom(8), "big")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
