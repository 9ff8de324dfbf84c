"""Messages of `turnout.discovery.v1` and the session values they stand for."""

from __future__ import annotations

from turnout.discovery.v1 import discovery_pb2 as pb

from services.core.discovery.messages import Acknowledgement, Entry, PolicySet, Push, Resync, Subscription
from services.core.policy.documents import ResourceKey, key_of
from services.wire.policy import problem_message, to_document, to_key, to_name, to_problem, to_resource

_KNOWN = 1 << 16
_messages: dict[int, tuple[Entry, pb.Entry]] = {}


def entry_message(entry: Entry) -> pb.Entry:
    """The message of an entry; not to be changed.

    Remembered by identity: every worker is told of the same entries. What is remembered keeps its entry alive, so that
    no other one gets its identity.
    """
    known = _messages.get(id(entry))
    if known is not None:
        return known[1]
    message = pb.Entry(resource=to_resource(entry.document, entry.revision), revision=entry.revision)
    if len(_messages) >= _KNOWN:
        _messages.clear()
    _messages[id(entry)] = (entry, message)
    return message


def to_entries(messages: object) -> dict[ResourceKey, Entry]:
    """Entries by key."""
    entries: dict[ResourceKey, Entry] = {}
    for message in messages:  # type: ignore[attr-defined]
        document = to_document(message.resource)
        entries[key_of(document)] = Entry(document, message.revision)
    return entries


def push_message(push: Push) -> pb.StreamPolicyResponse:
    """The message of a push."""
    return pb.StreamPolicyResponse(
        nonce=push.nonce,
        version=push.version,
        revision=push.revision,
        store_id=push.store_id,
        full=push.full,
        upserts=[entry_message(e) for e in push.upserts.values()],
        removals=[to_name(k) for k in push.removals],
    )


def to_push(message: pb.StreamPolicyResponse) -> Push:
    """The value of a push message."""
    return Push(
        nonce=message.nonce,
        version=message.version,
        revision=message.revision,
        store_id=message.store_id,
        full=message.full,
        upserts=to_entries(message.upserts),
        removals=tuple(to_key(n) for n in message.removals),
    )


def request_message(value: Subscription | Acknowledgement | Resync) -> pb.StreamPolicyRequest:
    """The message of what a worker says."""
    if isinstance(value, Subscription):
        subscribe = pb.Subscribe(
            node_id=value.node_id,
            address=value.address,
            software_version=value.software_version,
            catalogue_version=value.catalogue_version,
            held=value.held,
            revision=value.revision,
            store_id=value.store_id,
        )
        return pb.StreamPolicyRequest(subscribe=subscribe)
    if isinstance(value, Acknowledgement):
        problems = [problem_message(p) for p in value.problems]
        acknowledge = pb.Acknowledge(
            nonce=value.nonce, version=value.version, revision=value.revision, problems=problems
        )
        return pb.StreamPolicyRequest(acknowledge=acknowledge)
    return pb.StreamPolicyRequest(resync=pb.Resync(reason=value.reason))


def to_request(message: pb.StreamPolicyRequest) -> Subscription | Acknowledgement | Resync | None:
    """The value of what a worker said; None for a message of a kind that this release does not know."""
    kind = message.WhichOneof("message")
    if kind == "subscribe":
        said = message.subscribe
        return Subscription(
            said.node_id,
            said.address,
            said.software_version,
            dict(said.held),
            said.revision,
            said.store_id,
            said.catalogue_version,
        )
    if kind == "acknowledge":
        answer = message.acknowledge
        problems = tuple(to_problem(p) for p in answer.problems)
        return Acknowledgement(answer.nonce, answer.version, answer.revision, problems)
    if kind == "resync":
        return Resync(message.resync.reason)
    return None


def set_message(policy: PolicySet) -> pb.StreamPolicyResponse:
    """A whole set as one message: the form in which a worker keeps it on disk."""
    return pb.StreamPolicyResponse(
        version=policy.version,
        revision=policy.revision,
        store_id=policy.store_id,
        full=True,
        upserts=[entry_message(e) for e in policy.entries.values()],
    )


def to_set(message: pb.StreamPolicyResponse) -> PolicySet:
    """The set of such a message."""
    return PolicySet(to_entries(message.upserts), message.revision, message.version, message.store_id)
