"""The worker's evidence: the newest finished requests, and whoever follows them.

Appending is the only thing that happens on the hot path; records are built when
somebody reads. A follower that does not keep up loses its oldest records, never
the worker its memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence

from turnout.record.v1.record_pb2 import RequestRecord

from services.core.errors import NotFound
from services.dataplane.record_form import record_of
from services.dataplane.trail import Trail

KEPT = 2_000
FOLLOWER_BACKLOG = 1_000

RecordSink = Callable[[Trail], None]
"""Takes every finished trail; must return at once."""


class _Follower:
    """One reader's backlog."""

    def __init__(self) -> None:
        self.backlog: deque[Trail] = deque(maxlen=FOLLOWER_BACKLOG)
        self.woken = asyncio.Event()

    def offer(self, trail: Trail) -> None:
        self.backlog.append(trail)
        self.woken.set()


class RecordLog:
    """Keeps the last `KEPT` trails and hands each new one to sinks and followers."""

    def __init__(self, node_id: str, sinks: Sequence[RecordSink] = ()) -> None:
        self.node_id = node_id
        self._sinks = tuple(sinks)
        self._trails: deque[Trail] = deque(maxlen=KEPT)
        self._followers: set[_Follower] = set()

    def append(self, trail: Trail) -> None:
        """Note a finished request."""
        self._trails.append(trail)
        for sink in self._sinks:
            sink(trail)
        for follower in self._followers:
            follower.offer(trail)

    def get(self, generation_id: str) -> RequestRecord:
        """The record of one request.

        Raises:
            NotFound: This worker does not have it, or not any more.
        """
        for trail in reversed(self._trails):
            if trail.generation_id == generation_id:
                return record_of(trail, self.node_id)
        raise NotFound(f"no record of request {generation_id!r} on this worker; it keeps the last {KEPT}")

    async def follow(self, tail: int, *, end: bool = False) -> AsyncGenerator[RequestRecord, None]:
        """The last `tail` records, oldest first, then new ones as requests end (unless `end`)."""
        follower = _Follower()
        self._followers.add(follower)
        try:
            for trail in list(self._trails)[-tail:] if tail > 0 else []:
                yield record_of(trail, self.node_id)
            while not end:
                await follower.woken.wait()
                follower.woken.clear()
                while follower.backlog:
                    yield record_of(follower.backlog.popleft(), self.node_id)
        finally:
            self._followers.discard(follower)
