"""Tables of the replica that learns, at those that do not: a stream of it, heard for as long as it holds the claim.

Ends by `call.cancel()`, never by cancelling a task that reads.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import grpc
from turnout.learning.v1 import learning_service_pb2 as pb
from turnout.learning.v1.learning_service_pb2_grpc import LearningServiceStub

from services.controlplane.evidence.leader import Leader
from services.controlplane.learning.tables import Tables
from services.core.attempts.backoff import backoff
from services.core.routing.draw import uniform
from services.runtime.clock import Clock
from services.runtime.grpc_channel import open_channel
from services.runtime.waiting import first_of

log = logging.getLogger(__name__)

MAX_SECONDS = 5.0
"""Between two tries."""


class Relay:
    """Keeps tables equal to those of the replica that learns.

    Args:
        address: This replica's own.
    """

    def __init__(self, leader: Leader, tables: Tables, address: str, clock: Clock) -> None:
        self._leader = leader
        self._tables = tables
        self._address = address
        self._clock = clock
        self._call: Any = None
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Run until `stop`."""
        failures = 0
        while not self._stopped.is_set():
            holder = self._leader.holder
            if not holder or self._leader.is_mine:
                failures = 0
                await first_of(self._leader.other_than(holder), self._stopped.wait())
                continue
            failures = 0 if await self._hear(holder) else failures + 1
            seconds = backoff(failures + 1, MAX_SECONDS, uniform(self._clock.seed(), "relay"))
            await first_of(self._clock.sleep(seconds), self._leader.other_than(holder), self._stopped.wait())

    async def _hear(self, holder: str) -> int:
        """One stream, to its end; the number of answers that came."""
        heard = 0
        async with open_channel(holder) as channel:
            request = pb.StreamTablesRequest(node_id=self._address, relay=True)
            self._call = call = LearningServiceStub(channel).StreamTables(request)
            watch = asyncio.create_task(self._end_when_it_leaves(holder, call))
            try:
                while True:
                    message: Any = await call.read()
                    if message is grpc.aio.EOF:
                        break
                    heard += 1
                    if self._leader.holder == holder:
                        self._tables.hear(message)
            except grpc.aio.AioRpcError as error:
                log.debug("tables of %s cannot be heard: %s", holder, error.code().name)
            except asyncio.CancelledError:
                # `call.cancel()` surfaces here; a cancelled task must go on being cancelled.
                if not self._stopped.is_set() and self._leader.holder == holder:
                    raise
            finally:
                watch.cancel()
                call.cancel()
        return heard

    async def _end_when_it_leaves(self, holder: str, call: Any) -> None:
        await self._leader.other_than(holder)
        call.cancel()

    def stop(self) -> None:
        """End `run`."""
        self._stopped.set()
        if self._call is not None:
            self._call.cancel()
