"""What callers put into `extra_body`, and into `reasoning`, wherever it stands."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from services.core.errors import InvalidRequest
from services.dataplane.dialects.read_search import SEARCHES

ROUTED_EXTRAS = frozenset(("metadata", "models", "ignore", "sort", "fallback", "provider", "user"))
"""Members of `extra_body` that are read for routing."""
SEARCHING_EXTRAS = ROUTED_EXTRAS | set(SEARCHES)
REASONING_EXTRAS = SEARCHING_EXTRAS | {"reasoning"}


def lost_extras(extra: Any, known: Collection[str]) -> list[str]:
    """A warning for each member of `extra_body` that is not `known`."""
    if not isinstance(extra, (dict, Mapping)):
        return []
    return [f"extra_body.{name} was dropped: it is not known here" for name in extra if name not in known]


def reasoning_of(extra: Mapping[str, Any], facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """The caller's `reasoning` object, from `extra_body` or from the top level; empty: there is none.

    Raises:
        InvalidRequest: It is no object.
    """
    found = extra.get("reasoning")
    found = facts.get("reasoning") if found is None else found
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise InvalidRequest("`reasoning` must be an object", param="reasoning")
    return found
