"""The worker's end, at the edges of its rules."""

from __future__ import annotations

import pytest

from services.core.discovery.messages import Acknowledgement, Entry, PolicySet, Push, Resync
from services.core.discovery.subscriber_session import Accept, acknowledge, on_push, subscription_of
from services.core.errors import Problem
from services.core.policy.documents import Alias, ResourceKey, key_of
from services.core.policy.version import content_version


def policy(revision: int, store: str = "store", **models: str) -> PolicySet:
    documents = [Alias(name, model) for name, model in models.items()]
    entries = {key_of(document): Entry(document, revision) for document in documents}
    return PolicySet(entries, revision, content_version(documents), store)


def push_of(newer: PolicySet, *, full: bool = True, removals: tuple[ResourceKey, ...] = ()) -> Push:
    return Push("9", newer.version, newer.revision, newer.store_id, full, newer.entries, removals)


HELD = policy(5, a="p/m")


@pytest.mark.parametrize("revision", [5, 6])
def test_a_set_of_the_same_or_a_later_revision_is_accepted(revision: int) -> None:
    newer = policy(revision, a="p/n")
    assert on_push(HELD, push_of(newer)) == Accept(push_of(newer), newer)


@pytest.mark.parametrize("store", ["", "another"])
def test_revisions_of_another_store_do_not_compare(store: str) -> None:
    assert isinstance(on_push(HELD, push_of(policy(1, store, a="p/n"))), Accept)


def test_a_refusal_names_the_push_and_what_stays_in_force() -> None:
    answer = on_push(HELD, push_of(policy(4, a="p/n")))
    assert isinstance(answer, Acknowledgement)
    assert (answer.nonce, answer.version, answer.revision) == ("9", HELD.version, 5)
    assert [problem.message for problem in answer.problems] == ["revision 4 is older than 5, which is in force"]


def test_an_old_revision_is_refused_before_its_content_is_looked_at() -> None:
    old = Push("9", "not its hash", 4, "store", True, {})
    answer = on_push(HELD, old)
    assert isinstance(answer, Acknowledgement)
    assert "is older than" in answer.problems[0].message


def test_a_difference_that_removes_the_last_document_is_refused() -> None:
    emptied = Push("9", content_version([]), 6, "store", False, {}, tuple(HELD.entries))
    answer = on_push(HELD, emptied)
    assert isinstance(answer, Acknowledgement)
    assert answer.problems


def test_nothing_may_be_replaced_by_nothing() -> None:
    assert isinstance(on_push(PolicySet(), push_of(policy(1))), Accept)


def test_only_a_difference_is_answered_with_a_wish_for_everything() -> None:
    wrong = policy(6, a="p/n")
    spoilt = PolicySet(wrong.entries, 6, "0" * 32, "store")
    assert isinstance(on_push(HELD, push_of(spoilt, full=False)), Resync)
    assert isinstance(on_push(HELD, push_of(spoilt, full=True)), Acknowledgement)


def test_a_worker_says_who_it_is_and_what_it_holds() -> None:
    said = subscription_of(HELD, "node", "127.0.0.1:1", "1.2", "c1")
    assert (said.node_id, said.address, said.software_version) == ("node", "127.0.0.1:1", "1.2")
    assert said.catalogue_version == "c1"
    assert (said.held, said.revision, said.store_id) == ({"Alias/a": 5}, 5, "store")


def test_an_acknowledgement_tells_what_is_in_force_now() -> None:
    problem = Problem("Alias", "a", "model", "is wrong")
    push = push_of(policy(6, a="p/n"))
    assert acknowledge(push, HELD, (problem,)) == Acknowledgement("9", HELD.version, 5, (problem,))
