"""The content version: equal documents give an equal version, and every field counts."""

from __future__ import annotations

import dataclasses
import random
import types
import typing
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

import pytest

from services.core.policy.documents import KINDS, Alias, Clocks, Document, Model, Provider, Router, Settings
from services.core.policy.version import content_version, document_digest


def filled(kind: Any, name: str = "x") -> Any:
    """A value of type `kind` with everything set, all the way down."""
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{f.name: filled(hints[f.name], f"{name}.{f.name}") for f in dataclasses.fields(kind)})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in {types.UnionType, typing.Union}:
        return filled(arguments[0], name)
    if origin is tuple:
        return (filled(arguments[0], f"{name}-1"), filled(arguments[0], f"{name}-2"))
    if origin is Mapping:
        return {f"{name}-key": f"{name}-value"}
    number = sum(name.encode())
    return {str: name, int: number, float: number + 0.5, bool: True}[kind]


def changed(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every way to change one thing in `value`: (where, the value after it)."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            for where, other in changed(getattr(value, field.name), f"{path}.{field.name}"):
                yield where, dataclasses.replace(value, **{field.name: other})
    elif isinstance(value, tuple):
        yield f"{path} shorter", value[:-1]
        yield f"{path} longer", (*value, value[-1])
        yield f"{path} turned", value[::-1]
        for index, item in enumerate(value):
            for where, other in changed(item, f"{path}[{index}]"):
                yield where, (*value[:index], other, *value[index + 1 :])
    elif isinstance(value, Mapping):
        (key, item) = next(iter(value.items()))
        yield f"{path} emptied", {}
        yield f"{path} renamed", {f"{key}2": item}
        yield f"{path} other", {key: f"{item}2"}
        yield f"{path} more", {key: item, "more": item}
    else:
        other = not value if isinstance(value, bool) else value + value
        yield path, other


SAMPLES: dict[str, Document] = {kind: filled(document) for kind, document in KINDS.items()}


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_field_changes_the_version(kind: str) -> None:
    sample = SAMPLES[kind]
    digests = {"": document_digest(sample)}
    digests.update((where, document_digest(other)) for where, other in changed(sample))
    assert len(digests) > len(dataclasses.fields(sample))
    assert len(set(digests.values())) == len(digests)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_field_that_is_unset_is_another_value_than_one_that_is_set(kind: str) -> None:
    sample = SAMPLES[kind]
    empty = KINDS[kind](name=sample.name)
    for field in dataclasses.fields(sample):
        if field.name != "name":
            one = dataclasses.replace(empty, **{field.name: getattr(sample, field.name)})
            assert document_digest(one) != document_digest(empty), field.name


def test_the_version_ignores_the_order_of_documents_and_of_maps() -> None:
    documents = list(SAMPLES.values())
    version = content_version(documents)
    for seed in range(20):
        random.Random(seed).shuffle(documents)
        assert content_version(iter(documents)) == version
    forwards, backwards = {"a": "1", "b": "2"}, {"b": "2", "a": "1"}
    assert document_digest(Provider(headers=forwards)) == document_digest(Provider(headers=backwards))


def test_the_version_is_the_same_on_every_machine() -> None:
    assert content_version([]) == "cae66941d9efbd404e4d88758ea67670"
    alias = Alias("fast", "openai/gpt-5")
    digest = blake2b(b"Alias{name:'fast',model:'openai/gpt-5'}", digest_size=16).hexdigest()
    assert document_digest(alias) == digest
    assert content_version([alias]) == "34203aec5b5242ea3531c638e6600dea"
    assert content_version([alias]) == blake2b(f"Alias/fast={digest}".encode(), digest_size=16).hexdigest()


def test_documents_of_two_kinds_with_the_same_fields_are_not_the_same() -> None:
    assert content_version([Model("x")]) != content_version([Router("x")])


def test_durations_that_are_the_same_nanoseconds_are_the_same() -> None:
    one, other = (Settings(clocks=Clocks(connect=seconds)) for seconds in (0.1 + 0.2, 0.3))
    assert document_digest(one) == document_digest(other)
    assert document_digest(one) == document_digest(Settings(clocks=Clocks(connect=0.3000000004)))
    assert document_digest(one) != document_digest(Settings(clocks=Clocks(connect=0.300000001)))


def test_set_but_empty_is_not_the_same_as_unset() -> None:
    assert document_digest(Settings(clocks=Clocks())) != document_digest(Settings())


def test_no_text_in_a_field_can_pass_for_another_field() -> None:
    assert document_digest(Alias("a", "b',name:'c")) != document_digest(Alias("c", "b"))
    assert document_digest(Provider(credentials=("a", "b"))) != document_digest(Provider(credentials=("a','b",)))
