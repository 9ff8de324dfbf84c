"""The watch promises, judged over many updates while everything around is restarted.

Ordered: revisions rise. Unique: none comes twice. Reliable: none is left out. Resumable: a watch goes on where it was, or
says that it cannot. Source: the promises of etcd's own robustness tests.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from aetcd import rpc

from services.controlplane.store.base import Compacted, GenerationMoved, WatchEnded
from services.controlplane.store.etcd import EtcdOptions, EtcdStore
from services.core.discovery.messages import documents_of
from services.core.errors import StoreUnavailable
from services.core.policy.documents import Alias, Document, Provider, ResourceKey, key_of
from services.runtime.clock import SystemClock
from tests.support.etcd import Etcd
from tests.support.nodes import Node, plane
from tests.support.ports import free_port

OPENAI = Provider(name="openai", type="openai")


@dataclass
class Judge:
    """Follows a store by list and watch, and notes every promise that is broken."""

    written: dict[int, ResourceKey] = field(default_factory=dict)
    seen: list[int] = field(default_factory=list)
    """Revisions of the batches."""
    told: dict[int, set[ResourceKey]] = field(default_factory=dict)
    """Keys by batch. A batch may hold several revisions; of a key that changed twice in it, the last."""
    state: dict[ResourceKey, Document] = field(default_factory=dict)
    relisted: int = 0
    listed_at: int = 0
    skipped: set[int] = field(default_factory=set)

    async def follow(self, store: EtcdStore, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                listing = await store.listing()
            except StoreUnavailable:
                await asyncio.sleep(0.05)
                continue
            # What was written between the last event and the listing is in the listing.
            told = max(self.listed_at, self.seen[-1] if self.seen else 0)
            self.skipped |= set(range(told + 1, listing.at + 1))
            self.state = {key: entry.document for key, entry in listing.entries.items()}
            self.listed_at = listing.at
            watch = store.watch(listing)
            ender = asyncio.create_task(self._end(watch, stop))
            try:
                while True:
                    batch = await watch.next()
                    assert batch.revision > max(self.seen, default=0), "ordered and unique"
                    assert batch.revision > listing.at, "nothing that the listing had"
                    self.seen.append(batch.revision)
                    self.told[batch.revision] = {*batch.puts, *batch.deletes}
                    self.state.update({key: entry.document for key, entry in batch.puts.items()})
                    for key in batch.deletes:
                        self.state.pop(key, None)
            except Compacted:
                self.relisted += 1
            except WatchEnded:
                return
            finally:
                ender.cancel()

    def was_told(self, revision: int, key: ResourceKey) -> bool:
        """Whether a change was in a listing, or in the batch that its revision belongs to."""
        if revision in self.skipped:
            return True
        batch = next((at for at in self.seen if at >= revision), None)
        return batch is not None and key in self.told[batch]

    async def _end(self, watch: object, stop: asyncio.Event) -> None:
        await stop.wait()
        watch.cancel()  # type: ignore[attr-defined]


async def write(store: EtcdStore, judge: Judge, chance: random.Random, number: int) -> None:
    """One update of a random alias; tried again while etcd is away."""
    name = f"a{chance.randrange(50)}"
    document = Alias(name=name, model=f"openai/m{number}")
    while True:
        try:
            listing = await store.listing()
            key = key_of(document)
            if chance.random() < 0.1 and key in listing.entries:
                revision = await store.write({}, (key,), expected={}, generation=listing.generation)
            else:
                revision = await store.write({key: document}, (), expected={}, generation=listing.generation)
        except StoreUnavailable:
            await asyncio.sleep(0.05)
            continue
        except GenerationMoved:
            continue
        judge.written[revision] = key
        return


async def trouble(etcd: Etcd, store: EtcdStore, kind: str) -> None:
    if kind == "restart":
        etcd.kill()
        await asyncio.to_thread(etcd.start)
    else:
        try:
            listing = await store.listing()
            await store._members.present.kv.Compact(rpc.CompactionRequest(revision=listing.at))
        except grpc.aio.AioRpcError as error:
            # Compacting twice at one revision is refused.
            if "compacted" not in (error.details() or ""):
                raise


async def rehearse(etcd: Etcd, folder: Path, updates: int, troubles: int) -> Judge:
    chance, judge, stop = random.Random(7), Judge(), asyncio.Event()
    store = EtcdStore(EtcdOptions((etcd.endpoint,)), SystemClock())
    await write_first(store)
    follower = asyncio.create_task(judge.follow(store, stop))
    port = free_port()
    every = max(1, updates // (troubles + 1))
    kinds = ["restart", "compact", "plane", "worker"]
    node = Node("n0", [port], folder)
    running = plane(store, port)
    await running.__aenter__()
    node.start()
    for number in range(updates):
        await write(store, judge, chance, number)
        if number % every == every - 1:
            kind = kinds[(number // every) % len(kinds)]
            if kind == "plane":
                await running.__aexit__(None, None, None)
                running = plane(store, port)
                await running.__aenter__()
            elif kind == "worker":
                await node.stop()
                assert [r for _, r in node.revisions] == sorted({r for _, r in node.revisions}), (
                    "a worker never goes back"
                )
                node = Node(f"n{number}", [port], folder)
                node.start()
            else:
                await trouble(etcd, store, kind)
    last = max(judge.written)
    async with asyncio.timeout(60):
        while max(judge.seen, default=0) < last and judge.listed_at < last:
            if follower.done():
                follower.result()
            await asyncio.sleep(0.05)
        await node.at(last)
    final = {key: entry.document for key, entry in (await store.listing()).entries.items()}
    assert judge.state == final, "reliable: what was followed is what is there"
    assert documents_of(node.holder.held) == final
    stop.set()
    await follower
    await node.stop()
    await running.__aexit__(None, None, None)
    await store.aclose()
    missing = [r for r, key in judge.written.items() if not judge.was_told(r, key)]
    assert not missing, f"left out: {missing[:5]}"
    return judge


async def write_first(store: EtcdStore) -> None:
    listing = await store.listing()
    await store.write({key_of(OPENAI): OPENAI}, (), expected={}, generation=listing.generation)


async def test_no_promise_of_the_watch_is_broken_by_restarts_and_compaction(etcd: Etcd, tmp_path: Path) -> None:
    judge = await rehearse(etcd, tmp_path, updates=120, troubles=4)
    assert len(judge.written) == 120


@pytest.mark.soak
async def test_none_over_ten_thousand_updates(etcd: Etcd, tmp_path: Path) -> None:
    judge = await rehearse(etcd, tmp_path, updates=10_000, troubles=40)
    print(f"{len(judge.written):,} updates, {judge.relisted} listings anew, 0 violations")
