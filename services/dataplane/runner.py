"""The runner: the one way in which a request reaches providers.

It decides nothing: `core/attempts/chain.step` says what to start, wait for, commit or end, and
`run.py` performs it for one request. Every API, streamed or not, goes through here and nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from services.core.routing.plan import Plan
from services.dataplane.attempt import Attempt
from services.dataplane.credentials import Credentials
from services.dataplane.health_tracker import HealthTracker
from services.dataplane.rehearsal import Rehearsals
from services.dataplane.run import Run
from services.dataplane.trail import Trail
from services.dataplane.translation import InboundRequest, Translation
from services.dataplane.transport.port import Transport
from services.runtime.clock import Clock

_DRAIN_SECONDS = 1.0
"""How long a connection may take to end its body after the terminal event, before it is given up."""


class Runner:
    """Runs plans. One per process."""

    def __init__(
        self,
        transport: Transport,
        credentials: Credentials,
        health: HealthTracker,
        clock: Clock,
        rehearsals: Rehearsals | None = None,
    ) -> None:
        self.transport = transport
        self.credentials = credentials
        self.health = health
        self.clock = clock
        self.rehearsals = rehearsals or Rehearsals(clock)
        self._drains: set[asyncio.Task[None]] = set()

    async def whole(self, inbound: InboundRequest, plan: Plan, trail: Trail) -> Translation:
        """Serve a request whole; the translation returned is ready to `render`.

        Raises:
            ChainFailed: Every allowed attempt failed.
        """
        run = Run(self, inbound, plan, trail)
        try:
            return await run.whole()
        finally:
            run.close()

    async def stream(self, inbound: InboundRequest, plan: Plan, trail: Trail) -> AsyncGenerator[bytes, None]:
        """Serve a request as a stream of whole frames; nothing is yielded before the commit.

        Raises:
            ChainFailed: Every allowed attempt failed before the commit. After it, the
                stream ends with an in-band error instead, if its form has a place for one.
        """
        run = Run(self, inbound, plan, trail)
        try:
            async with aclosing(run.stream()) as frames:
                async for piece in frames:
                    yield piece
        finally:
            run.close()

    def drain(self, attempt: Attempt) -> None:
        """Let a finished attempt's connection end in the background."""
        if attempt.drained:
            attempt.close()
            return
        task = asyncio.get_running_loop().create_task(attempt.drain(_DRAIN_SECONDS))
        self._drains.add(task)
        task.add_done_callback(self._drains.discard)

    async def aclose(self) -> None:
        """Wait for connections that are ending."""
        if self._drains:
            await asyncio.wait(tuple(self._drains), timeout=_DRAIN_SECONDS)
