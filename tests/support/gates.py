"""Many requests at once, of which few move: a busy machine makes none of them late for its own clocks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_Answer = TypeVar("_Answer")
WORKING, WAITING = 8, 400
"""Requests in flight: those that move, and those that wait for a clock."""


class Gates:
    """Lets requests through."""

    def __init__(self) -> None:
        self._working, self._waiting = asyncio.Semaphore(WORKING), asyncio.Semaphore(WAITING)

    async def move(self, request: Coroutine[Any, Any, _Answer]) -> _Answer:
        """The answer of a request that no clock ends."""
        async with self._working:
            return await request

    async def wait(self, request: Coroutine[Any, Any, _Answer], stands: asyncio.Event) -> _Answer:
        """The answer of a request that a clock ends, once it `stands` still."""
        async with self._waiting:
            async with self._working:
                asking, standing = asyncio.create_task(request), asyncio.create_task(stands.wait())
                await asyncio.wait({asking, standing}, return_when=asyncio.FIRST_COMPLETED)
                standing.cancel()
            return await asking
