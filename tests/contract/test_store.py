"""One contract for every policy store: memory and a real etcd."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from services.controlplane.policy import PolicyAdmin, Write
from services.controlplane.store.base import Batch, Compacted, GenerationMoved, PolicyStore, WatchEnded
from services.controlplane.store.etcd import EtcdOptions, EtcdStore
from services.core.errors import InUse, PolicyRejected, StoreConflict, StoreUnavailable
from services.core.policy.documents import Alias, Document, Provider, ResourceKey, key_of
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.clock import SystemClock
from services.runtime.conditions import CelCompiler
from tests.support.etcd import Etcd

OPENAI = Provider(name="openai", type="openai")


async def put(store: PolicyStore, *documents: Document) -> int:
    listing = await store.listing()
    puts = {key_of(d): d for d in documents}
    return await store.write(puts, (), expected={}, generation=listing.generation)


async def test_what_was_written_is_listed_with_its_revision(store: PolicyStore) -> None:
    revision = await put(store, OPENAI)
    listing = await store.listing()
    assert listing.entries[key_of(OPENAI)].document == OPENAI
    assert listing.entries[key_of(OPENAI)].revision == listing.revision == revision


async def test_a_write_against_an_old_revision_names_the_current_one(store: PolicyStore) -> None:
    revision = await put(store, OPENAI)
    listing = await store.listing()
    with pytest.raises(StoreConflict) as caught:
        await store.write({}, (key_of(OPENAI),), expected={key_of(OPENAI): revision - 1}, generation=listing.generation)
    assert caught.value.current_revision == revision


async def test_a_write_against_an_old_generation_is_refused(store: PolicyStore) -> None:
    old = await store.listing()
    await put(store, OPENAI)
    with pytest.raises(GenerationMoved):
        await store.write({}, (), expected={}, generation=old.generation)


async def test_a_watch_sees_every_write_once_and_in_order(store: PolicyStore) -> None:
    start = await store.listing()
    watch = store.watch(start)
    revisions = [await put(store, Provider(name=f"p{i}", type="openai")) for i in range(20)]
    seen: list[Batch] = []
    while not seen or seen[-1].revision < revisions[-1]:
        seen.append(await asyncio.wait_for(watch.next(), 5))
    # A store may deliver several revisions together; none is missing, none comes twice, the order holds.
    assert [b.revision for b in seen] == sorted({b.revision for b in seen})
    assert [e.revision for b in seen for e in b.puts.values()] == revisions
    assert [k.name for b in seen for k in b.puts] == [f"p{i}" for i in range(20)]
    listing = await store.listing()
    await store.write({}, (ResourceKey("Provider", "p3"),), expected={}, generation=listing.generation)
    assert (await asyncio.wait_for(watch.next(), 5)).deletes == (ResourceKey("Provider", "p3"),)
    watch.cancel()
    with pytest.raises(WatchEnded):
        await watch.next()


async def test_fifty_writers_lose_nothing(store: PolicyStore) -> None:
    admin = PolicyAdmin(store, CelCompiler(), ShippedCatalogue())
    await admin.apply([Write(OPENAI)])

    async def write(number: int) -> None:
        while True:
            try:
                await admin.apply([Write(Alias(name=f"a{number}", model="openai/gpt-5"))])
            except StoreUnavailable:
                continue  # too many at once: what a client is told to do
            return

    await asyncio.gather(*(write(number) for number in range(50)))
    names = {key.name for key in (await store.listing()).entries if key.kind == "Alias"}
    assert names == {f"a{number}" for number in range(50)}


async def test_of_many_writers_of_one_revision_exactly_one_wins(store: PolicyStore) -> None:
    admin = PolicyAdmin(store, CelCompiler(), ShippedCatalogue())
    revision = (await admin.apply([Write(OPENAI)])).revision

    async def write(number: int) -> Any:
        changed = Provider(name="openai", type="openai", labels={"n": str(number)})
        try:
            return (await admin.apply([Write(changed, revision)])).revision
        except StoreConflict as error:
            return error

    results = await asyncio.gather(*(write(number) for number in range(20)))
    won = [r for r in results if isinstance(r, int)]
    assert len(won) == 1
    assert {r.current_revision for r in results if not isinstance(r, int)} == set(won)


async def test_two_writes_that_are_only_good_apart_cannot_both_land(store: PolicyStore) -> None:
    admins = [PolicyAdmin(store, CelCompiler(), ShippedCatalogue()) for _ in range(2)]
    await admins[0].apply([Write(OPENAI)])
    alias = admins[0].apply([Write(Alias(name="best", model="openai/gpt-5"))])
    delete = admins[1].delete(key_of(OPENAI), None)
    results = await asyncio.gather(alias, delete, return_exceptions=True)
    assert sum(isinstance(r, (InUse, PolicyRejected)) for r in results) == 1, results
    documents = {k: e.document for k, e in (await store.listing()).entries.items()}
    assert not [p for p in admins[0].check(documents) if not p.warning]


async def test_a_claim_has_one_holder_until_it_is_given_up(store: PolicyStore) -> None:
    assert await store.claim("x", "a", 10) == "a"
    assert await store.claim("x", "b", 10) == "a"
    await store.release("x", "b")
    assert await store.claim("x", "b", 10) == "a", "only its holder can give it up"
    await store.release("x", "a")
    assert await store.claim("x", "b", 10) == "b"
    assert await store.claim("x", "a", 10) == "b"
    assert (await store.claimed("x"), await store.claimed("y")) == ("b", "")
    await store.release("x", "b")
    assert await store.claimed("x") == ""


async def test_statuses_are_kept(store: PolicyStore) -> None:
    await store.put_status("replica/node", b"here", 10)
    assert await store.list_statuses() == {"replica/node": b"here"}


async def test_etcd_restart_loses_no_event_of_a_watch_and_is_told_once(
    etcd: Etcd, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "services.controlplane.store.etcd_watch")
    store = EtcdStore(EtcdOptions((etcd.endpoint,)), SystemClock())
    start = await store.listing()
    watch = store.watch(start)
    first = await put(store, Provider(name="before", type="openai"))
    assert (await asyncio.wait_for(watch.next(), 5)).revision == first
    waiting = asyncio.create_task(watch.next())
    etcd.kill()
    with pytest.raises(StoreUnavailable):
        await store.listing()
    await asyncio.to_thread(etcd.start)
    while True:
        try:
            second = await put(store, Provider(name="after", type="openai"))
            break
        except StoreUnavailable:
            await asyncio.sleep(0.05)
    assert (await asyncio.wait_for(waiting, 15)).revision == second
    lost, *more = [record for record in caplog.records if record.name.endswith("etcd_watch")]
    assert (lost.levelname, lost.message.partition(" (")[0]) == ("WARNING", "the watch of etcd was lost")
    assert [record.message for record in more] == ["the watch of etcd goes on"], "not once per try"
    watch.cancel()
    await store.aclose()


async def test_a_lease_that_etcd_does_not_know_any_more_is_replaced_at_once(etcd: Etcd) -> None:
    from aetcd import rpc

    store, other = (EtcdStore(EtcdOptions((etcd.endpoint,)), SystemClock()) for _ in range(2))

    async def revoke() -> None:
        lease, _ = store._leases._made[10]
        await store._members.present.leases.LeaseRevoke(rpc.LeaseRevokeRequest(ID=lease))

    assert await store.claim("evidence", "a", 10) == "a"
    assert await other.claim("evidence", "b", 10) == "a"
    await revoke()
    assert await store.claim("evidence", "a", 10) == "a", "again, under a new lease"
    assert await other.claim("evidence", "b", 10) == "a"
    await revoke()
    await store.put_status("a/n", b"here", 10)
    assert await store.list_statuses() == {"a/n": b"here"}
    assert await other.claim("evidence", "b", 10) == "b", "who lost it does not keep it"
    assert await store.claim("evidence", "a", 10) == "b"
    await store.aclose()
    await other.aclose()


async def test_a_compacted_watch_says_so(etcd: Etcd) -> None:
    from aetcd import rpc

    store = EtcdStore(EtcdOptions((etcd.endpoint,)), SystemClock())
    start = await store.listing()
    for number in range(5):
        last = await put(store, Provider(name=f"p{number}", type="openai"))
    await store._members.present.kv.Compact(rpc.CompactionRequest(revision=last))
    watch = store.watch(start)
    with pytest.raises(Compacted):
        await asyncio.wait_for(watch.next(), 5)
    watch.cancel()
    await store.aclose()


async def test_a_value_that_is_no_document_is_reported_and_harms_nothing(etcd: Etcd) -> None:
    from aetcd import rpc

    store = EtcdStore(EtcdOptions((etcd.endpoint,)), SystemClock())
    await put(store, OPENAI)
    for name, value in ((b"Router/odd", b"\xff\xff"), (b"Provider/other", b"")):
        path = b"/turnout/default/policy/" + name
        await store._members.present.kv.Put(rpc.PutRequest(key=path, value=value))
    listing = await store.listing()
    assert list(listing.entries) == [key_of(OPENAI)]
    assert {f"{p.kind}/{p.name}" for p in listing.problems} == {"Router/odd", "Provider/other"}
    await store.aclose()
