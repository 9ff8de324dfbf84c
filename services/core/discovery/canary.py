"""A canary: changes of policy that some workers run, and the others do not. Pure.

Which workers are chosen is written down when it begins, so that its share is whole workers and at least one.
Workers that come later are chosen by a hash of their id, so that the share stays about the same while workers
come and go, and every replica of the control plane chooses alike.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from services.core.discovery.messages import Entry, PolicySet, documents_of
from services.core.policy.documents import Document, ResourceKey
from services.core.policy.version import content_version

_SPAN = float(1 << 64)


@dataclass(frozen=True, slots=True)
class Canary:
    """Changes that are in force at some workers.

    Attributes:
        draft: Name of the draft that it tries.
        percent: Share of the workers, 0 to 100; of those that come later.
        nodes: Workers that were chosen when it began.
        known: Workers that were there when it began.
        started_at: Seconds since the Unix epoch.
        revision: Store revision of its beginning.
    """

    draft: str
    percent: float
    nodes: tuple[str, ...]
    puts: Mapping[ResourceKey, Document] = field(default_factory=dict)
    deletes: tuple[ResourceKey, ...] = ()
    known: tuple[str, ...] = ()
    author: str = ""
    started_at: float = 0.0
    revision: int = 0


def chosen(draft: str, nodes: Collection[str], percent: float) -> tuple[str, ...]:
    """The workers that a canary begins with: the share, rounded up, in the order of their hashes."""
    count = min(len(nodes), math.ceil(len(nodes) * percent / 100.0))
    return tuple(sorted(sorted(nodes, key=lambda node: _rank(draft, node))[:count]))


def is_chosen(canary: Canary, node: str) -> bool:
    """Whether a worker runs the canary."""
    if node in canary.nodes:
        return True
    return node not in canary.known and _rank(canary.draft, node) < canary.percent / 100.0


def _rank(draft: str, node: str) -> float:
    digest = blake2b(node.encode(), key=blake2b(draft.encode(), digest_size=32).digest(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / _SPAN


def overlaid(policy: PolicySet, canary: Canary) -> PolicySet:
    """The set that the canary's workers run."""
    entries = dict(policy.entries)
    for key, document in canary.puts.items():
        entries[key] = Entry(document, canary.revision)
    for key in canary.deletes:
        entries.pop(key, None)
    found = replace(policy, entries=entries, revision=max(policy.revision, canary.revision))
    return replace(found, version=content_version(documents_of(found).values()))
