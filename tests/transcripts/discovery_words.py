"""The words of discovery transcripts: sets, pushes, answers and what a session knows, each in one line."""

from __future__ import annotations

from services.core.discovery.messages import Acknowledgement, PolicySet, Push, Resync
from services.core.discovery.publisher_session import PublisherSession


def set_told(policy: PolicySet) -> str:
    documents = ", ".join(f"{key.name}={getattr(e.document, 'model', '')}" for key, e in sorted(policy.entries.items()))
    return f"{policy.store_id or 'no store'}@{policy.revision} {policy.version[:6] or '-'}: {documents or 'empty'}"


def push_told(push: Push) -> str:
    changes = [f"+{key.name}" for key in sorted(push.upserts)] + [f"-{key.name}" for key in push.removals]
    what = "everything" if push.full else "changes"
    return (
        f"push {push.nonce} to {push.store_id}@{push.revision} {push.version[:6]}, {what}: {' '.join(changes) or '-'}"
    )


def answer_told(answer: Acknowledgement | Resync) -> str:
    if isinstance(answer, Resync):
        return f"RESYNC: {answer.reason}"
    if answer.problems:
        return f"NACK {answer.nonce}, still {answer.version[:6] or 'nothing'}: {'; '.join(map(str, answer.problems))}"
    return f"ACK {answer.nonce}, now {answer.version[:6]}"


def belief_told(session: PublisherSession) -> str:
    acked = {key: entry.revision for key, entry in session.acked.entries.items()} if session.acked is not None else {}
    held = ", ".join(f"{key.name}@{revision}" for key, revision in sorted((acked or session.held).items()))
    version, revision, _ = session.refused
    refused = f", refused {version[:6]}@{revision}" if version else ""
    waiting = f", push {session.in_flight.nonce} under way" if session.in_flight is not None else ""
    return f"the control plane knows of {held or 'nothing'} {session.acked_version[:6] or '-'}{refused}{waiting}"
