"""Both ends of the policy push over real gRPC, on a store in memory."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from turnout.discovery.v1.discovery_pb2_grpc import DiscoveryServiceStub

from services.controlplane.store.memory import MemoryStore
from services.core.discovery.canary import Canary
from services.core.discovery.messages import Subscription
from services.core.policy.documents import Alias, Provider, Router, key_of
from services.dataplane.snapshot_file import SnapshotFile
from services.wire.discovery import request_message
from tests.support.nodes import Node, apply, plane, seen
from tests.support.ports import free_port

OPENAI = Provider(name="openai", type="openai")


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
        await seen(found, lambda told: told.applied_revision == revision)
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
        async with asyncio.timeout(30):
            while not node.holder.last_nack:
                await asyncio.sleep(0.01)
        assert node.holder.held.revision == 1
        told = await seen(found, lambda told: bool(told.nack_problems))
        assert "neither routes nor a default_route" in told.nack_problems[0].message
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
        async with asyncio.timeout(30):
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


async def test_a_refusal_is_over_when_the_lagging_replica_has_caught_up(tmp_path: Path) -> None:
    ahead, behind, ports = MemoryStore(), MemoryStore(), [free_port(), free_port()]
    alias = Alias(name="best", model="openai/gpt-5")
    await apply(behind, OPENAI)
    await apply(ahead, OPENAI)
    await apply(ahead, alias)
    first = Node("n", ports[:1], tmp_path)
    async with plane(ahead, ports[0], "a"):
        first.start()
        await first.at(2)
        await first.stop()
    node = Node("n", ports[1:], tmp_path)
    assert node.client.load_file()
    async with plane(behind, ports[1], "b") as found:
        node.start()
        told = await seen(found, lambda told: bool(told.nack_problems))
        assert told.nack_problems[0].message == "revision 1 is older than 2, which is in force"
        await apply(behind, alias)
        told = await seen(found, lambda told: not told.nack_problems)
        assert (told.applied_revision, told.applied_version) == (2, found.board.current.version)
        await node.stop()
    assert node.revisions == [("memory", 2)]


async def test_a_replica_that_stops_sends_its_workers_to_another_one_at_once(tmp_path: Path) -> None:
    store, ports = MemoryStore(), [free_port(), free_port()]
    await apply(store, OPENAI)
    nodes = [Node(f"n{i}", ports, tmp_path) for i in range(3)]
    async with AsyncExitStack() as first, AsyncExitStack() as second:
        await first.enter_async_context(plane(store, ports[0], "a", grace=30))
        for node in nodes:
            node.start()
            await node.at(1)
        other = await second.enter_async_context(plane(store, ports[1], "b"))
        stopping = time.monotonic()
        await first.aclose()
        assert time.monotonic() - stopping < 1.0
        async with asyncio.timeout(10):
            while {n.id for n in await other.nodes.list_nodes() if n.connected} != {"n0", "n1", "n2"}:
                await asyncio.sleep(0.01)
        for node in nodes:
            await node.stop()


async def test_a_replica_that_waits_for_its_store_stops_at_once_too() -> None:
    store, port = MemoryStore(), free_port()
    store.available = False
    async with AsyncExitStack() as stack:
        found = await stack.enter_async_context(plane(store, port, grace=30))
        waits = asyncio.Event()
        ready = found.board.ready.wait
        # The readiness task waits already; the next one to do so is the handler of the stream.
        await asyncio.sleep(0)
        found.board.ready.wait = lambda: waits.set() or ready()  # type: ignore[method-assign,func-returns-value]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = DiscoveryServiceStub(channel).StreamPolicy()
            await call.write(request_message(Subscription("n", "n:1", "1")))
            await asyncio.wait_for(waits.wait(), 5)
            stopping = time.monotonic()
            await stack.aclose()
            assert time.monotonic() - stopping < 1.0
            assert await call.read() is grpc.aio.EOF


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


async def test_a_canary_runs_at_its_workers_only_until_it_ends(tmp_path: Path) -> None:
    store, port = MemoryStore(), free_port()
    await apply(store, OPENAI)
    chosen, other = (Node(name, [port], tmp_path) for name in ("chosen", "other"))
    best = Alias(name="best", model="openai/gpt-5")

    def aliases(node: Node) -> dict[str, str]:
        snapshot = node.holder.current()
        assert snapshot is not None
        return dict(snapshot.aliases)

    async with plane(store, port) as found:
        for node in (chosen, other):
            node.start()
            await node.at(1)
        began = await store.put_canary(
            Canary("d", 0.0, ("chosen",), {key_of(best): best}, known=("chosen", "other"), revision=0)
        )
        for node in (chosen, other):
            await node.at(began)
        assert aliases(chosen) == {"best": "openai/gpt-5"}
        assert aliases(other) == {}
        assert found.board.trial is not None
        assert chosen.holder.held.version == found.board.trial.version != other.holder.held.version
    # Another replica, which starts now, offers the same.
    async with plane(store, port, "b"):
        changed = await apply(store, Alias(name="more", model="openai/gpt-5"))
        for node in (chosen, other):
            await node.at(changed)
        assert aliases(chosen) == {"best": "openai/gpt-5", "more": "openai/gpt-5"}
        assert aliases(other) == {"more": "openai/gpt-5"}
        ended = await store.put_canary(None)
        for node in (chosen, other):
            await node.at(ended)
        assert aliases(chosen) == aliases(other) == {"more": "openai/gpt-5"}
        assert chosen.holder.held.version == other.holder.held.version
        await chosen.stop()
        await other.stop()
