"""The policy store: what the control plane needs of it, whoever keeps it.

One key per document. A write is one transaction: it happens whole, against the
state that was validated (`generation`) and the revisions that the writer read
(`expected`), or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from services.core.discovery.messages import Entry
from services.core.errors import Problem
from services.core.policy.documents import Document, ResourceKey


class ListAgain(Exception):
    """A watch cannot go on from where it was; what is missing is in a new listing."""


class Compacted(ListAgain):
    """The history that the watch asked for is gone."""


class Replaced(ListAgain):
    """The store is another one, or it went back in time: somebody restored or wiped it."""


class WatchEnded(Exception):
    """The watch was cancelled by its owner."""


class GenerationMoved(Exception):
    """Somebody wrote since the state that a write was validated against; read and validate again."""


@dataclass(frozen=True, slots=True)
class Listing:
    """All documents at one revision.

    Attributes:
        revision: Revision of the newest policy write.
        at: Store revision of the reading; a watch continues after it.
        generation: What a write must find unchanged.
        problems: Values in the store that are not documents; they are left out.
    """

    entries: Mapping[ResourceKey, Entry]
    revision: int
    at: int
    generation: int
    store_id: str
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """All changes of one or more revisions, in order; `revision` is the last one."""

    revision: int
    puts: Mapping[ResourceKey, Entry] = field(default_factory=dict)
    deletes: tuple[ResourceKey, ...] = ()
    problems: tuple[Problem, ...] = ()


class Watch(Protocol):
    """A watch from one revision on. Survives restarts of the store, and notices when it comes back as another one."""

    async def next(self) -> Batch:
        """The next changes, in order, none left out, none twice.

        Raises:
            ListAgain: The history is gone, or the store is another one.
            WatchEnded: `cancel` was called.
        """

    def cancel(self) -> None:
        """End the watch; a waiting `next` raises."""


class PolicyStore(Protocol):
    """Where policy is kept."""

    async def listing(self) -> Listing:
        """All documents.

        Raises:
            StoreUnavailable: The store does not answer.
        """

    def watch(self, listing: Listing) -> Watch:
        """Changes after `listing`."""

    async def write(
        self,
        puts: Mapping[ResourceKey, Document],
        deletes: tuple[ResourceKey, ...],
        *,
        expected: Mapping[ResourceKey, int],
        generation: int,
    ) -> int:
        """Write all or nothing; return the new revision.

        Raises:
            StoreConflict: A document in `expected` has another revision.
            GenerationMoved: Somebody else wrote.
            StoreUnavailable: The store does not answer; nothing is known of the outcome.
        """

    async def put_status(self, name: str, value: bytes, ttl: int) -> None:
        """Keep a status for `ttl` seconds from now."""

    async def list_statuses(self) -> Mapping[str, bytes]:
        """All statuses that are still kept."""

    async def aclose(self) -> None:
        """Let go of connections."""
