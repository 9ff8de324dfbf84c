"""The publisher and its board: latest wins, nothing is queued, a store that is away changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from services.controlplane.board import Board
from services.controlplane.publish import Publisher
from services.controlplane.store.base import Batch, Listing
from services.controlplane.store.memory import MemoryStore
from services.core.discovery.messages import Entry, PolicySet
from services.core.errors import Problem
from services.core.policy.documents import Alias, Document, Provider, ResourceKey, key_of
from services.runtime.clock import SystemClock

OPENAI = Provider(name="openai", type="openai")


async def put(store: MemoryStore, *documents: Document, deletes: tuple[ResourceKey, ...] = ()) -> int:
    generation = (await store.listing()).generation
    return await store.write({key_of(d): d for d in documents}, deletes, expected={}, generation=generation)


async def until(board: Board, condition: Callable[[PolicySet], bool]) -> PolicySet:
    async with asyncio.timeout(30):
        while not condition(board.current):
            await board.other_than(board.current)
    return board.current


class Running:
    """A publisher at work."""

    def __init__(self, store: MemoryStore) -> None:
        self.board = Board()
        self.publisher = Publisher(store, self.board, SystemClock())
        self.task = asyncio.create_task(self.publisher.run())

    async def stop(self) -> None:
        self.publisher.stop()
        await asyncio.wait_for(self.task, 5)


async def test_the_board_shows_what_the_store_holds_and_follows_it() -> None:
    store = MemoryStore()
    await put(store, OPENAI)
    running = Running(store)
    await asyncio.wait_for(running.board.ready.wait(), 5)
    first = running.board.current
    assert first.entries == {key_of(OPENAI): Entry(OPENAI, 1)}
    assert (first.revision, first.store_id) == (1, "memory")
    assert first.version
    alias = Alias(name="best", model="openai/gpt-5")
    await put(store, alias)
    second = await until(running.board, lambda s: s.revision == 2)
    assert set(second.entries) == {key_of(OPENAI), key_of(alias)}
    await put(store, deletes=(key_of(alias),))
    third = await until(running.board, lambda s: s.revision == 3)
    assert set(third.entries) == {key_of(OPENAI)}
    # The same documents are the same version, whatever happened in between.
    assert third.version == first.version
    await running.stop()


async def test_many_writes_reach_a_slow_reader_as_one_change() -> None:
    store = MemoryStore()
    await put(store, OPENAI)
    running = Running(store)
    await asyncio.wait_for(running.board.ready.wait(), 5)
    seen = running.board.current
    for number in range(100):
        await put(store, Alias(name="best", model=f"openai/m{number}"))
    await until(running.board, lambda s: s.revision == 101)
    newest = await asyncio.wait_for(running.board.other_than(seen), 5)
    assert newest.revision == 101
    waiting = asyncio.ensure_future(running.board.other_than(newest))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    await running.stop()


async def test_a_compacted_history_is_listed_again_and_nothing_is_missing() -> None:
    store = MemoryStore()
    await put(store, OPENAI)
    running = Running(store)
    await asyncio.wait_for(running.board.ready.wait(), 5)
    # Both in one turn of the loop, so the watch finds its history gone.
    await put(store, Alias(name="best", model="openai/gpt-5"))
    await store.compact()
    await until(running.board, lambda s: s.revision == 2)
    await put(store, Alias(name="other", model="openai/gpt-5"))
    assert len((await until(running.board, lambda s: s.revision == 3)).entries) == 3
    await running.stop()


async def test_a_store_that_comes_back_as_another_one_is_shown_as_it_is_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, other = MemoryStore(), MemoryStore("other")
    for _ in range(3):
        await put(store, OPENAI)
    mistral = Provider(name="mistral", type="openai")
    await put(other, mistral)
    running = Running(store)
    await until(running.board, lambda s: s.revision == 3)
    await store.become(other)
    shown = await until(running.board, lambda s: s.store_id == "other")
    assert (shown.revision, set(shown.entries)) == (1, {key_of(mistral)})
    told = "THE STORE WAS REPLACED: it was memory at revision 3 with 1 documents, and is other at revision 1 with 1 now"
    assert told in caplog.text
    await put(store, OPENAI)
    assert len((await until(running.board, lambda s: s.revision == 2)).entries) == 2
    await running.stop()


async def test_a_store_that_goes_back_under_its_id_is_shown_as_it_is_and_told(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    for _ in range(3):
        await put(store, OPENAI)
    running = Running(store)
    await until(running.board, lambda s: s.revision == 3)
    await store.become(MemoryStore())
    shown = await until(running.board, lambda s: s.revision == 0)
    assert (shown.store_id, shown.entries) == ("memory", {})
    assert "THE STORE WENT BACK from revision 3 to 0 under the same id memory" in caplog.text
    await running.stop()


async def test_a_compacted_history_is_no_reason_for_alarm(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    await put(store, OPENAI)
    running = Running(store)
    await asyncio.wait_for(running.board.ready.wait(), 5)
    await put(store, Alias(name="best", model="openai/gpt-5"))
    await store.compact()
    await until(running.board, lambda s: s.revision == 2)
    assert running.publisher.resyncs == 1
    assert "THE STORE" not in caplog.text
    await running.stop()


async def test_a_store_that_is_away_at_the_start_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    await put(store, OPENAI)
    store.available = False
    running = Running(store)
    async with asyncio.timeout(30):
        while "waiting for the store" not in caplog.text:
            await asyncio.sleep(0)
    assert not running.board.ready.is_set()
    store.available = True
    await asyncio.wait_for(running.board.ready.wait(), 5)
    assert running.board.current.revision == 1
    await running.stop()


async def test_a_publisher_that_is_stopped_while_it_waits_ends() -> None:
    store = MemoryStore()
    store.available = False
    running = Running(store)
    await asyncio.sleep(0)
    await running.stop()


class Dirty(MemoryStore):
    """A store that holds a value which is no document."""

    problems = (Problem("Router", "odd", "", "the value in the store is not a document"),)

    async def listing(self) -> Listing:
        found = await super().listing()
        return Listing(found.entries, found.revision, found.at, found.generation, found.store_id, self.problems)


async def test_a_value_that_is_no_document_is_told_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    running = Running(Dirty())
    await asyncio.wait_for(running.board.ready.wait(), 5)
    assert running.board.problems == Dirty.problems
    assert "left out: Router/odd: the value in the store is not a document" in caplog.text
    await running.stop()


def test_a_batch_never_takes_the_board_back_in_time() -> None:
    board = Board()
    publisher = Publisher(MemoryStore(), board, SystemClock())
    puts: Mapping[ResourceKey, Entry] = {key_of(OPENAI): Entry(OPENAI, 9)}
    publisher._apply(Batch(9, puts))
    publisher._apply(Batch(7, {}, (), (Problem("Alias", "a", "", "odd"),)))
    assert board.current.revision == 9


def test_the_same_set_wakes_nobody() -> None:
    board = Board()
    policy = PolicySet({}, 1, "v", "s")
    board.show(policy)
    changed = board._changed
    board.show(PolicySet({}, 1, "v", "s"))
    assert board._changed is changed
    assert board.current is policy
