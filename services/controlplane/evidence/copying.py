"""Evidence is kept at every replica of the control plane: one collects it, the others copy.

So the replica that takes over has what was collected before it, also when the pod of the other one is gone with its disk,
as in every rolling update. What a replica collected in the last moments before it was killed, and nobody copied, is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
import msgspec
from turnout.experiment.v1 import experiment_service_pb2 as pb
from turnout.experiment.v1.experiment_service_pb2_grpc import ExperimentServiceStub

from services.controlplane.evidence.copied import CopiedTables, Rows
from services.controlplane.evidence.leader import Leader
from services.runtime.clock import Clock
from services.runtime.grpc_channel import open_channel

log = logging.getLogger(__name__)

BATCH = 1_000
EVERY_SECONDS = 0.5


Files = Mapping[str, CopiedTables]
"""What is copied, by name."""


class Copies:
    """The end that is copied from."""

    def __init__(self, files: Files, leader: Leader, clock: Clock) -> None:
        self._files = files
        self._leader = leader
        self._clock = clock
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End every stream, when those who copy have everything."""
        self._stopping.set()

    async def since(self, request: pb.CopyEvidenceRequest) -> AsyncIterator[pb.CopyEvidenceResponse]:
        """What a copy lacks, then what is added; ends when this replica stops, or collects no more, with all that it has."""
        seen, tell = dict(request.after), request.tell_whole
        while True:
            is_last = self._stopping.is_set() or not self._leader.is_mine
            # Calls that still run when it is about to stop have ended after this.
            await self._clock.sleep(EVERY_SECONDS)
            for name, file in self._files.items():
                async for rows in _lacking(name, file, seen):
                    yield rows
            if tell:
                tell = False
                yield pb.CopyEvidenceResponse(whole=True)
            if is_last:
                return


async def _lacking(name: str, file: CopiedTables, seen: dict[str, int]) -> AsyncIterator[pb.CopyEvidenceResponse]:
    """The rows of a file that a copy lacks; `seen` is how far it is, and kept."""
    own = f"{file.evidence_id}/"
    while True:
        here = {key.removeprefix(own): seq for key, seq in seen.items() if key.startswith(own)}
        found = await asyncio.to_thread(file.after, here, BATCH)
        if found is None:
            return
        seen[own + found.table] = found.last
        yield pb.CopyEvidenceResponse(
            evidence_id=file.evidence_id,
            table=found.table,
            columns=found.columns,
            rows=msgspec.msgpack.encode(found.rows),
            last=found.last,
            file=name,
        )


class Copier:
    """The end that copies the replica that collects, while this one does not.

    Args:
        address: Where the other replicas reach this one.
    """

    def __init__(self, files: Files, leader: Leader, address: str, clock: Clock) -> None:
        self._files = files
        self._leader = leader
        self._address = address
        self._clock = clock
        self._call: Any = None
        self._stopped = False

    async def run(self) -> None:
        """Run until `stop`."""
        while not self._stopped:
            holder = self._leader.holder
            if holder and not self._leader.is_mine:
                async with open_channel(holder) as channel:
                    await self._copy(channel, holder)
            if not self._stopped:
                await self._clock.sleep(EVERY_SECONDS)

    async def _copy(self, channel: grpc.aio.Channel, holder: str) -> None:
        """One stream, to its end."""
        after: dict[str, int] = {}
        for file in self._files.values():
            after |= await asyncio.to_thread(file.copied)
        request = pb.CopyEvidenceRequest(replica=self._address, after=after, tell_whole=self._leader.awaits_copy)
        self._call = call = ExperimentServiceStub(channel).CopyEvidence(request)
        try:
            async for message in call:
                if message.whole:
                    await self._leader.has_copy()
                    continue
                rows = Rows(message.table, list(message.columns), msgspec.msgpack.decode(message.rows), message.last)
                if message.file in self._files:
                    await asyncio.to_thread(self._files[message.file].take, message.evidence_id, rows)
        except grpc.aio.AioRpcError as error:
            log.debug("evidence was not copied from %s: %s", holder, error.code().name)
        except asyncio.CancelledError:
            # `call.cancel()` of `stop` surfaces here; a cancelled task must go on being cancelled.
            if not self._stopped:
                raise
        finally:
            call.cancel()

    def stop(self) -> None:
        """End `run`."""
        self._stopped = True
        if self._call is not None:
            self._call.cancel()
