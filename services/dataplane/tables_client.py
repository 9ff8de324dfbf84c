"""The worker's end of the stream of tables: what was learned, from whichever replica of the control plane answers.

What is there stays while none answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import grpc
from turnout.learning.v1 import learning_service_pb2 as pb
from turnout.learning.v1.learning_service_pb2_grpc import LearningServiceStub

from services.dataplane.control_stream import ControlStream
from services.dataplane.learned_tables import TableHolder, TablesFile
from services.runtime.clock import Clock

log = logging.getLogger(__name__)


class TablesClient(ControlStream):
    """Keeps a holder equal to what the control plane has learned."""

    def __init__(
        self, addresses: Sequence[str], node_id: str, holder: TableHolder, file: TablesFile | None, clock: Clock
    ) -> None:
        super().__init__(addresses, clock, "tables")
        self._node_id = node_id
        self._holder = holder
        self._file = file
        self.file_failures = 0

    def load_file(self) -> bool:
        """Put the newest good tables of the disk in force; whether there were any."""
        for message in self._file.load() if self._file is not None else ():
            self._holder.put(message)
            return True
        return False

    def _open(self, channel: grpc.aio.Channel) -> Any:
        return LearningServiceStub(channel).StreamTables(pb.StreamTablesRequest(node_id=self._node_id))

    async def _stream(self, call: Any, address: str) -> int:
        heard = 0
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
