"""The worker's end of one policy stream.

Rules
1. A push is applied whole or not at all; what was in force stays in force on a NACK.
2. A push whose content does not hash to its version is not applied; the worker asks for everything.
3. A set of the same store with a lower revision is refused: a lagging replica must not take a
   worker back in time. A rollback is a new revision. A restored store has another id, and is followed.
4. An empty set never replaces one that is not empty: that is how a wiped store would look.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.core.discovery.messages import (
    Acknowledgement,
    PolicySet,
    Push,
    Resync,
    Subscription,
    apply_push,
    documents_of,
)
from services.core.errors import Problem
from services.core.policy.version import content_version


@dataclass(frozen=True, slots=True)
class Accept:
    """The push is sound: compile `proposed`, then answer with `acknowledge`."""

    push: Push
    proposed: PolicySet


def subscription_of(
    held: PolicySet, node_id: str, address: str, software_version: str, catalogue_version: str = ""
) -> Subscription:
    """The first words of a worker that holds `held`."""
    revisions = {str(key): entry.revision for key, entry in held.entries.items()}
    return Subscription(node_id, address, software_version, revisions, held.revision, held.store_id, catalogue_version)


def on_push(held: PolicySet, push: Push) -> Accept | Acknowledgement | Resync:
    """What to do about `push`."""
    if push.store_id == held.store_id and push.revision < held.revision:
        told = f"revision {push.revision} is older than {held.revision}, which is in force"
        return _refuse(held, push, told)
    proposed = apply_push(held, push)
    if held.entries and not proposed.entries:
        return _refuse(held, push, "an empty policy does not replace one that is not empty")
    if content_version(documents_of(proposed).values()) != push.version:
        if push.full:
            return _refuse(held, push, f"the content does not hash to its version {push.version}")
        return Resync(f"the content does not hash to version {push.version} after push {push.nonce}")
    return Accept(push, proposed)


def acknowledge(push: Push, in_force: PolicySet, problems: tuple[Problem, ...] = ()) -> Acknowledgement:
    """The answer to `push`; `in_force` is what the worker runs now, `problems` why the push was refused."""
    return Acknowledgement(push.nonce, in_force.version, in_force.revision, problems)


def _refuse(held: PolicySet, push: Push, told: str) -> Acknowledgement:
    return acknowledge(push, held, (Problem("", "", "", told),))
