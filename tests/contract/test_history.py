"""One contract for every policy store: history, drafts and canaries, in memory and in a real etcd."""

from __future__ import annotations

import asyncio

import pytest

from services.controlplane.store import etcd as etcd_store
from services.controlplane.store.base import Draft, PolicyStore, Recorded, RecordedChange
from services.controlplane.store.etcd import EtcdOptions, EtcdStore
from services.core.discovery.canary import Canary
from services.core.discovery.messages import Entry
from services.core.errors import StoreConflict
from services.core.policy.documents import Alias, Document, Provider, ResourceKey, key_of
from services.runtime.clock import SystemClock
from tests.support.etcd import Etcd

OPENAI = Provider(name="openai", type="openai", labels={"region": "eu"})
BEST = Alias(name="best", model="openai/gpt-5")


async def put(store: PolicyStore, document: Document, message: str = "", before: Document | None = None) -> int:
    listing = await store.listing()
    key = key_of(document)
    record = Recorded("ada", message, 1_750_000_000.5, (RecordedChange(key, before, document),))
    return await store.write(
        {key: document}, (), expected={}, generation=listing.generation, record=record, number=listing.writes
    )


async def test_every_write_is_in_the_history_with_what_it_changed(store: PolicyStore) -> None:
    first = await put(store, OPENAI, "begin")
    second = await put(store, BEST, "an alias")
    newest, oldest = await store.history()
    assert (newest.revision, oldest.revision) == (second, first)
    assert oldest == Recorded("ada", "begin", 1_750_000_000.5, oldest.changes, first)
    assert oldest.changes == (RecordedChange(key_of(OPENAI), None, OPENAI),)
    assert [r.revision for r in await store.history(after=first)] == [second]
    assert [r.revision for r in await store.history(before=second)] == [first]
    assert [r.revision for r in await store.history(limit=1)] == [second]
    assert (await store.listing()).writes == 2


async def test_a_write_that_is_refused_leaves_no_trace_in_the_history(store: PolicyStore) -> None:
    await put(store, OPENAI)
    listing = await store.listing()
    record = Recorded("eve", "", 0.0, ())
    with pytest.raises(StoreConflict):
        await store.write(
            {key_of(BEST): BEST},
            (),
            expected={key_of(BEST): 99},
            generation=listing.generation,
            record=record,
            number=listing.writes,
        )
    assert [r.author for r in await store.history()] == ["ada"]


async def test_drafts_are_kept_with_the_revisions_that_they_were_made_against(store: PolicyStore) -> None:
    draft = Draft("d", {key_of(BEST): Entry(BEST, 7)}, {ResourceKey("Alias", "old"): 3}, "ada", "why", 5.25)
    revision = await store.put_draft(draft, expected=0)
    assert await store.drafts() == {
        "d": Draft("d", draft.puts, draft.deletes, "ada", "why", 5.25, revision),
    }
    with pytest.raises(StoreConflict) as caught:
        await store.put_draft(draft, expected=0)
    assert caught.value.current_revision == revision
    newer = await store.put_draft(draft, expected=None)
    assert newer > revision
    assert not await store.delete_draft("d", revision=revision), "somebody saved it again"
    assert await store.delete_draft("d", revision=newer)
    await store.put_draft(draft, expected=0)
    assert await store.delete_draft("d")
    assert not await store.delete_draft("d")
    assert await store.drafts() == {}


async def test_a_canary_is_listed_and_watched_and_its_end_has_a_revision_too(store: PolicyStore) -> None:
    await put(store, OPENAI)
    before = await store.listing()
    watch = store.watch(before)
    canary = Canary("d", 10.0, ("n1",), {key_of(BEST): BEST}, (key_of(OPENAI),), ("n1", "n2"), "ada", 9.5)
    began = await store.put_canary(canary)
    seen = await asyncio.wait_for(watch.next(), 5)
    listing = await store.listing()
    assert seen.canary == listing.canary
    assert seen.canary_at == listing.canary_at == listing.revision == began
    assert listing.canary is not None
    assert (listing.canary.puts, listing.canary.deletes) == (canary.puts, canary.deletes)
    assert (listing.canary.nodes, listing.canary.known) == (("n1",), ("n1", "n2"))
    assert listing.generation == before.generation, "a canary does not get into the way of writers"
    ended = await store.put_canary(None)
    seen = await asyncio.wait_for(watch.next(), 5)
    assert (seen.canary, seen.canary_at) == (None, ended)
    assert (await store.listing()).revision == ended, "also for a replica that starts later"
    watch.cancel()


async def test_history_keeps_the_last_writes_only(etcd: Etcd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(etcd_store, "KEPT_WRITES", 5)
    store = EtcdStore(EtcdOptions((etcd.endpoint,)), SystemClock())
    revisions = [await put(store, Alias(name="a", model=f"openai/{n}")) for n in range(9)]
    assert [r.revision for r in await store.history()] == revisions[:3:-1]
    await store.aclose()


async def test_what_somebody_else_wrote_among_them_is_left_out(etcd: Etcd) -> None:
    store = EtcdStore(EtcdOptions((etcd.endpoint,)), SystemClock())
    revision = await put(store, OPENAI)
    from aetcd import rpc

    for key in ("history/zzz", "drafts/odd", "policy-canary"):
        request = rpc.PutRequest(key=f"/turnout/default/{key}".encode(), value=b"what?")
        await store._call(lambda member: member.kv.Put, request)
    assert [r.revision for r in await store.history()] == [revision]
    assert await store.drafts() == {}
    listing = await store.listing()
    assert listing.canary is None
    assert "canary" in listing.problems[0].message
    await store.aclose()
