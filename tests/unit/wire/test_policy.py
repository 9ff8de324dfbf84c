"""Policy documents between messages, values and plain forms: every kind, every field, both spellings."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from turnout.policy.v1 import policy_pb2

from services.core.errors import Problem
from services.core.policy.documents import KINDS, Document, ResourceKey, key_of
from services.wire.document_form import read_form, to_form
from services.wire.policy import (
    KIND_OF_ONEOF,
    ONEOF_OF_KIND,
    key_of_resource,
    problem_message,
    to_document,
    to_key,
    to_name,
    to_problem,
    to_resource,
)


class Filler:
    """Makes values with every field set to something of its own."""

    def __init__(self) -> None:
        self._count = 0

    def document(self, kind: type[Any]) -> Any:
        hints = typing.get_type_hints(kind)
        return kind(**{f.name: self._value(hints[f.name]) for f in dataclasses.fields(kind)})

    def _value(self, hint: Any) -> Any:
        self._count += 1
        if isinstance(hint, types.UnionType):
            hint = next(a for a in typing.get_args(hint) if a is not types.NoneType)
        origin = typing.get_origin(hint)
        if origin is tuple:
            return (self._value(typing.get_args(hint)[0]), self._value(typing.get_args(hint)[0]))
        if origin is not None and issubclass(origin, Mapping):
            return {f"k{self._count}": f"v{self._count}"}
        if dataclasses.is_dataclass(hint):
            return self.document(hint)  # type: ignore[arg-type]
        made: dict[Any, Any] = {str: f"text-{self._count}", int: self._count, float: self._count + 0.25, bool: True}
        return made[hint]


FULL: dict[str, Document] = {name: Filler().document(kind) for name, kind in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_with_every_field_set_survives_its_message(kind: str) -> None:
    document = FULL[kind]
    resource = to_resource(document, revision=7)
    assert resource.etag == "7"
    assert to_document(policy_pb2.Resource.FromString(resource.SerializeToString())) == document
    assert key_of_resource(resource) == key_of(document) == to_key(to_name(key_of(document)))


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_document_survives_its_message_and_stays_of_its_kind(kind: str) -> None:
    document = KINDS[kind](name="x")
    resource = policy_pb2.Resource.FromString(to_resource(document).SerializeToString())
    assert to_document(resource) == document
    assert resource.etag == ""
    nameless = policy_pb2.Resource.FromString(to_resource(KINDS[kind]()).SerializeToString())
    assert to_document(nameless) == KINDS[kind]()


@pytest.mark.parametrize("camel", [False, True], ids=["snake", "camel"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_document_with_every_field_set_survives_its_plain_form_in_either_spelling(kind: str, *, camel: bool) -> None:
    resource = to_resource(FULL[kind])
    form = to_form(resource, camel=camel)
    assert {name for name in _names(form) if ("_" in name) == camel} <= {"kind"} if camel else True
    read, problems = read_form(form)
    assert problems == []
    assert read == resource


def _names(value: Any) -> set[str]:
    if isinstance(value, dict):
        inner = {name for item in value.values() for name in _names(item)}
        # Members of maps are data, not fields.
        return inner | {name for name in value if not name.startswith("k")}
    return {name for item in value for name in _names(item)} if isinstance(value, list) else set()


def test_every_field_of_every_message_is_filled_so_that_none_is_forgotten() -> None:
    empty = [path for kind, document in FULL.items() for path in _unset(to_resource(document), kind)]
    # The oneof holds one kind, and the etag is the store's.
    assert [p for p in empty if p.count(".") > 1] == []


def _unset(message: Any, path: str) -> list[str]:
    found = []
    filled = {field.name for field, _ in message.ListFields()}
    for field in message.DESCRIPTOR.fields:
        where = f"{path}.{field.name}"
        if field.name not in filled:
            found.append(where)
        elif (
            field.message_type is not None
            and not _is_map(field)
            and not isinstance(value := getattr(message, field.name), Duration)
        ):
            for item in value if field.is_repeated else [value]:
                found += _unset(item, where)
    return found


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def test_unset_and_zero_are_different_things() -> None:
    form = {"kind": "Model", "name": "p/m", "prices": {"input_per_million": 0}, "capabilities": {"tools": False}}
    resource, problems = read_form(form)
    assert resource is not None, problems
    model: Any = to_document(resource)
    assert model.prices.input_per_million == 0
    assert model.prices.output_per_million is None
    assert model.capabilities.tools is False
    assert model.capabilities.vision is None
    assert to_form(resource) == form


def test_problems_survive_their_message() -> None:
    problem = Problem("Router", "r", "routes[0]", "is odd", warning=True)
    assert to_problem(problem_message(problem)) == problem


def test_a_resource_without_a_document_has_no_key() -> None:
    assert key_of_resource(policy_pb2.Resource()) == ResourceKey("", "")
    assert set(KIND_OF_ONEOF) == {f.name for f in policy_pb2.Resource.DESCRIPTOR.oneofs[0].fields}
    assert set(ONEOF_OF_KIND) == set(KINDS)
