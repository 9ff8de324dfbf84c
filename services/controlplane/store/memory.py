"""A store in memory, for tests: the same promises as etcd's, in one process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from services.controlplane.store.base import (
    Batch,
    Compacted,
    Draft,
    GenerationMoved,
    Listing,
    Recorded,
    Replaced,
    WatchEnded,
)
from services.core.discovery.canary import Canary
from services.core.discovery.messages import Entry
from services.core.errors import StoreConflict, StoreUnavailable
from services.core.policy.documents import Document, ResourceKey


class MemoryStore:
    """Documents, history and statuses in dictionaries."""

    def __init__(self, store_id: str = "memory") -> None:
        self._store_id = store_id
        self._entries: dict[ResourceKey, Entry] = {}
        self._history: list[Batch] = []
        self._recorded: list[Recorded] = []
        self._drafts: dict[str, Draft] = {}
        self._canary: Canary | None = None
        self._canary_at = 0
        self._generation = 0
        self._statuses: dict[str, bytes] = {}
        self._claims: dict[str, str] = {}
        self._revision = 0
        self._compacted = 0
        self._changed = asyncio.Condition()
        self.available = True

    async def listing(self) -> Listing:
        self._check()
        return Listing(
            entries=dict(self._entries),
            revision=max(self._generation, self._canary_at),
            at=self._revision,
            generation=self._generation,
            store_id=self._store_id,
            writes=len(self._recorded),
            canary=self._canary,
            canary_at=self._canary_at,
        )

    def watch(self, listing: Listing) -> MemoryWatch:
        return MemoryWatch(self, listing)

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
        del number
        self._check()
        for key, revision in expected.items():
            found = self._entries.get(key)
            current = found.revision if found is not None else 0
            if current != revision:
                raise StoreConflict(f"{key} is at revision {current}, not {revision}", current_revision=current)
        if generation != self._generation:
            raise GenerationMoved
        self._revision += 1
        self._generation = self._revision
        if record is not None:
            self._recorded.append(replace(record, revision=self._revision))
        written = {key: Entry(document, self._revision) for key, document in puts.items()}
        self._entries.update(written)
        for key in deletes:
            self._entries.pop(key, None)
        await self._tell(Batch(self._revision, written, deletes))
        return self._revision

    async def _tell(self, batch: Batch) -> None:
        self._history.append(batch)
        async with self._changed:
            self._changed.notify_all()

    async def history(self, *, after: int = 0, before: int = 0, limit: int = 0) -> list[Recorded]:
        self._check()
        found = [r for r in reversed(self._recorded) if r.revision > after and (not before or r.revision < before)]
        return found[:limit] if limit else found

    async def drafts(self) -> Mapping[str, Draft]:
        self._check()
        return dict(self._drafts)

    async def put_draft(self, draft: Draft, *, expected: int | None) -> int:
        self._check()
        known = self._drafts.get(draft.name)
        current = known.revision if known is not None else 0
        if expected is not None and expected != current:
            raise StoreConflict(f"the draft {draft.name!r} is at revision {current}", current_revision=current)
        self._revision += 1
        self._drafts[draft.name] = replace(draft, revision=self._revision)
        return self._revision

    async def delete_draft(self, name: str, *, revision: int | None = None) -> bool:
        self._check()
        known = self._drafts.get(name)
        if known is None or revision not in {None, known.revision}:
            return False
        del self._drafts[name]
        return True

    async def put_canary(self, canary: Canary | None) -> int:
        self._check()
        self._revision += 1
        self._canary_at = self._revision
        self._canary = replace(canary, revision=self._revision) if canary is not None else None
        await self._tell(Batch(self._revision, canary=self._canary, canary_at=self._revision))
        return self._revision

    async def compact(self) -> None:
        """Forget all history."""
        self._compacted = self._revision
        self._history.clear()
        async with self._changed:
            self._changed.notify_all()

    async def become(self, other: MemoryStore) -> None:
        """Hold from now on what `other` holds, as an etcd that was restored or wiped."""
        self._store_id, self._revision, self._compacted = other._store_id, other._revision, other._compacted
        self._entries, self._history = dict(other._entries), list(other._history)
        self._generation, self._recorded = other._generation, list(other._recorded)
        self._drafts, self._canary, self._canary_at = dict(other._drafts), other._canary, other._canary_at
        async with self._changed:
            self._changed.notify_all()

    async def claim(self, name: str, value: str, ttl: int) -> str:
        self._check()
        del ttl
        return self._claims.setdefault(name, value)

    async def claimed(self, name: str) -> str:
        self._check()
        return self._claims.get(name, "")

    async def release(self, name: str, value: str) -> None:
        self._check()
        if self._claims.get(name) == value:
            del self._claims[name]

    async def put_status(self, name: str, value: bytes, ttl: int) -> None:
        self._check()
        del ttl
        self._statuses[name] = value

    async def list_statuses(self) -> Mapping[str, bytes]:
        self._check()
        return dict(self._statuses)

    async def aclose(self) -> None:
        """Nothing to let go of."""

    def _check(self) -> None:
        if not self.available:
            raise StoreUnavailable("the store is switched off")

    async def after(self, revision: int, store_id: str, ended: asyncio.Event) -> Batch:
        """The first batch after `revision` of the store `store_id`."""
        async with self._changed:
            while True:
                if ended.is_set():
                    raise WatchEnded
                if store_id != self._store_id or revision > self._revision:
                    raise Replaced(f"the store is {self._store_id} at revision {self._revision}")
                if revision < self._compacted:
                    raise Compacted
                for batch in self._history:
                    if batch.revision > revision:
                        return batch
                await self._changed.wait()

    def wake(self) -> None:
        """Let waiting watches look again."""

        async def notify() -> None:
            async with self._changed:
                self._changed.notify_all()

        self._waking = asyncio.ensure_future(notify())


class MemoryWatch:
    """A watch of a `MemoryStore`."""

    def __init__(self, store: MemoryStore, listing: Listing) -> None:
        self._store = store
        self._store_id = listing.store_id
        self._revision = listing.at
        self._ended = asyncio.Event()

    async def next(self) -> Batch:
        batch = await self._store.after(self._revision, self._store_id, self._ended)
        self._revision = batch.revision
        return batch

    def cancel(self) -> None:
        self._ended.set()
        self._store.wake()
