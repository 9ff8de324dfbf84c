"""The worker's end of the stream of tables: what was learned, from whichever replica of the control plane answers.

Reconnects for ever with full jitter, over all addresses in turn; what is there stays meanwhile. Ends by `call.cancel()`,
never by cancelling a task that reads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import grpc
from turnout.learning.v1 import learning_service_pb2 as pb
from turnout.learning.v1.learning_service_pb2_grpc import LearningServiceStub

from services.core.routing.draw import uniform
from services.dataplane.learned_tables import TableHolder, TablesFile
from services.runtime.clock import Clock
from services.runtime.grpc_channel import open_channel

log = logging.getLogger(__name__)

BASE_SECONDS = 0.1
MAX_SECONDS = 5.0


class TablesClient:
    """Keeps a holder equal to what the control plane has learned."""

    def __init__(
        self, addresses: Sequence[str], node_id: str, holder: TableHolder, file: TablesFile | None, clock: Clock
    ) -> None:
        self._addresses = tuple(addresses)
        self._node_id = node_id
        self._holder = holder
        self._file = file
        self._clock = clock
        self._call: Any = None
        self._stopped = asyncio.Event()
        self.file_failures = 0

    def load_file(self) -> bool:
        """Put the newest good tables of the disk in force; whether there were any."""
        for message in self._file.load() if self._file is not None else ():
            self._holder.put(message)
            return True
        return False

    async def run(self) -> None:
        """Run until `stop`."""
        failures = 0
        turn = self._clock.seed()
        while not self._stopped.is_set():
            address = self._addresses[turn % len(self._addresses)]
            turn += 1
            async with open_channel(address) as channel:
                heard = await self._stream(channel, address)
            if self._stopped.is_set():
                return
            failures = 0 if heard else failures + 1
            limit = min(MAX_SECONDS, BASE_SECONDS * 2 ** min(failures, 10))
            await self._sleep(limit * uniform(self._clock.seed(), "tables"))

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
        except TimeoutError:
            pass

    async def _stream(self, channel: grpc.aio.Channel, address: str) -> int:
        """One stream, to its end; the number of answers that came."""
        heard = 0
        request = pb.StreamTablesRequest(node_id=self._node_id)
        self._call = call = LearningServiceStub(channel).StreamTables(request)
        try:
            while True:
                message: Any = await call.read()
                if message is grpc.aio.EOF:
                    break
                heard += 1
                if self._holder.put(message):
                    await self._save()
        except grpc.aio.AioRpcError as error:
            log.debug("no tables from the control plane at %s: %s", address, error.code().name)
        except asyncio.CancelledError:
            # `call.cancel()` of `stop` surfaces here; a cancelled task must go on being cancelled.
            if not self._stopped.is_set():
                raise
        finally:
            call.cancel()
        return heard

    async def _save(self) -> None:
        if self._file is None:
            return
        try:
            await asyncio.to_thread(self._file.save, self._holder.message())
        except OSError as error:
            # Serving does not need the file; starting without a control plane is better with it.
            self.file_failures += 1
            log.error("what was learned was not written to disk: %s", error.strerror)

    def stop(self) -> None:
        """End `run`."""
        self._stopped.set()
        if self._call is not None:
            self._call.cancel()
