"""Who collects evidence while the store is away: nobody for longer than its lease lasts."""

from __future__ import annotations

import pytest

from services.controlplane.evidence.leader import CLAIM, LEASE_SECONDS, YIELD_SECONDS, Leader
from services.controlplane.store.memory import MemoryStore
from services.core.errors import Overloaded, StoreUnavailable
from services.runtime.testing import FakeClock


class Store(MemoryStore):
    """A store that can be away, and takes its time to answer a claim."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self.away = False
        self.seconds = 0.0

    async def claim(self, name: str, value: str, ttl: int) -> str:
        self.clock.advance(self.seconds)
        if self.away:
            raise StoreUnavailable("away", retry_after=1.0)
        return await super().claim(name, value, ttl)

    async def claimed(self, name: str) -> str:
        if self.away:
            raise StoreUnavailable("away", retry_after=1.0)
        return await super().claimed(name)


async def test_a_claim_that_is_not_renewed_ends_when_its_lease_ends() -> None:
    clock = FakeClock()
    store = Store(clock)
    leader = Leader(store, "a:1", clock)
    await leader.claim()
    assert leader.is_mine
    store.away = True
    clock.advance(LEASE_SECONDS - 0.1)
    await leader.claim()
    assert leader.is_mine, "one answer that did not come is no reason"
    clock.advance(0.1)
    assert not leader.is_mine, "another replica may have it by now, without any call in between"
    with pytest.raises(Overloaded, match="collects evidence yet"):
        await leader.hand_on(None, "GetReport", None, ())
    store.away = False
    await leader.claim()
    assert leader.is_mine


async def test_the_lease_counts_from_when_it_was_asked_for() -> None:
    clock = FakeClock()
    store = Store(clock)
    store.seconds = 4.0
    leader = Leader(store, "a:1", clock)
    await leader.claim()
    clock.advance(LEASE_SECONDS - 4.0)
    assert not leader.is_mine


async def test_a_claim_of_another_replica_stays_known_while_the_store_is_away() -> None:
    clock = FakeClock()
    store = Store(clock)
    await store.claim(CLAIM, "b:1", LEASE_SECONDS)
    leader = Leader(store, "a:1", clock)
    await leader.claim()
    store.away = True
    clock.advance(LEASE_SECONDS + 1)
    await leader.claim()
    assert not leader.is_mine
    assert leader._holder == "b:1", "it is asked, and answers or not"


def broken(store: Store, clock: FakeClock) -> tuple[Leader, list[str]]:
    """A replica whose files were broken, and what was done when it stopped waiting for a copy."""
    found, done = Leader(store, "a:1", clock), list[str]()
    found.await_copy(lambda: done.append("done"))
    return found, done


async def test_a_replica_that_lost_its_files_gives_up_what_it_had_claimed_and_lets_others_collect() -> None:
    clock = FakeClock()
    store = Store(clock)
    assert await store.claim(CLAIM, "a:1", LEASE_SECONDS) == "a:1"
    leader, done = broken(store, clock)
    await leader.claim()
    assert (leader.is_mine, leader.holder, await store.claimed(CLAIM)) == (False, "", "")
    assert await store.claim(CLAIM, "b:1", LEASE_SECONDS) == "b:1"
    for _ in range(10):
        clock.advance(YIELD_SECONDS)
        await leader.claim()
        assert (leader.holder, done) == ("b:1", []), "as long as another one collects there is no hurry"
    await leader.has_copy()
    assert done == ["done"]
    await store.release(CLAIM, "b:1")
    await leader.claim()
    assert leader.is_mine


async def test_if_no_other_replica_wants_it_the_evidence_begins_anew_and_that_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()
    store = Store(clock)
    leader, done = broken(store, clock)
    clock.advance(YIELD_SECONDS - 0.1)
    await leader.claim()
    assert not leader.is_mine
    clock.advance(0.1)
    await leader.claim()
    assert (leader.is_mine, done) == (True, ["done"])
    assert "this one begins anew" in caplog.text
    await leader.has_copy()
    assert done == ["done"]


async def test_nobody_is_thought_to_have_had_the_chance_while_the_store_was_away() -> None:
    clock = FakeClock()
    store = Store(clock)
    leader, _ = broken(store, clock)
    store.away = True
    clock.advance(10 * YIELD_SECONDS)
    await leader.claim()
    store.away = False
    clock.advance(YIELD_SECONDS - 0.1)
    await leader.claim()
    assert not leader.is_mine


async def test_when_the_one_that_was_copied_dies_the_wait_begins_again() -> None:
    clock = FakeClock()
    store = Store(clock)
    await store.claim(CLAIM, "b:1", LEASE_SECONDS)
    leader, done = broken(store, clock)
    clock.advance(10 * YIELD_SECONDS)
    await leader.claim()
    await store.release(CLAIM, "b:1")
    clock.advance(YIELD_SECONDS - 0.1)
    await leader.claim()
    assert (leader.is_mine, leader.holder, done) == (False, "", [])
    clock.advance(0.1)
    await leader.claim()
    assert leader.is_mine
