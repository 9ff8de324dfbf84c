"""Both ends of the policy push over real gRPC, on a store in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.controlplane.app import ControlPlane, ControlPlaneSettings
from services.controlplane.policy import PolicyAdmin, Write
from services.controlplane.store.etcd import EtcdOptions
from services.controlplane.store.memory import MemoryStore
from services.core.policy.documents import Alias, Document, Provider, Router, key_of
from services.dataplane.policy_client import NodeIdentity, PolicyClient
from services.dataplane.policy_holder import PolicyHolder
from services.dataplane.snapshot_file import SnapshotFile
from services.runtime.catalogue import GenaiPricesCatalogue
from services.runtime.clock import SystemClock
from services.runtime.conditions import CelCompiler
from services.runtime.supervise import Background, Stop
from tests.support.ports import free_port

OPENAI = Provider(name="openai", type="openai")


@asynccontextmanager
async def plane(store: MemoryStore, port: int, replica: str = "a") -> AsyncIterator[ControlPlane]:
    settings = ControlPlaneSettings(EtcdOptions(("unused",)), f"127.0.0.1:{port}", replica=replica)
    background = Background(Stop())
    found = ControlPlane(store, settings, SystemClock())
    server = await found.start(background)
    try:
        yield found
    finally:
        found.publisher.stop()
        await server.stop(0.1)
        await background.cancel()


class Node:
    """A worker's policy half."""

    def __init__(self, name: str, ports: list[int], folder: Path) -> None:
        self.holder = PolicyHolder(CelCompiler(), GenaiPricesCatalogue())
        addresses = [f"127.0.0.1:{port}" for port in ports]
        self.file = SnapshotFile(folder / name / "policy.snapshot")
        identity = NodeIdentity(name, f"{name}:1")
        self.client = PolicyClient(addresses, identity, self.holder, self.file, SystemClock())
        self._changed = asyncio.Event()
        self.holder.on_change = lambda _snapshot: self._changed.set()
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.create_task(self.client.run())

    async def stop(self) -> None:
        self.client.stop()
        if self.task is not None:
            await self.task

    async def at(self, revision: int) -> None:
        async with asyncio.timeout(10):
            while self.holder.held.revision < revision:
                self._changed.clear()
                await self._changed.wait()


async def apply(store: MemoryStore, *documents: Document) -> int:
    admin = PolicyAdmin(store, CelCompiler(), GenaiPricesCatalogue())
    return (await admin.apply([Write(d) for d in documents])).revision


async def seen(found: ControlPlane, condition: str, value: object) -> None:
    """Return when the nodes view says so."""
    async with asyncio.timeout(5):
        while True:
            nodes = await found.nodes.list_nodes()
            if nodes and getattr(nodes[0], condition) == value:
                return
            await asyncio.sleep(0.01)


async def test_a_write_reaches_a_worker_as_a_difference_and_is_acknowledged(tmp_path: Path) -> None:
    store, port = MemoryStore(), free_port()
    await apply(store, OPENAI)
    node = Node("n", [port], tmp_path)
    async with plane(store, port) as found:
        node.start()
        await node.at(1)
        revision = await apply(store, Alias(name="best", model="openai/gpt-5"))
        await node.at(revision)
        snapshot = node.holder.current()
        assert snapshot is not None
        assert snapshot.aliases == {"best": "openai/gpt-5"}
        await seen(found, "applied_revision", revision)
        await node.stop()


async def test_a_policy_that_a_worker_cannot_compile_is_refused_and_the_last_good_one_stays(tmp_path: Path) -> None:
    store, port = MemoryStore(), free_port()
    await apply(store, OPENAI)
    node = Node("n", [port], tmp_path)
    async with plane(store, port) as found:
        node.start()
        await node.at(1)
        # Past all checks, as only a person with etcdctl could.
        bad = Router(name="bad")
        await store.write({key_of(bad): bad}, (), expected={}, generation=1)
        async with asyncio.timeout(5):
            while not node.holder.last_nack:
                await asyncio.sleep(0.01)
        assert node.holder.held.revision == 1
        async with asyncio.timeout(5):
            while not (await found.nodes.list_nodes())[0].nack_problems:
                await asyncio.sleep(0.01)
        nodes = await found.nodes.list_nodes()
        assert "neither routes nor a default_route" in nodes[0].nack_problems[0].message
        await store.write({}, (key_of(bad),), expected={}, generation=2)
        await node.at(3)
        assert node.holder.last_nack == ()
        await node.stop()


async def test_a_worker_starts_from_disk_without_a_control_plane(tmp_path: Path) -> None:
    store, port = MemoryStore(), free_port()
    await apply(store, OPENAI)
    first = Node("n", [port], tmp_path)
    async with plane(store, port):
        first.start()
        await first.at(1)
        async with asyncio.timeout(5):
            while not any(first.file.load()):
                await asyncio.sleep(0.01)
        await first.stop()
    second = Node("n", [port], tmp_path)
    assert second.client.load_file()
    snapshot = second.holder.current()
    assert snapshot is not None
    assert snapshot.revision == 1


async def test_a_worker_follows_a_second_replica_and_never_goes_back(tmp_path: Path) -> None:
    store, ports = MemoryStore(), [free_port(), free_port()]
    await apply(store, OPENAI)
    node = Node("n", ports, tmp_path)
    node.start()
    async with plane(store, ports[0], "a"), plane(store, ports[1], "b"):
        await node.at(1)
    async with plane(store, ports[1], "b") as found:
        revision = await apply(store, Alias(name="best", model="openai/gpt-5"))
        await node.at(revision)
        assert [n.id for n in await found.nodes.list_nodes()] == ["n"]
    await node.stop()


async def test_a_hundred_writes_reach_twenty_workers(tmp_path: Path) -> None:
    store, port = MemoryStore(), free_port()
    await apply(store, OPENAI)
    nodes = [Node(f"n{i}", [port], tmp_path) for i in range(20)]
    async with plane(store, port):
        for node in nodes:
            node.start()
        for node in nodes:
            await node.at(1)
        for number in range(100):
            alias = Alias(name=f"a{number % 7}", model=f"openai/m{number}")
            listing = await store.listing()
            revision = await store.write({key_of(alias): alias}, (), expected={}, generation=listing.generation)
        for node in nodes:
            await node.at(revision)
        assert len({node.holder.held.version for node in nodes}) == 1
        for node in nodes:
            await node.stop()


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_file_is_left_out_and_the_one_before_it_used(tmp_path: Path, damage: str) -> None:
    from tests.support.inprocess import policy_set

    path = tmp_path / "policy.snapshot"
    file = SnapshotFile(path)
    provider = {"kind": "Provider", "name": "openai", "type": "openai"}
    file.save(policy_set(provider, revision=1))
    file.save(policy_set(provider, revision=2))
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[-3] ^= 1
    path.write_bytes({"cut": bytes(data[:-5]), "flip": bytes(data), "empty": b""}[damage])
    assert [policy.revision for policy in file.load()] == [1]
    assert file.corrupt == 1
