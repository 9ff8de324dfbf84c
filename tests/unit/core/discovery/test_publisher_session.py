"""The control plane's end: what transcripts, which know only aliases, cannot show."""

from __future__ import annotations

from dataclasses import replace

from services.core.discovery.messages import Acknowledgement, Entry, PolicySet, Push, Resync, Subscription
from services.core.discovery.publisher_session import PublisherSession, next_push, on_acknowledgement, open_session
from services.core.discovery.publisher_session import on_resync as resynced
from services.core.errors import Problem
from services.core.policy.documents import Model, key_of

MODEL = Model("openai/org/gpt-5")
CURRENT = PolicySet({key_of(MODEL): Entry(MODEL, 4)}, 4, "v4", "store")
NEW = Subscription("n", "a", "1.0")


def pushed(session: PublisherSession, current: PolicySet = CURRENT) -> tuple[PublisherSession, Push]:
    session, push = next_push(session, current)
    assert push is not None
    return session, push


def test_names_with_slashes_are_recognised_among_what_a_worker_holds() -> None:
    subscription = Subscription("n", "a", "1.0", {"Model/openai/org/gpt-5": 4}, 4, "store")
    _, push = pushed(open_session(subscription, CURRENT))
    assert (push.full, push.upserts, push.removals) == (False, {}, ())


def test_a_worker_that_names_no_store_gets_everything_whatever_it_holds() -> None:
    nameless = PolicySet(CURRENT.entries, 4, "v4", "")
    _, push = pushed(open_session(Subscription("n", "a", "1.0", {"Model/openai/org/gpt-5": 4}), nameless), nameless)
    assert (push.full, push.upserts) == (True, CURRENT.entries)


def test_a_set_that_has_no_version_yet_is_not_sent() -> None:
    session = open_session(NEW, CURRENT)
    assert next_push(session, PolicySet(CURRENT.entries, 4, "", "store")) == (session, None)


def test_a_worker_that_still_lacks_everything_gets_it_though_it_runs_the_same_version() -> None:
    # It came from another store, refused this store's set, and by chance runs what is current now.
    session = replace(open_session(NEW, CURRENT), acked_version="v4", acked_revision=4)
    _, push = pushed(session)
    assert push.full


def test_removals_come_in_a_fixed_order() -> None:
    held = {f"Alias/{name}": 1 for name in "cab"}
    _, push = pushed(open_session(Subscription("n", "a", "1.0", held, 1, "store"), CURRENT))
    assert [key.name for key in push.removals] == ["a", "b", "c"]


def test_an_answer_without_a_push_under_way_changes_nothing() -> None:
    session = open_session(NEW, CURRENT)
    assert on_acknowledgement(session, Acknowledgement("1", "v4", 4)) is session


def test_an_acknowledgement_clears_the_problems_of_the_refusal_before_it() -> None:
    session, push = pushed(open_session(NEW, CURRENT))
    problem = Problem("Model", "m", "", "is wrong")
    session = on_acknowledgement(session, Acknowledgement(push.nonce, "", 0, (problem,)))
    assert session.nack_problems == (problem,)
    newer = PolicySet(CURRENT.entries, 5, "v5", "store")
    session, push = pushed(session, newer)
    session = on_acknowledgement(session, Acknowledgement(push.nonce, "v5", 5))
    assert (session.nack_problems, session.acked_version, session.acked_revision) == ((), "v5", 5)


def test_a_session_is_a_value_that_no_event_changes_in_place() -> None:
    session, push = pushed(open_session(NEW, CURRENT))
    before = repr(session)
    on_acknowledgement(session, Acknowledgement(push.nonce, "v4", 4))
    resynced(session, Resync("x"))
    next_push(session, CURRENT)
    assert repr(session) == before


def test_nonces_never_repeat_within_a_stream() -> None:
    session = open_session(NEW, CURRENT)
    nonces = []
    for _ in range(5):
        session, push = pushed(session)
        nonces.append(push.nonce)
        session = resynced(session, Resync("again"))
    assert len(set(nonces)) == 5


def refused_by_a_lagging_replica() -> PublisherSession:
    """The worker runs revision 5; the replica offered 4."""
    held = Subscription("n", "a", "1.0", {"Model/openai/org/gpt-5": 5}, 5, "store")
    session, push = pushed(open_session(held, CURRENT))
    return on_acknowledgement(session, Acknowledgement(push.nonce, "v5", 5, (Problem("", "", "", "is older"),)))


def test_a_refusal_is_over_once_the_worker_runs_what_is_offered() -> None:
    session = refused_by_a_lagging_replica()
    assert next_push(session, CURRENT) == (session, None)
    assert session.nack_problems
    caught_up, push = next_push(session, replace(CURRENT, revision=5, version="v5"))
    assert push is None
    assert caught_up.nack_problems == ()
    # Nothing more happens by itself, and a new write goes out as ever.
    assert next_push(caught_up, replace(CURRENT, revision=5, version="v5"))[0] is caught_up
    pushed(caught_up, replace(CURRENT, revision=6, version="v6"))


def test_what_was_refused_of_one_store_is_offered_again_by_another() -> None:
    # etcd was restored twice from one backup, and only the second time with an id of its own.
    _, push = pushed(refused_by_a_lagging_replica(), replace(CURRENT, store_id="restored"))
    assert (push.version, push.revision, push.store_id) == ("v4", 4, "restored")
