"""History, drafts and canaries as bytes of the store: messages, compressed (policy is text, and repeats itself)."""

from __future__ import annotations

import zlib

from google.protobuf.message import DecodeError
from turnout.policy.v1 import lifecycle_service_pb2 as pb

from services.controlplane.store.base import Draft, Recorded, RecordedChange
from services.core.discovery.canary import Canary
from services.core.discovery.messages import Entry
from services.wire.lifecycle import canary_message, change_message, change_of, seconds_of, timestamp, to_canary
from services.wire.policy import key_of_resource, to_document, to_key, to_name, to_resource


class Unreadable(Exception):
    """The bytes are not what they should be: somebody else wrote them."""


def record_bytes(record: Recorded) -> bytes:
    """A write as history keeps it; its revision is the key's."""
    message = pb.Revision(author=record.author, message=record.message, at=timestamp(record.at))
    message.changes.extend(change_message(c.key, c.before, c.after) for c in record.changes)
    return _packed(message.SerializeToString(deterministic=True))


def read_record(value: bytes, revision: int) -> Recorded:
    """The write that `value` keeps.

    Raises:
        Unreadable: It keeps none.
    """
    message = pb.Revision()
    _parse(message, value)
    changes = tuple(RecordedChange(*change_of(c)) for c in message.changes)
    return Recorded(message.author, message.message, seconds_of(message.at), changes, revision)


def draft_bytes(draft: Draft) -> bytes:
    """A draft; its revision is the key's."""
    message = pb.Draft(name=draft.name, author=draft.author, message=draft.message, saved_at=timestamp(draft.saved_at))
    for key in sorted(draft.puts):
        entry = draft.puts[key]
        resource = to_resource(entry.document)
        resource.etag = str(entry.revision)
        message.resources.append(resource)
    # What is deleted has no document to carry its revision; an entry that holds its name alone does.
    for key in sorted(draft.deletes):
        message.delete.append(to_name(key))
        message.changes.add(name=to_name(key)).before.etag = str(draft.deletes[key])
    return _packed(message.SerializeToString(deterministic=True))


def read_draft(value: bytes, revision: int) -> Draft:
    """The draft that `value` keeps.

    Raises:
        Unreadable: It keeps none.
    """
    message = pb.Draft()
    _parse(message, value)
    return Draft(
        name=message.name,
        puts={key_of_resource(r): Entry(to_document(r), int(r.etag or 0)) for r in message.resources},
        deletes={to_key(c.name): int(c.before.etag or 0) for c in message.changes},
        author=message.author,
        message=message.message,
        saved_at=seconds_of(message.saved_at),
        revision=revision,
    )


def canary_bytes(canary: Canary | None) -> bytes:
    """A canary; none is empty."""
    return _packed(canary_message(canary).SerializeToString(deterministic=True)) if canary is not None else b""


def read_canary(value: bytes, revision: int) -> Canary | None:
    """The canary that `value` keeps; None: it keeps none.

    Raises:
        Unreadable: It is something else.
    """
    if not value:
        return None
    message = pb.Canary()
    _parse(message, value)
    return to_canary(message, revision)


def _packed(data: bytes) -> bytes:
    return zlib.compress(data, 6)


def _parse(message: pb.Revision | pb.Draft | pb.Canary, value: bytes) -> None:
    try:
        message.ParseFromString(zlib.decompress(value))
    except (zlib.error, DecodeError) as error:
        raise Unreadable(str(error)) from error
