"""Who runs which policy, over all replicas."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from turnout.policy.v1.policy_service_pb2 import Node

from services.controlplane.nodes import Nodes
from services.controlplane.store.memory import MemoryStore
from services.core.discovery.messages import PolicySet, Subscription
from services.core.discovery.publisher_session import PublisherSession, open_session
from services.core.errors import Problem
from services.runtime.testing import FakeClock


def session(node: str = "n", **more: object) -> PublisherSession:
    opened = open_session(Subscription(node, f"{node}:1", "1.0"), PolicySet({}, 1, "v", "s"))
    return replace(opened, **more)  # type: ignore[arg-type]


async def test_a_worker_shows_what_it_runs_and_why_it_refused_more() -> None:
    nodes = Nodes(MemoryStore(), "a", FakeClock(wall=1_000.5))
    problem = Problem("Router", "r", "name", "is bad")
    nodes.seen(session(acked_version="v", acked_revision=7, nack_problems=(problem,)), connected=True)
    (node,) = await nodes.list_nodes()
    assert (node.id, node.address, node.software_version, node.replica) == ("n", "n:1", "1.0", "a")
    assert (node.applied_version, node.applied_revision, node.connected) == ("v", 7, True)
    assert node.applied_at.ToNanoseconds() == 1_000_500_000_000
    assert node.nack_problems[0].message == "is bad"


async def written(store: MemoryStore, name: str) -> Node:
    async with asyncio.timeout(30):
        while name not in (statuses := await store.list_statuses()):
            await asyncio.sleep(0)
    return Node.FromString(statuses[name])


async def test_what_one_replica_knows_the_others_see() -> None:
    store, clock = MemoryStore(), FakeClock()
    one, other = Nodes(store, "a", clock), Nodes(store, "b", clock)
    task = asyncio.create_task(one.run())
    one.seen(session("x"), connected=True)
    assert (await written(store, "a/x")).connected
    other.seen(session("y"), connected=True)
    assert [(n.id, n.replica) for n in await other.list_nodes()] == [("x", "a"), ("y", "b")]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_of_a_worker_that_moved_the_replica_that_has_it_now_is_shown() -> None:
    store, clock = MemoryStore(), FakeClock()
    one, other = Nodes(store, "a", clock), Nodes(store, "b", clock)
    task = asyncio.create_task(one.run())
    one.seen(session("x"), connected=True)
    await written(store, "a/x")
    clock.advance(2)
    one.seen(session("x"), connected=False)
    async with asyncio.timeout(30):
        while (await written(store, "a/x")).connected:
            clock.advance(2)
            await asyncio.sleep(0)
    other.seen(session("x"), connected=True)
    assert [(n.id, n.replica, n.connected) for n in await other.list_nodes()] == [("x", "b", True)]
    # The replica that lost it keeps no entry of its own.
    assert one._nodes == {}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_store_that_is_away_hides_only_the_others() -> None:
    store, clock = MemoryStore(), FakeClock()
    nodes = Nodes(store, "a", clock)
    nodes.seen(session("x"), connected=True)
    store.available = False
    assert [n.id for n in await nodes.list_nodes()] == ["x"]
    task = asyncio.create_task(nodes.run())
    async with asyncio.timeout(30):
        while not nodes._dirty:
            await asyncio.sleep(0)
    store.available = True
    nodes.seen(session("x"), connected=True)
    async with asyncio.timeout(30):
        while "a/x" not in await store.list_statuses():
            clock.advance(2)
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_quiet_worker_is_written_again_before_its_lease_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.controlplane.nodes.REFRESH_SECONDS", 0.01)
    store, clock = MemoryStore(), FakeClock()
    nodes = Nodes(store, "a", clock)
    nodes.seen(session("x"), connected=True)
    task = asyncio.create_task(nodes.run())
    await written(store, "a/x")
    store._statuses.clear()
    async with asyncio.timeout(30):
        while "a/x" not in await store.list_statuses():
            clock.advance(2)
            await asyncio.sleep(0.002)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
