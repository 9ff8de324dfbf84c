"""A stream from any replica of the control plane, again and again: full jitter, over all addresses in turn.

Ends by `call.cancel()`, never by cancelling a task that reads.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import grpc

from services.core.attempts.backoff import backoff
from services.core.routing.draw import uniform
from services.runtime.clock import Clock
from services.runtime.grpc_channel import open_channel

MAX_SECONDS = 5.0
"""Between two tries."""


class ControlStream(ABC):
    """Reconnects for ever; what a stream is and does is up to the class that is one.

    Args:
        draw: What the pauses are drawn by, so that two streams of a worker do not come back together.
    """

    def __init__(self, addresses: Sequence[str], clock: Clock, draw: str) -> None:
        self._addresses = tuple(addresses)
        self._clock = clock
        self._draw = draw
        self._call: Any = None
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Run until `stop`."""
        failures = 0
        turn = self._clock.seed()
        while not self._stopped.is_set():
            address = self._addresses[turn % len(self._addresses)]
            turn += 1
            async with open_channel(address) as channel:
                heard = await self._heard(channel, address)
            if self._stopped.is_set():
                return
            failures = 0 if heard else failures + 1
            await self._sleep(backoff(failures + 1, MAX_SECONDS, uniform(self._clock.seed(), self._draw)))

    async def _heard(self, channel: grpc.aio.Channel, address: str) -> int:
        """One stream, to its end; the number of messages that came."""
        self._call = call = self._open(channel)
        try:
            return await self._stream(call, address)
        except asyncio.CancelledError:
            # `call.cancel()` of `stop` surfaces here; a cancelled task must go on being cancelled.
            if not self._stopped.is_set():
                raise
            return 0
        finally:
            call.cancel()

    @abstractmethod
    def _open(self, channel: grpc.aio.Channel) -> Any:
        """The call."""

    @abstractmethod
    async def _stream(self, call: Any, address: str) -> int:
        """Read a call to its end, whatever the end is; the number of messages that came."""

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
        except TimeoutError:
            pass

    def stop(self) -> None:
        """End `run`."""
        self._stopped.set()
        if self._call is not None:
            self._call.cancel()
