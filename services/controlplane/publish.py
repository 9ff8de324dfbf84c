"""The publisher: store to board. List, then watch; when the watch cannot go on, list again, through the same code.

A store that is away changes nothing: the board keeps its set, and the watch
resumes where it was. A store that comes back as another one is shown as it is,
and told loudly: whether to follow it is for each worker to say.
"""

from __future__ import annotations

import asyncio
import logging

from services.controlplane.board import Board
from services.controlplane.store.base import Batch, ListAgain, Listing, PolicyStore, Watch, WatchEnded
from services.core.discovery.canary import Canary
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
            if listing is None or self._stopped.is_set():
                return
            self._board.problems = listing.problems
            for problem in listing.problems:
                log.warning("left out: %s", problem)
            _tell_if_replaced(self._board.current, listing)
            policy = PolicySet(listing.entries, listing.revision, "", listing.store_id)
            self._show(policy, listing.canary)
            self._watch = self._store.watch(listing)
            try:
                while True:
                    self._apply(await self._watch.next())
            except ListAgain as why:
                self.resyncs += 1
                log.info("listing again: %s", why)
                # Not at once: behind an address that leads to several stores this would never end.
                await self._clock.sleep(0.2 * uniform(self._clock.seed(), "again"))
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
        canary = batch.canary if batch.canary_at else self._board.canary
        self._show(PolicySet(entries, max(batch.revision, current.revision), "", current.store_id), canary)

    def _show(self, policy: PolicySet, canary: Canary | None) -> None:
        version = content_version(documents_of(policy).values())
        self._board.show(PolicySet(policy.entries, policy.revision, version, policy.store_id), canary)

    def stop(self) -> None:
        """End `run`."""
        self._stopped.set()
        if self._watch is not None:
            self._watch.cancel()


def _tell_if_replaced(before: PolicySet, listing: Listing) -> None:
    """Say it when what was listed is not a later state of what is on the board."""
    if before.store_id and listing.store_id != before.store_id:
        log.error(
            "THE STORE WAS REPLACED: it was %s at revision %d with %d documents, and is %s at revision %d with %d now. "
            "Workers follow it; they keep what they have while it is empty",
            *(before.store_id, before.revision, len(before.entries)),
            *(listing.store_id, listing.revision, len(listing.entries)),
        )
    elif before.store_id and listing.revision < before.revision:
        log.error(
            "THE STORE WENT BACK from revision %d to %d under the same id %s: it was restored or wiped. Workers keep "
            "revision %d until it is passed; give a restored etcd a new cluster token and they follow it at once",
            *(before.revision, listing.revision, listing.store_id, before.revision),
        )
