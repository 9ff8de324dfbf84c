"""Nodes: the workers that this replica serves, and through the store those of all replicas.

Each replica writes what it knows of its workers under a lease, at most once a
second per worker; a replica that dies takes its entries with it.
"""

from __future__ import annotations

import asyncio
import logging

from google.protobuf.timestamp_pb2 import Timestamp
from turnout.policy.v1.policy_service_pb2 import Node

from services.controlplane.store.base import PolicyStore
from services.core.discovery.publisher_session import PublisherSession
from services.core.errors import StoreUnavailable
from services.runtime.clock import Clock
from services.wire.policy import problem_message

log = logging.getLogger(__name__)

LEASE_SECONDS = 20
WRITE_SECONDS = 1.0
REFRESH_SECONDS = 8.0


class Nodes:
    """This replica's workers."""

    def __init__(self, store: PolicyStore, replica: str, clock: Clock) -> None:
        self._store = store
        self._replica = replica
        self._clock = clock
        self._nodes: dict[str, Node] = {}
        self._dirty: set[str] = set()
        self._changed = asyncio.Event()

    def seen(self, session: PublisherSession, *, connected: bool) -> None:
        """Note the state of a worker's stream."""
        subscription = session.subscription
        now = self._clock.wall()
        node = Node(
            id=subscription.node_id,
            address=subscription.address,
            software_version=subscription.software_version,
            catalogue_version=subscription.catalogue_version,
            applied_version=session.acked_version,
            applied_revision=session.acked_revision,
            applied_at=Timestamp(seconds=int(now), nanos=int(now % 1 * 1e9)),
            nack_problems=[problem_message(p) for p in session.nack_problems],
            replica=self._replica,
            connected=connected,
        )
        self._nodes[node.id] = node
        self._dirty.add(node.id)
        self._changed.set()

    async def run(self) -> None:
        """Write what changed, and everything again before its lease ends."""
        while True:
            try:
                async with asyncio.timeout(REFRESH_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                self._dirty.update(self._nodes)
            self._changed.clear()
            dirty, self._dirty = self._dirty, set()
            try:
                for node_id in dirty:
                    node = self._nodes[node_id]
                    name = f"{self._replica}/{node_id}"
                    await self._store.put_status(name, node.SerializeToString(), LEASE_SECONDS)
                    if not node.connected:
                        # Its lease keeps it on show for a while; then it is forgotten here as well.
                        self._nodes.pop(node_id, None)
            except StoreUnavailable as error:
                log.debug("node statuses were not written: %s", error.message)
                self._dirty |= dirty & self._nodes.keys()
            await self._clock.sleep(WRITE_SECONDS)

    async def list_nodes(self) -> list[Node]:
        """The workers of all replicas, by id; of a worker that moved, the newest entry."""
        found: dict[str, Node] = {}
        try:
            statuses = await self._store.list_statuses()
            nodes = [Node.FromString(value) for value in statuses.values()]
        except StoreUnavailable:
            nodes = []
        for node in (*nodes, *self._nodes.values()):
            known = found.get(node.id)
            if known is None or (node.connected, node.applied_at.ToNanoseconds()) >= (
                known.connected,
                known.applied_at.ToNanoseconds(),
            ):
                found[node.id] = node
        return [found[node_id] for node_id in sorted(found)]
