"""What changed between two policy sets, found once however many workers are to be told.

Two hundred workers that run the same set are owed the same difference: it is remembered by the identity of the two
sets, which are immutable.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.core.discovery.messages import Entry, PolicySet
from services.core.policy.documents import ResourceKey
from services.core.values import Value

_KEPT = 8
"""Differences that are remembered: to the newest set from the last few, and the same for a canary."""


class Difference(Value, frozen=True):
    """Documents that are new or changed, and keys that are gone, in order."""

    upserts: Mapping[ResourceKey, Entry]
    removals: tuple[ResourceKey, ...]


_recent: list[tuple[PolicySet, PolicySet, Difference]] = []


def difference(old: PolicySet, new: PolicySet) -> Difference:
    """From `old` to `new`; an entry is the same when its revision is."""
    for known_old, known_new, found in _recent:
        if known_old is old and known_new is new:
            return found
    before = old.entries
    upserts = {
        key: entry
        for key, entry in new.entries.items()
        if (known := before.get(key)) is not entry and (known is None or known.revision != entry.revision)
    }
    removals = tuple(sorted(key for key in before if key not in new.entries))
    found = Difference(upserts, removals)
    _recent.append((old, new, found))
    del _recent[:-_KEPT]
    return found
