"""Both ends of the policy push without the rest of their processes: a replica around any store, and a worker's half."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from turnout.policy.v1.policy_service_pb2 import Node as NodeMessage

from services.controlplane.app import ControlPlane, ControlPlaneSettings
from services.controlplane.policy import PolicyAdmin, Write
from services.controlplane.store.base import PolicyStore
from services.controlplane.store.etcd import EtcdOptions
from services.core.errors import StoreUnavailable
from services.core.policy.documents import Document
from services.dataplane.policy_client import NodeIdentity, PolicyClient
from services.dataplane.policy_holder import PolicyHolder
from services.dataplane.snapshot_file import SnapshotFile
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.clock import SystemClock
from services.runtime.conditions import CelCompiler
from services.runtime.supervise import Background, Stop

ADMIN_KEY = "to-admin"


@asynccontextmanager
async def plane(
    store: PolicyStore, port: int, replica: str = "a", grace: float = 0.1, folder: Path | None = None
) -> AsyncIterator[ControlPlane]:
    address = f"127.0.0.1:{port}"
    settings = ControlPlaneSettings(
        EtcdOptions(()), address, admin_key=ADMIN_KEY, grace=grace, replica=replica, data_dir=folder
    )
    background = Background(Stop())
    found = ControlPlane(store, settings, SystemClock())
    server = await found.start(background)
    try:
        yield found
    finally:
        await found.stop(server, background)


class Node:
    """A worker's policy half. `revisions` is what was in force, in order, with the store it came from."""

    def __init__(self, name: str, ports: Sequence[int], folder: Path) -> None:
        self.holder = PolicyHolder(CelCompiler(), ShippedCatalogue())
        addresses = [f"127.0.0.1:{port}" for port in ports]
        self.file = SnapshotFile(folder / name / "policy.snapshot")
        identity = NodeIdentity(name, f"{name}:1")
        self.client = PolicyClient(addresses, identity, self.holder, self.file, SystemClock())
        self.revisions: list[tuple[str, int]] = []
        self._changed = asyncio.Event()
        self.holder.on_change = self._note
        self.task: asyncio.Task[None] | None = None

    def _note(self, _snapshot: object) -> None:
        self.revisions.append((self.holder.held.store_id, self.holder.held.revision))
        self._changed.set()

    def start(self) -> None:
        self.task = asyncio.create_task(self.client.run())

    async def stop(self) -> None:
        self.client.stop()
        if self.task is not None:
            await self.task

    async def at(self, revision: int, store_id: str = "", seconds: float = 10) -> None:
        """Return when `revision` or a later one is in force; of the store `store_id`, if that is given."""
        async with asyncio.timeout(seconds):
            while self.holder.held.revision < revision or store_id not in {"", self.holder.held.store_id}:
                self._changed.clear()
                await self._changed.wait()


async def apply(store: PolicyStore, *documents: Document) -> int:
    """Write as an administrator does; a store that is away is tried again."""
    admin = PolicyAdmin(store, CelCompiler(), ShippedCatalogue())
    async with asyncio.timeout(20):
        while True:
            try:
                return (await admin.apply([Write(d) for d in documents])).revision
            except StoreUnavailable:
                await asyncio.sleep(0.05)


async def seen(found: ControlPlane, condition: Callable[[NodeMessage], bool]) -> NodeMessage:
    """The first worker of the nodes view, as soon as it is as wished."""
    async with asyncio.timeout(10):
        while True:
            nodes = await found.nodes.list_nodes()
            if nodes and condition(nodes[0]):
                return nodes[0]
            await asyncio.sleep(0.01)
