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
from services.core.policy.snapshot import CompiledKey
from services.dataplane.auth import ADMIN, READ
from services.dataplane.record_form import record_of
from services.dataplane.trail import Trail

KEPT = 2_000
FOLLOWER_BACKLOG = 1_000

RecordSink = Callable[[Trail], None]
"""Takes every finished trail; must return at once."""


def _unknown(generation_id: str) -> NotFound:
    return NotFound(f"no record of request {generation_id!r} on this worker; it keeps the last {KEPT}")


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
        """The record of one request, by its own id or by the one that its answer carried; of several, the newest.

        Raises:
            NotFound: This worker does not have it, or not any more.
        """
        for trail in reversed(self._trails):
            if generation_id and generation_id in (trail.generation_id, trail.response_id):
                return record_of(trail, self.node_id)
        raise _unknown(generation_id)

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


def visible_record(records: RecordLog, generation_id: str, key: CompiledKey) -> RequestRecord:
    """A record that `key` may see: any of them with the scope read or admin, else its own.

    Raises:
        NotFound: There is none; of somebody else's record it is not even said that it exists.
    """
    record = records.get(generation_id)
    if record.api_key_name != key.name and not key.scopes.intersection((READ, ADMIN)):
        raise _unknown(generation_id)
    return record
