"""Sets and what a push makes of them."""

from __future__ import annotations

from services.core.discovery.messages import Entry, PolicySet, Push, apply_push, documents_of
from services.core.policy.documents import Alias, ResourceKey

A, B, C = (ResourceKey("Alias", name) for name in "abc")


def entry(name: str, revision: int = 1) -> Entry:
    return Entry(Alias(name, "p/m"), revision)


HELD = PolicySet({A: entry("a"), B: entry("b")}, 5, "old", "store")


def push(upserts: dict[ResourceKey, Entry], removals: tuple[ResourceKey, ...] = (), *, full: bool = False) -> Push:
    return Push("1", "new", 6, "other", full, upserts, removals)


def test_a_difference_is_laid_over_what_is_held() -> None:
    after = apply_push(HELD, push({B: entry("b", 6), C: entry("c", 6)}, (A,)))
    assert after == PolicySet({B: entry("b", 6), C: entry("c", 6)}, 6, "new", "other")


def test_everything_replaces_what_is_held() -> None:
    assert apply_push(HELD, push({C: entry("c", 6)}, full=True)).entries == {C: entry("c", 6)}


def test_what_is_not_there_can_be_removed() -> None:
    assert apply_push(HELD, push({}, (C,))).entries == HELD.entries


def test_a_push_leaves_the_old_set_and_itself_as_they_were() -> None:
    given = push({C: entry("c")}, (A,), full=True)
    apply_push(HELD, given).entries.keys()
    assert HELD.entries == {A: entry("a"), B: entry("b")}
    assert given.upserts == {C: entry("c")}


def test_documents_are_the_set_without_revisions() -> None:
    assert documents_of(HELD) == {A: Alias("a", "p/m"), B: Alias("b", "p/m")}
