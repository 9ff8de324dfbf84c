"""The use cases over the life of policy: history, rollback, drafts, canaries. No gRPC here.

draft → validate → simulate → canary → publish → rollback. A draft notes the revision of every document that it
touches, so that it cannot overwrite what somebody else published meanwhile. A rollback is a new revision like any
other: history only grows.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from services.controlplane.policy import (
    Applied,
    DocumentChange,
    Note,
    PolicyAdmin,
    Write,
    named,
    plan,
    resulting,
    revision_in,
    with_assignment,
)
from services.controlplane.store.base import Draft, Listing, PolicyStore, Recorded
from services.core.discovery.canary import Canary, chosen
from services.core.discovery.messages import Entry
from services.core.errors import InvalidRequest, NotFound, PolicyRejected, Problem
from services.core.policy.documents import Document, ResourceKey, key_of

_NAME = re.compile(r"\A[a-z0-9][a-z0-9-]{0,62}\Z")
MAX_PAGE = 1_000
DEFAULT_PAGE = 50


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A draft, what it would change now, and what is wrong or odd with the policy that would result."""

    draft: Draft
    changes: tuple[DocumentChange, ...]
    problems: tuple[Problem, ...]


class PolicyLifecycle:
    """History, drafts and canaries over the same store as `PolicyAdmin`."""

    def __init__(self, admin: PolicyAdmin, store: PolicyStore) -> None:
        self._admin = admin
        self._store = store

    async def revisions(
        self, *, before: int = 0, limit: int = DEFAULT_PAGE, key: ResourceKey | None = None
    ) -> list[Recorded]:
        """Writes, newest first.

        Args:
            before: Only those below this revision; 0: all.
            limit: How many at most; 0: all that history keeps.
            key: Only those that changed this document.
        """
        if key is None:
            return await self._store.history(before=before, limit=limit)
        found = await self._store.history(before=before)
        found = [r for r in found if any(c.key == key for c in r.changes)]
        return found[:limit] if limit else found

    async def revision(self, revision: int) -> Recorded:
        """One write.

        Raises:
            NotFound: History does not keep it, or there was none at this revision.
        """
        found = await self._store.history(after=revision - 1, before=revision + 1)
        if not found:
            raise NotFound(
                f"history keeps no write at revision {revision}; `turnout history` lists those that it keeps"
            )
        return found[0]

    async def rollback(
        self, revision: int, note: Note, *, keys: Collection[ResourceKey] = (), dry_run: bool = False
    ) -> Applied:
        """Make the policy what it was at `revision`.

        Args:
            keys: Only these documents; empty: all.

        Raises:
            NotFound: History does not reach back that far.
            PolicyRejected: The policy of that time is not valid any more.
        """
        await self.revision(revision)
        # Newest first, so that the oldest write behind the revision has the last word on what was before it.
        was: dict[ResourceKey, Document | None] = {}
        for record in await self._store.history(after=revision):
            was.update({c.key: c.before for c in record.changes if not keys or c.key in keys})
        writes = [Write(document) for document in was.values() if document is not None]
        deletes = [key for key, document in was.items() if document is None]
        note = replace(note, message=note.message or f"rollback to revision {revision}")
        return await self._admin.apply(writes, deletes, dry_run=dry_run, note=note, verbatim=True)

    async def save_draft(
        self,
        name: str,
        documents: Sequence[Document],
        deletes: Sequence[ResourceKey],
        note: Note,
        *,
        expected: int | None,
    ) -> Reviewed:
        """Keep changes under a name; they may be wrong, which is told.

        Raises:
            InvalidRequest: The name is not one, or there is nothing to keep.
            StoreConflict: The draft is not at the revision that its writer read.
        """
        if not _NAME.match(name):
            raise InvalidRequest("expected lower-case letters, digits and dashes", param="name")
        if not documents and not deletes:
            raise InvalidRequest("a draft that changes nothing is none", param="resources")
        listing = await self._store.listing()
        writes = with_assignment(listing, [Write(named(d)) for d in documents])
        puts = {key_of(w.document): Entry(w.document, revision_in(listing, key_of(w.document))) for w in writes}
        gone = {key: revision_in(listing, key) for key in deletes}
        draft = Draft(name, puts, gone, note.author, note.message, note.at)
        revision = await self._store.put_draft(draft, expected=expected)
        return self._reviewed(listing, replace(draft, revision=revision))

    async def draft(self, name: str) -> Reviewed:
        """A draft.

        Raises:
            NotFound: There is none.
        """
        draft = await self._draft(name)
        return self._reviewed(await self._store.listing(), draft)

    async def drafts(self) -> list[Draft]:
        """All drafts, by name."""
        found = await self._store.drafts()
        return [found[name] for name in sorted(found)]

    async def delete_draft(self, name: str) -> None:
        """Throw a draft away.

        Raises:
            NotFound: There is none.
        """
        if not await self._store.delete_draft(name):
            raise NotFound(f"there is no draft {name!r}")

    async def publish(self, name: str, note: Note) -> Applied:
        """Put a draft in force everywhere; it is gone afterwards, and so is its canary.

        One that is saved under its name meanwhile stays.

        Raises:
            NotFound: There is no such draft.
            PolicyRejected: The policy that would result has problems.
            StoreConflict: Somebody changed a document since the draft was made.
        """
        draft = await self._draft(name)
        writes = [Write(entry.document, entry.revision) for entry in draft.puts.values()]
        note = replace(note, message=note.message or draft.message or f"draft {name}")
        applied = await self._admin.apply(writes, tuple(draft.deletes), deleted_at=draft.deletes, note=note)
        # In this order: what the canary's workers run is the policy of all by now, and does not change for them.
        canary = (await self._store.listing()).canary
        if canary is not None and canary.draft == name:
            await self._store.put_canary(None)
        await self._store.delete_draft(name, revision=draft.revision)
        return applied

    async def start_canary(
        self, name: str, note: Note, workers: Collection[str], *, percent: float = 0.0, nodes: Collection[str] = ()
    ) -> Canary:
        """Put a draft in force at some workers.

        Args:
            workers: Those that are there.
            percent: Share of them, above 0 up to 100.
            nodes: These, instead of a share.

        Raises:
            NotFound: There is no such draft, or no such worker.
            PolicyRejected: The policy that would result has problems.
        """
        unknown = sorted(set(nodes) - set(workers))
        if unknown:
            raise NotFound(f"there is no worker {unknown[0]!r}; `turnout nodes` lists them")
        if not nodes and not 0.0 < percent <= 100.0:
            raise InvalidRequest("expected a share above 0 and up to 100", param="percent")
        draft = await self._draft(name)
        listing = await self._store.listing()
        reviewed = self._reviewed(listing, draft)
        if any(not p.warning for p in reviewed.problems):
            raise PolicyRejected(reviewed.problems)
        canary = Canary(
            draft=name,
            percent=0.0 if nodes else percent,
            nodes=tuple(sorted(nodes)) or chosen(name, workers, percent),
            puts={key: entry.document for key, entry in draft.puts.items()},
            deletes=tuple(draft.deletes),
            known=tuple(sorted(workers)),
            author=note.author,
            started_at=note.at,
        )
        return replace(canary, revision=await self._store.put_canary(canary))

    async def stop_canary(self) -> Canary | None:
        """End the canary; the one that ran."""
        canary = (await self._store.listing()).canary
        if canary is not None:
            await self._store.put_canary(None)
        return canary

    async def _draft(self, name: str) -> Draft:
        found = (await self._store.drafts()).get(name)
        if found is None:
            raise NotFound(f"there is no draft {name!r}")
        return found

    def _reviewed(self, listing: Listing, draft: Draft) -> Reviewed:
        """What a draft would do to the policy of `listing`."""
        writes = [Write(entry.document) for entry in draft.puts.values()]
        changes = plan(listing, writes, tuple(draft.deletes))
        problems = (*_outdated(listing, draft), *self._admin.check(resulting(listing, changes)))
        return Reviewed(draft, changes, problems)


def _outdated(listing: Listing, draft: Draft) -> list[Problem]:
    """Documents that somebody changed since the draft was made; publishing it will be refused."""
    made_at: Mapping[ResourceKey, int] = {k: e.revision for k, e in draft.puts.items()} | dict(draft.deletes)
    told = "was changed since the draft was made; save the draft again"
    return [
        Problem(key.kind, key.name, "", told, warning=True)
        for key, revision in made_at.items()
        if revision_in(listing, key) != revision
    ]
