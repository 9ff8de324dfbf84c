"""Policy documents between their two forms: protobuf messages and core values, field by field of the same name."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from turnout.policy.v1 import policy_pb2

from services.core.errors import Problem
from services.core.policy.documents import KINDS, Document, ResourceKey, key_of

ONEOF_OF_KIND = {
    "Provider": "provider",
    "Model": "model",
    "Router": "router",
    "ApiKey": "api_key",
    "Alias": "alias",
    "Settings": "settings",
    "Catalogue": "catalogue",
}
KIND_OF_ONEOF = {field: kind for kind, field in ONEOF_OF_KIND.items()}

Read = Callable[[Message], Any]


def key_of_resource(resource: policy_pb2.Resource) -> ResourceKey:
    """The key under which `resource` is stored; kind "" when it holds no document."""
    field = resource.WhichOneof("document")
    if field is None:
        return ResourceKey("", "")
    return ResourceKey(KIND_OF_ONEOF[field], getattr(resource, field).name)


def to_document(resource: policy_pb2.Resource) -> Document:
    """The core value of `resource`, which must hold a document."""
    field = resource.WhichOneof("document")
    assert field is not None, "a resource holds a document"
    value: Document = _reader(KINDS[KIND_OF_ONEOF[field]])(getattr(resource, field))
    return value


def to_resource(document: Document, revision: int = 0) -> policy_pb2.Resource:
    """The message of `document`; its etag is `revision`, or empty for 0."""
    resource = policy_pb2.Resource(etag=str(revision) if revision else "")
    field = ONEOF_OF_KIND[key_of(document).kind]
    target: Message = getattr(resource, field)
    # An empty document must still be marked as set.
    target.SetInParent()
    _fill(target, document)
    return resource


def to_name(key: ResourceKey) -> policy_pb2.ResourceName:
    """The message of `key`."""
    return policy_pb2.ResourceName(kind=key.kind, name=key.name)


def to_key(name: policy_pb2.ResourceName) -> ResourceKey:
    """The core value of `name`."""
    return ResourceKey(name.kind, name.name)


def problem_message(problem: Problem) -> policy_pb2.Problem:
    """The message of `problem`."""
    name = policy_pb2.ResourceName(kind=problem.kind, name=problem.name)
    return policy_pb2.Problem(resource=name, field=problem.field, message=problem.message, warning=problem.warning)


def to_problem(message: policy_pb2.Problem) -> Problem:
    """The core value of a problem message."""
    return Problem(
        message.resource.kind, message.resource.name, message.field, message.message, warning=message.warning
    )


_READERS: dict[Any, Read] = {}


def _reader(kind: Any) -> Read:
    if kind not in _READERS:
        _READERS[kind] = _make_reader(kind)
    return _READERS[kind]


def _make_reader(kind: Any) -> Read:
    """A function from the message of `kind` to its dataclass; made once per type."""
    hints = typing.get_type_hints(kind)
    fields = [(f.name, _field_reader(f.name, hints[f.name])) for f in dataclasses.fields(kind)]

    def read(message: Message) -> Any:
        return kind(**{name: field(message) for name, field in fields})

    return read


def _field_reader(name: str, hint: Any) -> Read:
    optional, inner = _unwrap(hint)
    origin = typing.get_origin(inner)
    if origin is tuple:
        item = typing.get_args(inner)[0]
        if dataclasses.is_dataclass(item):
            read_item = _reader(item)
            return lambda message: tuple(read_item(m) for m in getattr(message, name))
        return lambda message: tuple(getattr(message, name))
    if origin is not None and issubclass(origin, Mapping):
        return lambda message: dict(getattr(message, name))
    if dataclasses.is_dataclass(inner):
        read_inner = _reader(inner)
        return lambda message: read_inner(getattr(message, name)) if message.HasField(name) else None
    if optional:
        return lambda message: _scalar(getattr(message, name)) if message.HasField(name) else None
    return lambda message: getattr(message, name)


def _scalar(value: Any) -> Any:
    return value.seconds + value.nanos / 1e9 if isinstance(value, Duration) else value


def _unwrap(hint: Any) -> tuple[bool, Any]:
    """Whether `hint` is `X | None`, and X."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        inner = [a for a in typing.get_args(hint) if a is not type(None)]
        return True, inner[0]
    return False, hint


def _fill(message: Message, value: Any) -> None:
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if item is None:
            continue
        if isinstance(item, tuple):
            target = getattr(message, field.name)
            for part in item:
                if dataclasses.is_dataclass(part):
                    _fill(target.add(), part)
                else:
                    target.append(part)
        elif isinstance(item, Mapping):
            getattr(message, field.name).update(item)
        elif dataclasses.is_dataclass(item):
            child: Message = getattr(message, field.name)
            child.SetInParent()
            _fill(child, item)
        elif _is_duration(message, field.name):
            nanos = round(item * 1e9)
            getattr(message, field.name).CopyFrom(Duration(seconds=nanos // 10**9, nanos=nanos % 10**9))
        else:
            setattr(message, field.name, item)


def _is_duration(message: Message, name: str) -> bool:
    field = message.DESCRIPTOR.fields_by_name[name]
    return field.message_type is not None and field.message_type.full_name == "google.protobuf.Duration"
