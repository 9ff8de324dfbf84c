"""History, rollback, drafts and canaries as use cases, on a store in memory."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.controlplane.lifecycle import PolicyLifecycle
from services.controlplane.policy import Applied, Note, PolicyAdmin, Write
from services.controlplane.store.memory import MemoryStore
from services.core.discovery.messages import Entry
from services.core.errors import InUse, InvalidRequest, NotFound, PolicyRejected, StoreConflict
from services.core.policy.documents import Alias, Document, Provider, ResourceKey, key_of
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.conditions import CelCompiler

OPENAI = Provider(name="openai", type="openai")
NOTE = Note("ada", "", 1_000.0)
CATALOGUE, CONDITIONS = ShippedCatalogue(), CelCompiler()


class Rig:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.admin = PolicyAdmin(self.store, CONDITIONS, CATALOGUE)
        self.life = PolicyLifecycle(self.admin, self.store)

    async def apply(self, *documents: Document, deletes: tuple[ResourceKey, ...] = (), message: str = "") -> int:
        note = Note("ada", message, 1_000.0)
        return (await self.admin.apply([Write(d) for d in documents], deletes, note=note)).revision

    async def state(self) -> dict[ResourceKey, Document]:
        return {key: entry.document for key, entry in (await self.store.listing()).entries.items()}


@pytest.fixture
async def rig() -> Rig:
    return Rig()


def alias(name: str, model: str = "openai/a") -> Alias:
    return Alias(name=name, model=model)


async def test_history_tells_who_changed_what_and_why(rig: Rig) -> None:
    first = await rig.apply(OPENAI, message="begin")
    second = await rig.apply(alias("x"), message="an alias")
    await rig.apply(OPENAI, message="changes nothing")
    assert [(r.revision, r.author, r.message) for r in await rig.life.revisions()] == [
        (second, "ada", "an alias"),
        (first, "ada", "begin"),
    ]
    assert [r.revision for r in await rig.life.revisions(key=key_of(alias("x")))] == [second]
    assert (await rig.life.revision(first)).changes[0].after == OPENAI
    with pytest.raises(NotFound):
        await rig.life.revision(second + 7)


CHANGES = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["", "openai/a", "openai/b"])), min_size=1, max_size=4
)


@settings(max_examples=50, deadline=None)
@given(st.lists(CHANGES, min_size=1, max_size=8), st.data())
def test_a_rollback_is_the_policy_of_that_time_and_can_be_rolled_back(
    steps: list[list[tuple[str, str]]], data: st.DataObject
) -> None:
    async def run() -> None:
        rig = Rig()
        first = await rig.apply(OPENAI)
        states = {first: await rig.state()}
        for step in steps:
            last = dict(step)
            documents = [alias(name, model) for name, model in last.items() if model]
            gone = tuple(ResourceKey("Alias", name) for name, model in last.items() if not model)
            revision = await rig.apply(*documents, deletes=gone)
            states[revision] = await rig.state()
        newest = max(states)
        chosen = data.draw(st.sampled_from(sorted(states)))
        planned = await rig.life.rollback(chosen, NOTE, dry_run=True)
        assert await rig.state() == states[newest], "a dry run writes nothing"
        applied = await rig.life.rollback(chosen, NOTE)
        assert [c.key for c in applied.changes] == [c.key for c in planned.changes]
        assert await rig.state() == states[chosen]
        await rig.life.rollback(newest, NOTE)
        assert await rig.state() == states[newest]

    asyncio.run(run())


async def test_a_rollback_of_one_document_leaves_the_others(rig: Rig) -> None:
    await rig.apply(OPENAI)
    revision = await rig.apply(alias("x"), alias("y"))
    await rig.apply(alias("x", "openai/b"), alias("y", "openai/b"))
    await rig.life.rollback(revision, NOTE, keys=[ResourceKey("Alias", "x")])
    found = await rig.state()
    assert found[ResourceKey("Alias", "x")] == alias("x")
    assert found[ResourceKey("Alias", "y")] == alias("y", "openai/b")
    assert (await rig.life.revisions())[0].message == f"rollback to revision {revision}"


async def test_a_rollback_to_what_others_still_need_gone_is_refused(rig: Rig) -> None:
    empty = await rig.apply(Provider(name="other", type="anthropic"))
    await rig.apply(OPENAI)
    await rig.apply(alias("x"))
    with pytest.raises(InUse):
        await rig.life.rollback(empty, NOTE, keys=[key_of(OPENAI)])


async def test_a_draft_says_what_it_would_change_and_what_is_wrong(rig: Rig) -> None:
    await rig.apply(OPENAI, alias("x"))
    good = await rig.life.save_draft("d", [alias("x", "openai/b")], [], NOTE, expected=None)
    assert [(c.key.name, c.after) for c in good.changes] == [("x", Entry(alias("x", "openai/b"), 0))]
    assert good.problems == ()
    bad = await rig.life.save_draft("d", [alias("x", "nobody/b")], [], NOTE, expected=good.draft.revision)
    assert "nothing in this policy serves" in bad.problems[0].message
    assert await rig.state() == {key_of(OPENAI): OPENAI, key_of(alias("x")): alias("x")}
    with pytest.raises(PolicyRejected):
        await rig.life.publish("d", NOTE)
    with pytest.raises(StoreConflict):
        await rig.life.save_draft("d", [alias("x")], [], NOTE, expected=good.draft.revision)


async def test_a_draft_is_published_whole_and_is_gone_then(rig: Rig) -> None:
    await rig.apply(OPENAI, alias("x"), alias("y"))
    await rig.life.save_draft("d", [alias("z")], [ResourceKey("Alias", "y")], Note("bo", "why"), expected=0)
    await rig.life.publish("d", Note("ada"))
    assert {k.name for k in await rig.state()} == {"openai", "x", "z"}
    newest = (await rig.life.revisions())[0]
    assert (newest.author, newest.message) == ("ada", "why")
    with pytest.raises(NotFound):
        await rig.life.draft("d")


async def test_a_draft_does_not_overwrite_what_somebody_changed_meanwhile(rig: Rig) -> None:
    await rig.apply(OPENAI, alias("x"), alias("y"))
    await rig.life.save_draft("d", [alias("x", "openai/b")], [ResourceKey("Alias", "y")], NOTE, expected=None)
    await rig.apply(alias("y", "openai/c"))
    told = await rig.life.draft("d")
    assert [(p.name, p.warning) for p in told.problems] == [("y", True)]
    with pytest.raises(StoreConflict):
        await rig.life.publish("d", NOTE)
    assert (await rig.state())[ResourceKey("Alias", "x")] == alias("x"), "all or nothing"


async def test_a_draft_that_is_saved_again_while_it_is_published_is_not_lost(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.apply(OPENAI)
    await rig.life.save_draft("d", [alias("x")], [], NOTE, expected=None)
    apply = rig.admin.apply

    async def slow(*arguments: Any, **more: Any) -> Applied:
        applied = await apply(*arguments, **more)
        await rig.life.save_draft("d", [alias("y")], [], NOTE, expected=None)
        return applied

    monkeypatch.setattr(rig.admin, "apply", slow)
    await rig.life.publish("d", NOTE)
    assert set((await rig.life.draft("d")).draft.puts) == {key_of(alias("y"))}


@pytest.mark.parametrize(("name", "documents"), [("Bad Name", [alias("x")]), ("", [alias("x")]), ("empty", [])])
async def test_what_is_no_draft_is_refused(rig: Rig, name: str, documents: list[Document]) -> None:
    with pytest.raises(InvalidRequest):
        await rig.life.save_draft(name, documents, [], NOTE, expected=None)


async def test_a_canary_needs_a_draft_that_is_valid_and_workers_that_are_there(rig: Rig) -> None:
    await rig.apply(OPENAI)
    with pytest.raises(NotFound):
        await rig.life.start_canary("d", NOTE, ["n1"], percent=10.0)
    await rig.life.save_draft("d", [alias("x", "nobody/b")], [], NOTE, expected=None)
    with pytest.raises(PolicyRejected):
        await rig.life.start_canary("d", NOTE, ["n1"], percent=10.0)
    await rig.life.save_draft("d", [alias("x")], [], NOTE, expected=None)
    with pytest.raises(NotFound):
        await rig.life.start_canary("d", NOTE, ["n1"], nodes=["n2"])
    for percent in (0.0, -1.0, 101.0):
        with pytest.raises(InvalidRequest):
            await rig.life.start_canary("d", NOTE, ["n1"], percent=percent)
    canary = await rig.life.start_canary("d", NOTE, ["n1", "n2", "n3"], percent=34.0)
    assert len(canary.nodes) == 2
    assert (await rig.store.listing()).canary == canary
    assert key_of(alias("x")) not in await rig.state(), "the others do not have it"


async def test_publishing_the_draft_of_a_canary_ends_it(rig: Rig) -> None:
    await rig.apply(OPENAI)
    await rig.life.save_draft("d", [alias("x")], [], NOTE, expected=None)
    await rig.life.save_draft("other", [alias("y")], [], NOTE, expected=None)
    await rig.life.start_canary("d", NOTE, ["n1"], nodes=["n1"])
    await rig.life.publish("other", NOTE)
    assert (await rig.store.listing()).canary is not None
    await rig.life.publish("d", NOTE)
    assert (await rig.store.listing()).canary is None
    assert await rig.life.stop_canary() is None


async def test_of_a_hundred_writers_at_once_one_wins_each_revision() -> None:
    store = MemoryStore()
    await Rig.apply(_over(store), OPENAI, alias("counter", "openai/0"))
    won: list[int] = []

    async def write(number: int) -> None:
        admin = PolicyAdmin(store, CONDITIONS, CATALOGUE)
        while True:
            entry = await admin.get(ResourceKey("Alias", "counter"))
            assert isinstance(entry.document, Alias)
            count = int(entry.document.model.rpartition("/")[2])
            await asyncio.sleep(0)
            try:
                mine = alias("counter", f"openai/{count + 1}")
                applied = await admin.apply([Write(mine, entry.revision)], note=Note(f"writer-{number}"))
            except StoreConflict:
                continue
            won.append(applied.revision)
            return

    await asyncio.gather(*(write(n) for n in range(100)))
    assert len(set(won)) == 100
    state = await _over(store).state()
    assert state[ResourceKey("Alias", "counter")] == alias("counter", "openai/100"), "no write was lost"
    authors = [r.author for r in await store.history()][:-1]
    assert sorted(authors) == sorted(f"writer-{n}" for n in range(100))


def _over(store: MemoryStore) -> Rig:
    rig = Rig()
    rig.store = store
    rig.admin = PolicyAdmin(store, CONDITIONS, CATALOGUE)
    return rig
