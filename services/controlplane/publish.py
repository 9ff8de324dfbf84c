"""The publisher: store to board. List, then watch; after a compaction list again, through the same code.

A store that is away changes nothing: the board keeps its set, and the watch
resumes where it was.
"""

from __future__ import annotations

import asyncio
import logging

from services.controlplane.board import Board
from services.controlplane.store.base import Batch, Compacted, Listing, PolicyStore, Watch, WatchEnded
from services.core.discovery.messages import PolicySet, documents_of
from services.core.errors import StoreUnavailable
from services.core.policy.version import content_version
from services.core.routing.draw import uniform
from services.runtime.clock import Clock

log = logging.getLogger(__name__)

MAX_WAIT_SECONDS = 5.0


class Publisher:
    """Keeps the board equal to the store."""

    def __init__(self, store: PolicyStore, board: Board, clock: Clock) -> None:
        self._store = store
        self._board = board
        self._clock = clock
        self._watch: Watch | None = None
        self._stopped = asyncio.Event()
        self.resyncs = 0

    async def run(self) -> None:
        """Run until `stop`."""
        while not self._stopped.is_set():
            listing = await self._listing()
            if listing is None:
                return
            self._board.problems = listing.problems
            for problem in listing.problems:
                log.warning("left out: %s", problem)
            self._show(PolicySet(listing.entries, listing.revision, "", listing.store_id))
            self._watch = self._store.watch(listing.at)
            try:
                while True:
                    self._apply(await self._watch.next())
            except Compacted:
                self.resyncs += 1
                log.info("the store has compacted the history that was missing; listing again")
            except WatchEnded:
                return

    async def _listing(self) -> Listing | None:
        """The first listing that works; None when stopped before."""
        failures = 0
        while not self._stopped.is_set():
            try:
                return await self._store.listing()
            except StoreUnavailable as error:
                failures += 1
                if failures == 1 or failures % 20 == 0:
                    log.warning("waiting for the store: %s", error.message)
                limit = min(MAX_WAIT_SECONDS, 0.1 * 2 ** min(failures, 8))
                await self._clock.sleep(0.05 + limit * uniform(self._clock.seed(), "list"))
        return None

    def _apply(self, batch: Batch) -> None:
        for problem in batch.problems:
            log.warning("left out: %s", problem)
        current = self._board.current
        entries = {**current.entries, **batch.puts}
        for key in batch.deletes:
            entries.pop(key, None)
        self._show(PolicySet(entries, max(batch.revision, current.revision), "", current.store_id))

    def _show(self, policy: PolicySet) -> None:
        version = content_version(documents_of(policy).values())
        self._board.show(PolicySet(policy.entries, policy.revision, version, policy.store_id))

    def stop(self) -> None:
        """End `run`."""
        self._stopped.set()
        if self._watch is not None:
            self._watch.cancel()
