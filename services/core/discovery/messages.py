"""What the two ends of the policy push say to each other, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.core.errors import Problem
from services.core.policy.documents import Document, ResourceKey


@dataclass(frozen=True, slots=True)
class Entry:
    """A document and the store revision of its last write."""

    document: Document
    revision: int


@dataclass(frozen=True, slots=True)
class PolicySet:
    """A whole set of documents at one store revision.

    Attributes:
        version: Content id of the documents.
        store_id: The store that the revision counts in; revisions of different stores do not compare.
    """

    entries: Mapping[ResourceKey, Entry] = field(default_factory=dict)
    revision: int = 0
    version: str = ""
    store_id: str = ""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A worker's first words: who it is and what it holds."""

    node_id: str
    address: str
    software_version: str
    held: Mapping[str, int] = field(default_factory=dict)
    revision: int = 0
    store_id: str = ""
    catalogue_version: str = ""


@dataclass(frozen=True, slots=True)
class Push:
    """The difference between what a worker holds and the newest set."""

    nonce: str
    version: str
    revision: int
    store_id: str
    full: bool
    upserts: Mapping[ResourceKey, Entry]
    removals: tuple[ResourceKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A worker's answer to a push; with problems it is a NACK. Version and revision are those now in force."""

    nonce: str
    version: str
    revision: int
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Resync:
    """A worker asks for the whole set."""

    reason: str


def apply_push(held: PolicySet, push: Push) -> PolicySet:
    """The set after `push`."""
    entries = dict(push.upserts) if push.full else {**held.entries, **push.upserts}
    for key in push.removals:
        entries.pop(key, None)
    return PolicySet(entries, push.revision, push.version, push.store_id)


def documents_of(policy: PolicySet) -> dict[ResourceKey, Document]:
    """The documents of a set, without their revisions."""
    return {key: entry.document for key, entry in policy.entries.items()}
