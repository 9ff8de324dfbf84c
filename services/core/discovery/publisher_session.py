"""The control plane's end of one policy stream.

Rules (after Envoy's incremental xDS)
1. At most one push is in flight. What changes meanwhile goes out as one difference to the
   newest set after the answer: latest wins, there is no queue, so a slow worker costs nothing.
2. An answer counts only with the nonce of the push in flight; a stale one is ignored.
3. After a NACK the refused set is not sent again; the next one is, from what the worker still
   holds. A later revision is another set even with the same content: a rollback to what a
   worker refused because it was old must reach it, and so must another store with the same.
   A worker that runs what is offered has nothing to refuse: its NACK is over.
4. A worker of another store, or one that asks, gets the whole set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from services.core.discovery.difference import Difference, difference
from services.core.discovery.messages import Acknowledgement, PolicySet, Push, Resync, Subscription
from services.core.errors import Problem
from services.core.policy.documents import ResourceKey

_NOTHING_REFUSED = ("", 0, "")


@dataclass(frozen=True, slots=True)
class PublisherSession:
    """State of one stream.

    Attributes:
        held: Revision of each document that the worker says it holds; what it has acknowledged since is in `acked`.
        in_flight: The push that awaits its answer; `offered` the set that it leads to.
        acked: The set that the worker has taken whole; None: it took none on this stream yet.
        refused: Version, revision and store id that the worker refused last.
        acked_version: What the worker said is in force.
    """

    subscription: Subscription
    held: Mapping[ResourceKey, int]
    full: bool
    in_flight: Push | None = None
    offered: PolicySet | None = None
    acked: PolicySet | None = None
    refused: tuple[str, int, str] = _NOTHING_REFUSED
    acked_version: str = ""
    acked_revision: int = 0
    nack_problems: tuple[Problem, ...] = ()
    pushes: int = 0


def open_session(subscription: Subscription, current: PolicySet) -> PublisherSession:
    """A session for a worker that just subscribed."""
    same_store = bool(subscription.store_id) and subscription.store_id == current.store_id
    held = {_key(name): revision for name, revision in subscription.held.items()} if same_store else {}
    return PublisherSession(subscription, held, full=not held)


def next_push(session: PublisherSession, current: PolicySet) -> tuple[PublisherSession, Push | None]:
    """The push that is due now, if one is."""
    offered = (current.version, current.revision, current.store_id)
    if session.in_flight is not None or not current.version or offered == session.refused:
        return session, None
    if offered[:2] == (session.acked_version, session.acked_revision) and not session.full:
        return (_content(session) if session.nack_problems else session), None
    owed = _owed(session, current)
    number = session.pushes + 1
    push = Push(
        nonce=str(number),
        version=current.version,
        revision=current.revision,
        store_id=current.store_id,
        full=session.full,
        upserts=owed.upserts,
        removals=owed.removals,
    )
    return replace(session, in_flight=push, offered=current, pushes=number), push


def _owed(session: PublisherSession, current: PolicySet) -> Difference:
    """What the worker lacks of `current`."""
    if session.full:
        return Difference(current.entries, ())
    if session.acked is not None:
        return difference(session.acked, current)
    held = session.held
    upserts = {key: entry for key, entry in current.entries.items() if held.get(key) != entry.revision}
    return Difference(upserts, tuple(sorted(key for key in held if key not in current.entries)))


def on_acknowledgement(session: PublisherSession, answer: Acknowledgement) -> PublisherSession:
    """The session after an ACK or NACK; a stale one changes nothing."""
    push = session.in_flight
    if push is None or answer.nonce != push.nonce:
        return session
    offered = session.offered
    session = replace(
        session, in_flight=None, offered=None, acked_version=answer.version, acked_revision=answer.revision
    )
    if answer.problems:
        refused = (push.version, push.revision, push.store_id)
        return replace(session, refused=refused, nack_problems=answer.problems)
    return _content(replace(session, held={}, acked=offered, full=False))


def on_resync(session: PublisherSession, request: Resync) -> PublisherSession:
    """The session after a worker asked for everything: what was in flight no longer counts."""
    del request
    return replace(
        session,
        held={},
        acked=None,
        full=True,
        in_flight=None,
        offered=None,
        refused=_NOTHING_REFUSED,
        acked_version="",
        acked_revision=0,
    )


def _content(session: PublisherSession) -> PublisherSession:
    """The session of a worker that refuses nothing any more."""
    return replace(session, refused=_NOTHING_REFUSED, nack_problems=())


def _key(name: str) -> ResourceKey:
    kind, _, rest = name.partition("/")
    return ResourceKey(kind, rest)
