"""What a record keeps of the facts that a decision was made of: never a prompt, and of the metadata what policy lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.numbers import is_number
from services.core.policy.preferences import NO_PREFERENCES
from services.core.routing.context import RequestContext
from services.core.values import Value

MAX_CHARS = 256
"""Of a text in the metadata."""
MAX_ITEMS = 32
"""Of a list in the metadata."""


class KeptFacts(Value, frozen=True):
    """Facts for a record.

    Attributes:
        metadata: Values of the keys that policy lists; texts and lists are cut.
        known: Those keys whose values are whole, or that the request did not have.
    """

    models: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    least_tokens: int = 0
    has_preferences: bool = False
    metadata: Mapping[str, Any] = {}
    known: tuple[str, ...] = ()


def kept_facts(context: RequestContext, keys: tuple[str, ...]) -> KeptFacts:
    """The facts of a request; `keys` are those of the metadata whose values may be kept."""
    metadata: dict[str, Any] = {}
    known: list[str] = []
    for key in keys:
        value, whole = _cut(context.metadata.get(key))
        if value is not None:
            metadata[key] = value
        if whole:
            known.append(key)
    preferred = context.preferences is not NO_PREFERENCES
    return KeptFacts(context.models, context.needs, context.least_tokens, preferred, metadata, tuple(known))


def _cut(value: Any) -> tuple[Any, bool]:
    """A value as it is kept (None: not at all), and whether it is whole. What is neither plain nor a list is not kept.

    Nor is a whole number that no float can hold: records have no other numbers.
    """
    if value is None or isinstance(value, bool) or is_number(value):
        return value, True
    if isinstance(value, str):
        return value[:MAX_CHARS], len(value) <= MAX_CHARS
    if isinstance(value, (list, tuple)):
        items = [_cut(item) for item in value[:MAX_ITEMS] if not isinstance(item, (list, tuple))]
        whole = len(items) == len(value) and all(is_whole for _, is_whole in items)
        return [item for item, _ in items if item is not None], whole
    return None, False
