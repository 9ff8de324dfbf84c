"""A store that comes back as another one: restored, wiped, with another id or the same."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.controlplane.store.base import PolicyStore, Replaced
from services.controlplane.store.etcd import EtcdOptions, EtcdStore
from services.controlplane.store.memory import MemoryStore
from services.core.policy.documents import Alias, Provider, ResourceKey
from services.runtime.clock import SystemClock
from tests.support.etcd import Etcd
from tests.support.nodes import ADMIN_KEY, Node, apply, plane, seen
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
OPENAI = Provider(name="openai", type="openai")
EMPTY = "an empty policy does not replace one that is not empty"


def alias(number: int) -> Alias:
    return Alias(name="best", model=f"openai/m{number}")


@pytest.fixture
async def store(etcd: Etcd) -> AsyncIterator[EtcdStore]:
    """A store in etcd with five writes."""
    found = EtcdStore(EtcdOptions((etcd.endpoint,)), SystemClock())
    await apply(found, OPENAI)
    for number in range(4):
        await apply(found, alias(number))
    yield found
    await found.aclose()


async def test_a_watch_notices_another_store_of_a_higher_revision(etcd: Etcd, store: EtcdStore) -> None:
    listing = await store.listing()
    watch = store.watch(listing)
    waiting = asyncio.create_task(watch.next())
    await asyncio.to_thread(etcd.replace, etcd.folder / "other")
    for number in range(10):
        await apply(store, OPENAI, alias(number))
    with pytest.raises(Replaced, match=f"instead of {listing.store_id}"):
        await asyncio.wait_for(waiting, 10)
    assert (await store.listing()).at > listing.at


async def test_a_watch_notices_that_the_same_store_went_back(etcd: Etcd, store: EtcdStore) -> None:
    listing = await store.listing()
    waiting = asyncio.create_task(store.watch(listing).next())
    await asyncio.to_thread(etcd.replace, etcd.folder / "other", etcd.token)
    with pytest.raises(Replaced, match=f"at revision 1, and was at {listing.at}"):
        await asyncio.wait_for(waiting, 10)


@pytest.mark.parametrize("store_id", ["other", "memory"])
async def test_a_store_in_memory_does_the_same(store_id: str) -> None:
    store: PolicyStore = MemoryStore()
    await apply(store, OPENAI)
    waiting = asyncio.create_task(store.watch(await store.listing()).next())
    await asyncio.sleep(0)
    assert isinstance(store, MemoryStore)
    await store.become(MemoryStore(store_id))
    with pytest.raises(Replaced):
        await asyncio.wait_for(waiting, 5)


async def nodes_say(port: int) -> str:
    """What `turnout nodes` prints."""
    told = {"TURNOUT_CONTROLPLANE": f"127.0.0.1:{port}", "TURNOUT_API_KEY": ADMIN_KEY, "COLUMNS": "200"}
    command = [sys.executable, "-m", "services.cli", "nodes"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env={**os.environ, **told}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return output.decode()


async def test_workers_follow_a_store_with_another_id(
    etcd: Etcd, store: EtcdStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    node = Node("n", [port], tmp_path)
    before = await store.listing()
    async with plane(store, port) as found:
        node.start()
        await node.at(before.revision)
        await asyncio.to_thread(etcd.replace, tmp_path / "restored")
        revision = await apply(store, Provider(name="mistral", type="openai"))
        after = await store.listing()
        assert revision < before.revision
        assert after.store_id != before.store_id
        await node.at(revision, after.store_id)
        assert {key.name for key in node.holder.held.entries} == {"mistral"}
        await seen(found, lambda told: told.applied_revision == revision and not told.nack_problems)
        assert f"THE STORE WAS REPLACED: it was {before.store_id} at revision {before.revision}" in caplog.text
        # The watch of the new store works, and so do statuses under leases of its own.
        newer = await apply(store, Provider(name="mistral", type="openai", labels={"n": "1"}))
        await node.at(newer, after.store_id)
        async with asyncio.timeout(10):
            while not await store.list_statuses():
                await asyncio.sleep(0.05)
        assert "current" in await nodes_say(port)
        await node.stop()


async def test_a_wiped_store_leaves_workers_as_they_are_and_says_why(
    etcd: Etcd, store: EtcdStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    node = Node("n", [port], tmp_path)
    before = await store.listing()
    async with plane(store, port) as found:
        node.start()
        await node.at(before.revision)
        await asyncio.to_thread(etcd.replace, tmp_path / "wiped")
        told = await seen(found, lambda told: bool(told.nack_problems))
        assert told.nack_problems[0].message == EMPTY
        assert (node.holder.held.revision, node.holder.held.store_id) == (before.revision, before.store_id)
        assert "THE STORE WAS REPLACED" in caplog.text
        text = await nodes_say(port)
        assert f"REFUSED: {EMPTY}" in text
        assert str(before.revision) in text
        # Somebody applies the policy again, and all is well.
        revision = await apply(store, OPENAI)
        await node.at(revision, (await store.listing()).store_id)
        await seen(found, lambda told: not told.nack_problems)
        await node.stop()


async def test_a_store_that_went_back_under_the_same_id_is_refused_until_it_has_caught_up(
    etcd: Etcd, store: EtcdStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    node = Node("n", [port], tmp_path)
    before = await store.listing()
    async with plane(store, port) as found:
        node.start()
        await node.at(before.revision)
        await asyncio.to_thread(etcd.replace, tmp_path / "restored", etcd.token)
        revision = await apply(store, OPENAI)
        wanted = f"revision {revision} is older than {before.revision}, which is in force"
        await seen(found, lambda told: [p.message for p in told.nack_problems] == [wanted])
        assert ResourceKey("Alias", "best") in node.holder.held.entries
        assert "THE STORE WENT BACK from revision" in caplog.text
        while revision < before.revision:
            revision = await apply(store, alias(100 + revision))
        await node.at(revision)
        await seen(found, lambda told: not told.nack_problems)
        assert node.holder.held.entries == (await store.listing()).entries
        await node.stop()
