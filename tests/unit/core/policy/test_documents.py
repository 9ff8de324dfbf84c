"""Documents as values: their keys."""

from __future__ import annotations

import dataclasses

import pytest

from services.core.policy.documents import KINDS, Alias, Document, ResourceKey, key_of


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_document_is_stored_under_its_kind_and_name(kind: str) -> None:
    assert key_of(KINDS[kind](name="x")) == ResourceKey(kind, "x")


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_document_cannot_be_changed(kind: str) -> None:
    document: Document = KINDS[kind](name="x")
    with pytest.raises(dataclasses.FrozenInstanceError):
        document.name = "y"  # type: ignore[misc]


def test_keys_are_written_with_a_slash_and_ordered_by_kind_then_name() -> None:
    assert str(key_of(Alias("org/model", "x"))) == "Alias/org/model"
    keys = [ResourceKey("B", "a"), ResourceKey("A", "b"), ResourceKey("A", "a")]
    assert sorted(keys) == [ResourceKey("A", "a"), ResourceKey("A", "b"), ResourceKey("B", "a")]
