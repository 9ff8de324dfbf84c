"""The policy store: what the control plane needs of it, whoever keeps it.

One key per document. A write is one transaction: it happens whole, against the
state that was validated (`generation`) and the revisions that the writer read
(`expected`), or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from services.core.discovery.canary import Canary
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
class RecordedChange:
    """What a write did to one document; None: it did not, or does not, exist."""

    key: ResourceKey
    before: Document | None
    after: Document | None


@dataclass(frozen=True, slots=True)
class Recorded:
    """One write, as history keeps it.

    Attributes:
        at: Seconds since the Unix epoch.
        author: Name of the key that wrote.
        revision: Store revision; the store fills it in.
    """

    author: str
    message: str
    at: float
    changes: tuple[RecordedChange, ...]
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Draft:
    """Changes that are prepared and not in force.

    Attributes:
        puts: Documents to write, each with the revision that it was made against; 0: there was none.
        deletes: Documents to delete, with theirs.
        saved_at: Seconds since the Unix epoch.
        revision: Store revision of the draft; the store fills it in.
    """

    name: str
    puts: Mapping[ResourceKey, Entry]
    deletes: Mapping[ResourceKey, int]
    author: str = ""
    message: str = ""
    saved_at: float = 0.0
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Listing:
    """All documents at one revision.

    Attributes:
        revision: Revision of the newest policy write.
        at: Store revision of the reading; a watch continues after it.
        generation: What a write must find unchanged.
        problems: Values in the store that are not documents; they are left out.
        writes: How many writes of policy there were.
        canary: The canary that runs.
        canary_at: Store revision at which the canary began or ended last.
    """

    entries: Mapping[ResourceKey, Entry]
    revision: int
    at: int
    generation: int
    store_id: str
    problems: tuple[Problem, ...] = ()
    writes: int = 0
    canary: Canary | None = None
    canary_at: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """All changes of one or more revisions, in order; `revision` is the last one.

    Attributes:
        canary_at: Store revision at which `canary` began, or the one before it ended; 0: nothing changed.
    """

    revision: int
    puts: Mapping[ResourceKey, Entry] = field(default_factory=dict)
    deletes: tuple[ResourceKey, ...] = ()
    problems: tuple[Problem, ...] = ()
    canary: Canary | None = None
    canary_at: int = 0


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
        record: Recorded | None = None,
        number: int = 0,
    ) -> int:
        """Write all or nothing; return the new revision.

        Args:
            record: What history keeps of it, in the same transaction; None: nothing.
            number: `Listing.writes` of the state that the write was validated against.

        Raises:
            StoreConflict: A document in `expected` has another revision.
            GenerationMoved: Somebody else wrote.
            StoreUnavailable: The store does not answer; nothing is known of the outcome.
        """

    async def history(self, *, after: int = 0, before: int = 0, limit: int = 0) -> list[Recorded]:
        """Writes that history still keeps, newest first.

        Args:
            after: Only revisions above it.
            before: Only revisions below it; 0: all.
            limit: How many at most; 0: all.
        """

    async def drafts(self) -> Mapping[str, Draft]:
        """All drafts, by name."""

    async def put_draft(self, draft: Draft, *, expected: int | None) -> int:
        """Keep a draft; return its revision.

        Args:
            expected: Revision of the one that it replaces, 0: there is none; None: do not check.

        Raises:
            StoreConflict: It has another revision.
        """

    async def delete_draft(self, name: str, *, revision: int | None = None) -> bool:
        """Throw a draft away; whether there was one.

        Args:
            revision: Only the one of this revision; None: whatever it is.
        """

    async def put_canary(self, canary: Canary | None) -> int:
        """Begin a canary, or end the one that runs; return the revision."""

    async def claim(self, name: str, value: str, ttl: int) -> str:
        """Claim a name for at least `ttl` seconds from now, or again; the value of who holds it, "": nobody for sure.

        Raises:
            StoreUnavailable: No answer; who holds it is not known.
        """

    async def claimed(self, name: str) -> str:
        """The value of who holds a claim, "": nobody.

        Raises:
            StoreUnavailable: No answer.
        """

    async def release(self, name: str, value: str) -> None:
        """Give a claim up, if `value` holds it."""

    async def put_status(self, name: str, value: bytes, ttl: int) -> None:
        """Keep a status for `ttl` seconds from now."""

    async def list_statuses(self) -> Mapping[str, bytes]:
        """All statuses that are still kept."""

    async def aclose(self) -> None:
        """Let go of connections."""
