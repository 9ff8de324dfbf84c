"""The use cases over policy: read, write, validate. No gRPC here.

Every write validates the whole policy that would result, against the listing it
was read from; the store then admits it only if nobody wrote in between. So two
replicas can never each admit half of an inconsistent policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from services.controlplane.store.base import GenerationMoved, Listing, PolicyStore, Recorded, RecordedChange
from services.core.discovery.messages import Entry
from services.core.errors import (
    AlreadyExists,
    InUse,
    InvalidRequest,
    NotFound,
    PolicyRejected,
    Problem,
    StoreConflict,
    StoreUnavailable,
)
from services.core.experiments.ramps import with_slots
from services.core.policy.compile import Problems, compile
from services.core.policy.documents import KINDS, Document, ResourceKey, Router, key_of
from services.core.policy.names import bare_router_name, derive_name
from services.core.policy.ports import ConditionCompiler, ModelCatalogue
from services.core.policy.snapshot import Snapshot

MAX_TRIES = 8


@dataclass(frozen=True, slots=True)
class Write:
    """A document to write. `revision` is the one its writer read; None: do not check; 0: it must not exist."""

    document: Document
    revision: int | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """Who writes, why, and when (seconds since the Unix epoch)."""

    author: str = ""
    message: str = ""
    at: float = 0.0


NOBODY = Note()


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """What became of one document; before or after is None when it did not or does not exist."""

    key: ResourceKey
    before: Entry | None
    after: Entry | None


@dataclass(frozen=True, slots=True)
class Applied:
    """What a write did, or would do."""

    changes: tuple[DocumentChange, ...]
    revision: int
    warnings: tuple[Problem, ...]


class PolicyAdmin:
    """Reads and writes policy."""

    def __init__(self, store: PolicyStore, conditions: ConditionCompiler, catalogue: ModelCatalogue) -> None:
        self._store = store
        self._conditions = conditions
        self._catalogue = catalogue
        self._compiled: Snapshot | None = None

    async def listing(self) -> Listing:
        """All documents as the store has them now."""
        return await self._store.listing()

    async def get(self, key: ResourceKey) -> Entry:
        """One document.

        Raises:
            NotFound: There is none.
        """
        if key.kind not in KINDS:
            raise InvalidRequest(f"unknown kind {key.kind!r}; known are {', '.join(KINDS)}", param="name.kind")
        found = (await self._store.listing()).entries.get(key)
        if found is None:
            raise NotFound(f"there is no {key}")
        return found

    async def create(self, document: Document, note: Note = NOBODY) -> Entry:
        """Write a document that must not exist yet."""
        document = named(document)
        key = key_of(document)
        try:
            await self.apply([Write(document, 0)], note=note)
        except StoreConflict as error:
            raise AlreadyExists(f"{key} exists already, at revision {error.current_revision}") from error
        return await self.get(key)

    async def update(self, write: Write, *, allow_missing: bool, note: Note = NOBODY) -> Entry:
        """Replace a document."""
        write = replace(write, document=named(write.document))
        key = key_of(write.document)
        if not allow_missing and write.revision is None:
            await self.get(key)
        await self.apply([write], note=note)
        return await self.get(key)

    async def delete(self, key: ResourceKey, revision: int | None, note: Note = NOBODY) -> int:
        """Delete a document; return the store's revision.

        Raises:
            NotFound: There is none.
            InUse: Others refer to it.
        """
        await self.get(key)
        applied = await self.apply([], [key], deleted_at={key: revision} if revision is not None else {}, note=note)
        return applied.revision

    async def apply(
        self,
        writes: Sequence[Write],
        deletes: Sequence[ResourceKey] = (),
        *,
        dry_run: bool = False,
        deleted_at: Mapping[ResourceKey, int] | None = None,
        note: Note = NOBODY,
        verbatim: bool = False,
    ) -> Applied:
        """Write all or nothing; what was written, by whom and why goes into the history with it.

        Args:
            verbatim: Take the slots of routers as they are written: for documents that were in force before.
            deleted_at: Revisions at which documents to delete were read; those that are not named are not checked.

        Raises:
            PolicyRejected: The resulting policy has problems; all of them are listed.
            StoreConflict: A document is not at the revision that its writer read.
        """
        writes = [replace(w, document=named(w.document)) for w in writes]
        checked = {key_of(w.document): w.revision for w in writes if w.revision is not None} | dict(deleted_at or {})
        for _ in range(MAX_TRIES):
            listing = await self._store.listing()
            planned = plan(listing, writes if verbatim else with_assignment(listing, writes), deletes)
            _check_revisions(listing, checked)
            warnings = self._admit(listing, planned)
            puts = {c.key: c.after.document for c in planned if c.after is not None and c.after != c.before}
            gone = tuple(c.key for c in planned if c.after is None)
            if dry_run or not (puts or gone):
                return Applied(planned, listing.revision, warnings)
            expected = {key: revision_in(listing, key) for key in (*puts, *gone)}
            try:
                revision = await self._store.write(
                    puts,
                    gone,
                    expected=expected,
                    generation=listing.generation,
                    record=_recorded(planned, note),
                    number=listing.writes,
                )
            except GenerationMoved:
                continue
            except StoreConflict:
                # Without a revision of its own the writer does not mind: read again.
                if checked:
                    raise
                continue
            return Applied(_at(planned, revision), revision, warnings)
        raise StoreUnavailable("too many writers at once; try again", retry_after=0.5)

    def _admit(self, listing: Listing, planned: tuple[DocumentChange, ...]) -> tuple[Problem, ...]:
        before = set(self._problems(resulting(listing, ())))
        removed = [c.key for c in planned if c.after is None]
        found = self.check(resulting(listing, planned))
        new = [p for p in found if not p.warning and p not in before]
        if new and removed and all((p.kind, p.name) not in {(c.key.kind, c.key.name) for c in planned} for p in new):
            names = ", ".join(sorted({f"{p.kind}/{p.name}" for p in new}))
            raise InUse(f"{', '.join(str(k) for k in removed)} is in use by {names}; change that first")
        if new:
            raise PolicyRejected(found)
        return tuple(found)

    def _problems(self, documents: Mapping[ResourceKey, Document]) -> list[Problem]:
        """Problems that are there already: somebody wrote past us; they must not block their own mending."""
        return [p for p in self.check(documents) if not p.warning]

    def check(self, documents: Mapping[ResourceKey, Document]) -> tuple[Problem, ...]:
        """Everything that is wrong or odd with a set of documents."""
        compiled = self.compile(documents)
        return compiled.problems if isinstance(compiled, Problems) else compiled.warnings

    def compile(self, documents: Mapping[ResourceKey, Document], revision: int = 0) -> Snapshot | Problems:
        """The snapshot of a set of documents; conditions of the last one are reused."""
        compiled = compile(documents, self._conditions, self._catalogue, revision=revision, previous=self._compiled)
        if isinstance(compiled, Snapshot):
            self._compiled = compiled
        return compiled

    async def tried(self, writes: Sequence[Write], deletes: Sequence[ResourceKey] = ()) -> Snapshot:
        """The snapshot that a write would lead to; nothing is written.

        Raises:
            PolicyRejected: The resulting policy has problems.
        """
        listing = await self._store.listing()
        writes = with_assignment(listing, [replace(w, document=named(w.document)) for w in writes])
        found = self.compile(resulting(listing, plan(listing, writes, deletes)), listing.revision)
        if isinstance(found, Problems):
            raise PolicyRejected(found.problems)
        return found

    async def validate(self, documents: Sequence[Document], *, alone: bool) -> tuple[Problem, ...]:
        """Problems of the policy that would result; `alone`: as if the store were empty."""
        stored: dict[ResourceKey, Document] = {}
        if not alone:
            stored = resulting(await self._store.listing(), ())
        for document in map(named, documents):
            stored[key_of(document)] = document
        return self.check(stored)


def named(document: Document) -> Document:
    """`document` with its name in its plain form; a router without one takes it from its display name."""
    if isinstance(document, Router):
        name = bare_router_name(document.name) or derive_name(document.display_name)
        return document if name == document.name else replace(document, name=name)
    return document


def revision_in(listing: Listing, key: ResourceKey) -> int:
    """The revision of a document; 0: there is none."""
    entry = listing.entries.get(key)
    return entry.revision if entry is not None else 0


def plan(listing: Listing, writes: Sequence[Write], deletes: Sequence[ResourceKey]) -> tuple[DocumentChange, ...]:
    """What would become of the documents of `listing`; what is not there to be deleted is left out."""
    changes = []
    for write in writes:
        key = key_of(write.document)
        before = listing.entries.get(key)
        same = before is not None and before.document == write.document
        changes.append(DocumentChange(key, before, before if same else Entry(write.document, 0)))
    changes += [DocumentChange(key, listing.entries[key], None) for key in deletes if key in listing.entries]
    return tuple(changes)


def resulting(listing: Listing, changes: Iterable[DocumentChange]) -> dict[ResourceKey, Document]:
    """The documents of `listing` after `changes`."""
    documents = {key: entry.document for key, entry in listing.entries.items()}
    for change in changes:
        if change.after is None:
            documents.pop(change.key, None)
        else:
            documents[change.key] = change.after.document
    return documents


def with_assignment(listing: Listing, writes: Sequence[Write]) -> list[Write]:
    """The writes with the slots of their routers worked out from those that are in force."""
    found = []
    for write in writes:
        document = write.document
        if isinstance(document, Router):
            entry = listing.entries.get(key_of(document))
            before = entry.document if entry is not None else None
            document = with_slots(document, before if isinstance(before, Router) else None)
        found.append(replace(write, document=document))
    return found


def _recorded(planned: tuple[DocumentChange, ...], note: Note) -> Recorded:
    """What history keeps of a write: everything that it really changed."""
    changes = tuple(
        RecordedChange(c.key, _document(c.before), _document(c.after)) for c in planned if c.before != c.after
    )
    return Recorded(note.author, note.message, note.at, changes)


def _document(entry: Entry | None) -> Document | None:
    return entry.document if entry is not None else None


def _check_revisions(listing: Listing, wanted: Mapping[ResourceKey, int]) -> None:
    for key, revision in wanted.items():
        current = revision_in(listing, key)
        if revision != current:
            raise StoreConflict(f"{key} is at revision {current}, not {revision}", current_revision=current)


def _at(planned: tuple[DocumentChange, ...], revision: int) -> tuple[DocumentChange, ...]:
    """The changes with the revision that was given to what was written."""
    return tuple(
        replace(c, after=Entry(c.after.document, revision)) if c.after is not None and c.after.revision == 0 else c
        for c in planned
    )
