"""The use cases over policy: every write against what it read, all or nothing, and never half an inconsistency."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from services.controlplane.policy import PolicyAdmin, Write, named
from services.controlplane.store.base import GenerationMoved
from services.controlplane.store.memory import MemoryStore
from services.core.discovery.messages import Entry
from services.core.errors import (
    AlreadyExists,
    InUse,
    InvalidRequest,
    NotFound,
    PolicyRejected,
    StoreConflict,
    StoreUnavailable,
)
from services.core.policy.documents import (
    Alias,
    Document,
    Provider,
    ResourceKey,
    Route,
    Router,
    Variant,
    WeightedVariant,
    key_of,
)
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.conditions import CelCompiler

OPENAI = Provider(name="openai", type="openai")
ALIAS = Alias(name="best", model="openai/gpt-5")


def router(name: str = "r", model: str = "openai/gpt-5", **more: Any) -> Router:
    variants = (WeightedVariant(100, Variant(variant_id="v", model_id=model)),)
    return Router(name=name, default_route=Route("d", variants), **more)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def admin(store: MemoryStore) -> PolicyAdmin:
    return PolicyAdmin(store, CelCompiler(), ShippedCatalogue())


async def stored(store: MemoryStore) -> dict[str, int]:
    return {str(key): entry.revision for key, entry in (await store.listing()).entries.items()}


async def past_all_checks(store: MemoryStore, *documents: Document) -> None:
    """Write as a person with a store client could."""
    generation = (await store.listing()).generation
    await store.write({key_of(d): d for d in documents}, (), expected={}, generation=generation)


async def test_a_document_is_created_once(admin: PolicyAdmin) -> None:
    entry = await admin.create(OPENAI)
    assert entry == Entry(OPENAI, 1)
    with pytest.raises(AlreadyExists, match="Provider/openai exists already, at revision 1"):
        await admin.create(Provider(name="openai", type="anthropic"))
    assert await admin.get(key_of(OPENAI)) == entry


async def test_what_is_not_there_and_what_cannot_be_are_told_apart(admin: PolicyAdmin) -> None:
    with pytest.raises(NotFound, match="there is no Alias/nobody"):
        await admin.get(ResourceKey("Alias", "nobody"))
    with pytest.raises(InvalidRequest, match="unknown kind 'Ailas'"):
        await admin.get(ResourceKey("Ailas", "x"))


async def test_an_update_needs_what_it_replaces_unless_it_may_create(admin: PolicyAdmin) -> None:
    with pytest.raises(NotFound):
        await admin.update(Write(OPENAI), allow_missing=False)
    assert (await admin.update(Write(OPENAI), allow_missing=True)).revision == 1
    changed = Provider(name="openai", type="openai", labels={"a": "b"})
    assert (await admin.update(Write(changed, 1), allow_missing=False)).revision == 2
    with pytest.raises(StoreConflict) as caught:
        await admin.update(Write(OPENAI, 1), allow_missing=False)
    assert caught.value.current_revision == 2


async def test_a_set_is_written_whole_at_one_revision(admin: PolicyAdmin, store: MemoryStore) -> None:
    applied = await admin.apply([Write(router()), Write(ALIAS), Write(OPENAI)])
    assert applied.revision == 1
    assert [(c.before, c.after and c.after.revision) for c in applied.changes] == [(None, 1)] * 3
    assert await stored(store) == {"Router/r": 1, "Alias/best": 1, "Provider/openai": 1}


async def test_of_a_set_with_one_bad_document_nothing_is_written(admin: PolicyAdmin, store: MemoryStore) -> None:
    with pytest.raises(PolicyRejected) as caught:
        await admin.apply([Write(OPENAI), Write(router("a", "nobody/x")), Write(router("B"))])
    assert {(p.name, p.field) for p in caught.value.problems if not p.warning} == {
        ("a", "default_route.variants[0].variant.model_id"),
        ("B", "name"),
    }
    assert await stored(store) == {}


async def test_a_dry_run_says_what_would_happen_and_writes_nothing(admin: PolicyAdmin, store: MemoryStore) -> None:
    await admin.apply([Write(OPENAI), Write(ALIAS)])
    changed = Alias(name="best", model="openai/gpt-6")
    applied = await admin.apply([Write(OPENAI), Write(changed), Write(router())], dry_run=True)
    same, updated, created = applied.changes
    assert same.before == same.after
    assert updated.after == Entry(changed, 0)
    assert created.before is None
    assert applied.revision == 1
    assert await stored(store) == {"Provider/openai": 1, "Alias/best": 1}
    with pytest.raises(PolicyRejected):
        await admin.apply([Write(router("a", "nobody/x"))], dry_run=True)
    with pytest.raises(StoreConflict):
        await admin.apply([Write(changed, 7)], dry_run=True)


async def test_a_set_that_changes_nothing_costs_no_revision(admin: PolicyAdmin, store: MemoryStore) -> None:
    await admin.apply([Write(OPENAI), Write(ALIAS)])
    applied = await admin.apply([Write(OPENAI), Write(ALIAS, 1)])
    assert applied.revision == 1
    assert all(c.before == c.after for c in applied.changes)
    assert (await store.listing()).revision == 1


async def test_only_what_changed_gets_a_new_revision(admin: PolicyAdmin, store: MemoryStore) -> None:
    await admin.apply([Write(OPENAI), Write(ALIAS)])
    applied = await admin.apply([Write(OPENAI), Write(Alias(name="best", model="openai/gpt-6"))])
    assert await stored(store) == {"Provider/openai": 1, "Alias/best": 2}
    assert [c.after and c.after.revision for c in applied.changes] == [1, 2]


async def test_writes_and_deletes_travel_together(admin: PolicyAdmin, store: MemoryStore) -> None:
    await admin.apply([Write(OPENAI), Write(ALIAS)])
    other = Provider(name="other", type="openai")
    moved = Alias(name="best", model="other/gpt-5")
    applied = await admin.apply([Write(other), Write(moved)], [key_of(OPENAI), ResourceKey("Alias", "never-was")])
    assert await stored(store) == {"Alias/best": 2, "Provider/other": 2}
    assert [c.after is None for c in applied.changes] == [False, False, True]


async def test_a_document_in_use_is_not_deleted(admin: PolicyAdmin) -> None:
    await admin.apply([Write(OPENAI), Write(ALIAS), Write(router())])
    with pytest.raises(InUse, match=r"Provider/openai is in use by Alias/best, Router/r; change that first"):
        await admin.delete(key_of(OPENAI), None)
    await admin.apply([], [key_of(ALIAS), ResourceKey("Router", "r")])
    assert await admin.delete(key_of(OPENAI), None) == 3


async def test_a_delete_minds_the_revision_that_it_was_given(admin: PolicyAdmin) -> None:
    await admin.create(OPENAI)
    with pytest.raises(StoreConflict):
        await admin.delete(key_of(OPENAI), 9)
    assert await admin.delete(key_of(OPENAI), 1) == 2
    with pytest.raises(NotFound):
        await admin.delete(key_of(OPENAI), None)


async def test_problems_that_are_there_already_do_not_block_their_own_mending(
    admin: PolicyAdmin, store: MemoryStore
) -> None:
    await past_all_checks(store, router("broken", "nobody/x"), OPENAI)
    await admin.apply([Write(ALIAS)])
    with pytest.raises(PolicyRejected):
        await admin.apply([Write(router("other", "nobody/x"))])
    await admin.apply([Write(router("broken"))])
    documents = {key: e.document for key, e in (await store.listing()).entries.items()}
    assert not [p for p in admin.check(documents) if not p.warning]


async def test_warnings_are_told_and_do_not_block(admin: PolicyAdmin) -> None:
    applied = await admin.apply([Write(Provider(name="inworld", type="openai"))])
    assert [p.warning for p in applied.warnings] == [True]


async def test_a_routers_name_is_put_into_its_plain_form() -> None:
    assert named(router("routers/mine")).name == "mine"
    assert named(router("", display_name="User-Aware")).name == "user-aware"
    assert named(OPENAI) is OPENAI


async def test_validation_lists_problems_over_the_store_or_alone(admin: PolicyAdmin) -> None:
    await admin.create(OPENAI)
    assert await admin.validate([router()], alone=False) == ()
    assert [p.name for p in await admin.validate([router()], alone=True)] == ["r"]


class Busy(MemoryStore):
    """A store on which somebody else has always just written."""

    def __init__(self, times: int, error: type[Exception]) -> None:
        super().__init__()
        self.times = times
        self.tried = 0
        self.error = error

    async def write(
        self,
        puts: Mapping[ResourceKey, Document],
        deletes: tuple[ResourceKey, ...],
        **more: Any,
    ) -> int:
        self.tried += 1
        if self.tried <= self.times:
            raise StoreConflict("x", current_revision=9) if self.error is StoreConflict else self.error()
        return await super().write(puts, deletes, **more)


@pytest.mark.parametrize("error", [GenerationMoved, StoreConflict])
async def test_a_writer_without_a_revision_reads_again_when_somebody_else_was_first(error: type[Exception]) -> None:
    busy = Busy(3, error)
    admin = PolicyAdmin(busy, CelCompiler(), ShippedCatalogue())
    assert (await admin.apply([Write(OPENAI)])).revision == 1
    assert busy.tried == 4


async def test_a_writer_gives_up_when_there_are_too_many(admin: PolicyAdmin) -> None:
    crowded = PolicyAdmin(Busy(99, GenerationMoved), CelCompiler(), ShippedCatalogue())
    with pytest.raises(StoreUnavailable, match="too many writers") as caught:
        await crowded.apply([Write(OPENAI)])
    assert caught.value.retry_after == 0.5


async def test_a_writer_with_a_revision_is_told_of_the_conflict_at_once() -> None:
    busy = Busy(1, StoreConflict)
    admin = PolicyAdmin(busy, CelCompiler(), ShippedCatalogue())
    with pytest.raises(StoreConflict):
        await admin.apply([Write(OPENAI, 0)])
    assert busy.tried == 1


async def test_two_creators_of_one_name_cannot_both_win(store: MemoryStore) -> None:
    admins = [PolicyAdmin(store, CelCompiler(), ShippedCatalogue()) for _ in range(2)]
    results = await asyncio.gather(
        *(a.create(Provider(name="openai", type="openai", labels={"n": str(n)})) for n, a in enumerate(admins)),
        return_exceptions=True,
    )
    assert sorted(type(r).__name__ for r in results) == ["AlreadyExists", "Entry"]
