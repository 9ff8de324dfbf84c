"""The policy documents of the core and of the protos are one schema: same fields, same types, same presence."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from turnout.policy.v1 import policy_pb2

from services.core.policy import documents, rules
from services.core.policy.documents import KINDS
from services.wire.policy import ONEOF_OF_KIND, to_document

NOT_DOCUMENTS = {"Resource", "ResourceName", "Problem", "Facts"}
"""Messages of the file that policy files do not hold."""

MESSAGES: dict[str, Descriptor] = {
    name: descriptor
    for name, descriptor in policy_pb2.DESCRIPTOR.message_types_by_name.items()
    if name not in NOT_DOCUMENTS
}

SCALARS = {
    FieldDescriptor.CPPTYPE_STRING: str,
    FieldDescriptor.CPPTYPE_BOOL: bool,
    FieldDescriptor.CPPTYPE_INT32: int,
    FieldDescriptor.CPPTYPE_INT64: int,
    FieldDescriptor.CPPTYPE_DOUBLE: float,
}


def expected_type(field: FieldDescriptor) -> Any:
    """The type that a proto field has in the core."""
    message = field.message_type
    if message is not None and message.GetOptions().map_entry:
        return Mapping[str, str]
    if message is None:
        inner: Any = SCALARS[field.cpp_type]
    elif message.full_name == "google.protobuf.Duration":
        inner = float
    else:
        inner = getattr(documents, message.name)
    if field.is_repeated:
        return tuple[inner, ...]
    return inner | None if field.has_presence else inner


def core_types() -> dict[str, type]:
    found = {name: kind for name, kind in vars(documents).items() if isinstance(kind, type)}
    return {name: kind for name, kind in found.items() if dataclasses.is_dataclass(kind) and name != "ResourceKey"}


def test_every_message_has_a_dataclass_and_every_dataclass_a_message() -> None:
    assert set(core_types()) == set(MESSAGES)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_the_fields_have_the_same_names_in_the_same_order(name: str) -> None:
    ours = [f.name for f in dataclasses.fields(core_types()[name])]
    theirs = [f.name for f in sorted(MESSAGES[name].fields, key=lambda f: f.number)]
    assert ours == theirs


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_the_fields_have_the_same_types_and_presence(name: str) -> None:
    hints = typing.get_type_hints(core_types()[name])
    assert hints == {f.name: expected_type(f) for f in MESSAGES[name].fields}


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_message_that_sets_nothing_is_a_dataclass_that_sets_nothing(name: str) -> None:
    empty = core_types()[name]()
    for field in MESSAGES[name].fields:
        value = getattr(empty, field.name)
        if isinstance(typing.get_type_hints(type(empty))[field.name], types.UnionType):
            assert value is None, field.name
        else:
            assert not value, field.name


def test_the_kinds_are_the_documents_of_a_resource() -> None:
    oneof = policy_pb2.Resource.DESCRIPTOR.oneofs_by_name["document"]
    held = {f.name: f.message_type.name for f in oneof.fields if f.message_type is not None}
    assert held == {v: k for k, v in ONEOF_OF_KIND.items()}
    assert {name: kind.__name__ for name, kind in KINDS.items()} == {name: name for name in ONEOF_OF_KIND}


RULES = [
    (rules.ClockRule, documents.Clocks),
    (rules.TtftRule, documents.AdaptiveTtft),
    (rules.RetryRule, documents.Retry),
    (rules.BudgetRule, documents.RetryBudget),
    (rules.BreakerRule, documents.Breaker),
    (rules.CommitRule, documents.CommitAfter),
    (rules.ExhaustedRule, documents.OnExhausted),
    (rules.FaultRule, documents.Fault),
]


@pytest.mark.parametrize(("rule", "document"), RULES)
def test_compiled_rules_hold_what_documents_can_set(rule: type, document: type) -> None:
    assert [f.name for f in dataclasses.fields(rule)] == [f.name for f in dataclasses.fields(document)]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_field_of_a_message_reaches_its_dataclass(kind: str) -> None:
    resource = policy_pb2.Resource()
    fill(getattr(resource, ONEOF_OF_KIND[kind]))
    unset = list(unset_fields(to_document(resource), kind))
    assert not unset


def fill(message: Any) -> None:
    """Set every field of `message` and of what it holds."""
    for field in message.DESCRIPTOR.fields:
        inner = field.message_type
        if inner is None:
            value = {str: "x", bool: True, int: 1, float: 1.5}[SCALARS[field.cpp_type]]
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
        elif inner.GetOptions().map_entry:
            getattr(message, field.name)["x"] = "y"
        elif inner.full_name == "google.protobuf.Duration":
            getattr(message, field.name).nanos = 1_500_000
        else:
            child = getattr(message, field.name)
            fill(child.add() if field.is_repeated else child)


def unset_fields(value: Any, path: str) -> Iterator[str]:
    """Paths of fields that hold nothing."""
    for field in dataclasses.fields(value):
        found = getattr(value, field.name)
        where = f"{path}.{field.name}"
        if not found:
            yield where
        for part in found if isinstance(found, tuple) else (found,):
            if dataclasses.is_dataclass(part):
                yield from unset_fields(part, where)
