"""A watch of etcd that resumes by revision over restarts and lost connections.

It asks for a leader (a partitioned member ends the watch instead of falling
silent) and for progress notices. It never cancels a task that awaits a read:
`cancel` ends the call, and the read with it.

Each beginning tells which store answers and how far it is. An etcd that was
restored or wiped while the watch was lost would otherwise be waited on for ever,
until it has passed the revision that the old one had. A member that lags looks
like one that went back; the new listing, which is read through the leader, tells.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from aetcd import rpc

from services.controlplane.store.base import Batch, Compacted, Listing, Replaced, WatchEnded
from services.controlplane.store.etcd_members import Member, Members
from services.core.routing.draw import uniform
from services.runtime.clock import Clock

log = logging.getLogger(__name__)

MAX_BACKOFF_SECONDS = 5.0

ToBatch = Callable[[int, Sequence[Any]], Batch]
Metadata = tuple[tuple[str, str], ...]


class EtcdWatch:
    """One watch over the keys from `first` up to `end`."""

    def __init__(
        self,
        members: Members,
        span: tuple[bytes, bytes],
        listing: Listing,
        to_batch: ToBatch,
        metadata: Callable[[Member], Any],
        clock: Clock,
    ) -> None:
        self._members = members
        self._member = members.present
        self._span = span
        self._store_id = listing.store_id
        self._next_revision = listing.at + 1
        self._to_batch = to_batch
        self._metadata = metadata
        self._clock = clock
        self._seed = clock.seed()
        self._call: Any = None
        self._cancelled = False
        self._failures = 0

    async def next(self) -> Batch:
        while True:
            try:
                return await self._read()
            except grpc.aio.AioRpcError as error:
                self._lose()
                if self._cancelled:
                    raise WatchEnded from None
                # Once per outage: the tries until etcd is back say nothing new.
                level = logging.DEBUG if self._failures else logging.WARNING
                told = "the watch of etcd was lost (%s); it will resume at revision %d"
                log.log(level, told, error.code().name, self._next_revision)
            except asyncio.CancelledError:
                if self._cancelled:
                    raise WatchEnded from None
                self._drop()
                raise
            await self._back_off()

    async def _read(self) -> Batch:
        """The next batch of the present call.

        Raises:
            grpc.aio.AioRpcError: The call was lost; resume.
        """
        while True:
            if self._cancelled:
                raise WatchEnded
            if self._call is None:
                await self._begin()
            response = await self._call.read()
            if response is grpc.aio.EOF:
                self._lose()
                await self._back_off()
                continue
            self._check(response)
            if response.canceled:
                self._lose()
                if response.compact_revision:
                    raise Compacted(f"history before revision {response.compact_revision} is gone")
                log.info("etcd ended the watch: %s", response.cancel_reason)
                await self._back_off()
                continue
            if self._failures:
                log.info("the watch of etcd goes on")
            self._failures = 0
            if response.events:
                revision = max(event.kv.mod_revision for event in response.events)
                self._next_revision = revision + 1
                return self._to_batch(revision, response.events)
            if not response.created:
                # A progress notice: everything up to here has been delivered.
                self._next_revision = max(self._next_revision, response.header.revision + 1)

    def _check(self, response: Any) -> None:
        """Make sure that the store is the one that was listed, and no younger.

        Raises:
            Replaced: It is another one.
        """
        header = response.header
        if store_id_of(header) != self._store_id:
            self._drop()
            raise Replaced(f"store {store_id_of(header)} answers instead of {self._store_id}")
        if response.created and header.revision < self._next_revision - 1:
            self._drop()
            raise Replaced(f"the store is at revision {header.revision}, and was at {self._next_revision - 1}")

    async def _begin(self) -> None:
        self._member = self._members.present
        metadata: Metadata = (("hasleader", "true"), *await self._metadata(self._member))
        self._call = self._member.watches.Watch(metadata=metadata)
        create = rpc.WatchCreateRequest(
            key=self._span[0], range_end=self._span[1], start_revision=self._next_revision, progress_notify=True
        )
        await self._call.write(rpc.WatchRequest(create_request=create))

    async def _back_off(self) -> None:
        self._failures += 1
        limit = min(MAX_BACKOFF_SECONDS, 0.05 * 2 ** min(self._failures, 10))
        await self._clock.sleep(limit * uniform(self._seed, f"watch/{self._failures}"))

    def _lose(self) -> None:
        """Drop a call that failed; the next one goes to another member."""
        self._drop()
        self._members.lost(self._member)

    def _drop(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def cancel(self) -> None:
        self._cancelled = True
        if self._call is not None:
            self._call.cancel()


def store_id_of(header: Any) -> str:
    """The id of the store that a response came from: etcd's cluster id."""
    return f"{header.cluster_id:016x}"
