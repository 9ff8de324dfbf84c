"""History, drafts and canaries between their messages and their values."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.timestamp_pb2 import Timestamp
from turnout.policy.v1 import lifecycle_service_pb2 as pb
from turnout.policy.v1.policy_pb2 import Resource
from turnout.policy.v1.policy_service_pb2 import Change

from services.core.discovery.canary import Canary
from services.core.policy.documents import Document, ResourceKey
from services.wire.policy import key_of_resource, to_document, to_key, to_name, to_resource


def timestamp(seconds: float) -> Timestamp:
    """A wall-clock instant as a message."""
    micros = round(seconds * 1e6)
    return Timestamp(seconds=micros // 10**6, nanos=micros % 10**6 * 1000)


def seconds_of(message: Timestamp) -> float:
    """A wall-clock instant in seconds since the Unix epoch."""
    return message.seconds + message.nanos / 1e9


def change_message(
    key: ResourceKey, before: Document | None, after: Document | None, revisions: tuple[int, int] = (0, 0)
) -> Change:
    """What became of one document.

    Args:
        revisions: Store revisions of before and after; 0: not said.
    """
    message = Change(name=to_name(key))
    if before is not None:
        message.before.CopyFrom(to_resource(before, revisions[0]))
    if after is None:
        message.action = Change.ACTION_DELETED
        return message
    message.after.CopyFrom(to_resource(after, revisions[1]))
    if before is None:
        message.action = Change.ACTION_CREATED
    elif before == after:
        message.action = Change.ACTION_UNCHANGED
    else:
        message.action = Change.ACTION_UPDATED
    return message


def change_of(message: Change) -> tuple[ResourceKey, Document | None, Document | None]:
    """The key, and the document before and after."""
    before = to_document(message.before) if message.HasField("before") else None
    after = to_document(message.after) if message.HasField("after") else None
    return to_key(message.name), before, after


def resources_of(documents: Mapping[ResourceKey, Document]) -> list[Resource]:
    """Documents as messages, in the order of their keys."""
    return [to_resource(documents[key]) for key in sorted(documents)]


def canary_message(canary: Canary, version: str = "") -> pb.Canary:
    """The message of a canary."""
    return pb.Canary(
        draft=canary.draft,
        percent=canary.percent,
        nodes=canary.nodes,
        known=canary.known,
        resources=resources_of(canary.puts),
        delete=[to_name(key) for key in canary.deletes],
        author=canary.author,
        started_at=timestamp(canary.started_at),
        version=version,
        revision=canary.revision,
    )


def to_canary(message: pb.Canary, revision: int) -> Canary:
    """The core value of a canary; its revision is the store's to say."""
    return Canary(
        draft=message.draft,
        percent=message.percent,
        nodes=tuple(message.nodes),
        puts={key_of_resource(r): to_document(r) for r in message.resources},
        deletes=tuple(to_key(n) for n in message.delete),
        known=tuple(message.known),
        author=message.author,
        started_at=seconds_of(message.started_at),
        revision=revision,
    )
