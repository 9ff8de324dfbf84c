"""Who runs a canary, and what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.discovery.canary import Canary, chosen, is_chosen, overlaid
from services.core.discovery.messages import Entry, PolicySet, documents_of
from services.core.policy.documents import Alias, Provider, key_of
from services.core.policy.version import content_version

NODES = st.sets(st.text("abcdef0123456789-", min_size=1, max_size=8), min_size=1, max_size=40)


@given(NODES, st.floats(0.01, 100.0))
def test_a_canary_begins_with_its_share_rounded_up_to_whole_workers(nodes: set[str], percent: float) -> None:
    first = chosen("d", nodes, percent)
    assert 1 <= len(first) <= len(nodes)
    assert len(nodes) * percent / 100 <= len(first) < len(nodes) * percent / 100 + 1 + 1e-9
    assert set(chosen("d", nodes, min(100.0, percent * 2))) >= set(first), "a larger share keeps those that run it"


@given(NODES, st.floats(0.01, 100.0))
def test_only_those_that_were_chosen_run_it_of_those_that_were_there(nodes: set[str], percent: float) -> None:
    first = chosen("d", nodes, percent)
    canary = Canary("d", percent, first, known=tuple(sorted(nodes)))
    assert {n for n in nodes if is_chosen(canary, n)} == set(first)


def test_of_workers_that_come_later_about_the_share_runs_it_and_always_the_same() -> None:
    canary = Canary("d", 30.0, ())
    late = [n for n in (f"worker-{i}" for i in range(2_000)) if is_chosen(canary, n)]
    assert 0.27 < len(late) / 2_000 < 0.33
    assert late[:4] == ["worker-3", "worker-9", "worker-11", "worker-12"], "on every machine and in every release"


def test_a_canary_of_named_workers_takes_no_others() -> None:
    canary = Canary("d", 0.0, ("n1",))
    assert is_chosen(canary, "n1")
    assert not any(is_chosen(canary, f"n{i}") for i in range(2, 500))


def test_its_workers_run_the_policy_with_its_changes() -> None:
    openai, best, old = Provider(name="openai"), Alias(name="best", model="openai/a"), Alias(name="old", model="x/y")
    policy = PolicySet({key_of(d): Entry(d, 3) for d in (openai, best, old)}, 5, "v", "s")
    changed = Alias(name="best", model="openai/b")
    found = overlaid(policy, Canary("d", 1.0, (), {key_of(changed): changed}, (key_of(old),), revision=9))
    assert documents_of(found) == {key_of(openai): openai, key_of(changed): changed}
    assert (found.revision, found.store_id) == (9, "s")
    assert found.entries[key_of(changed)].revision == 9
    assert found.version == content_version(documents_of(found).values()) != policy.version


@pytest.mark.parametrize("revision", [4, 40])
def test_its_set_is_never_older_than_the_policy(revision: int) -> None:
    assert overlaid(PolicySet({}, 10, "v", "s"), Canary("d", 1.0, (), revision=revision)).revision == max(10, revision)
