"""Requests that carry an Idempotency-Key: equal ones that overlap share one run.

A run is shared while it is in flight, and no longer: nothing is kept after its end. Every reader
gets every part from the start, at its own pace. A reader that leaves ends nothing for the others;
the last one to leave ends the run, and waits until it has ended.

Two rules bound the memory. While a run's parts can be replayed, all of them are kept and the
quickest reader sets the pace, as a single caller would; once they exceed the limit, nobody joins
any more, what every reader has is dropped, and the slowest one sets the pace.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Generic, TypeVar

REPLAY_LIMIT = 4 * 1024 * 1024
"""Bytes of a run's parts that are kept for those who join it."""

Part = TypeVar("Part")


class OtherRequest(Exception):
    """The key is in use for another request."""


def identity(key: str, api_key: str, api: str) -> bytes:
    """What makes two keys the same: the caller's key and API are part of it. Holds no secret."""
    digest = blake2b(digest_size=16, person=b"turnout-idem-key")
    for text in (key, api_key, api):
        digest.update(blake2b(text.encode()).digest())
    return digest.digest()


def fingerprint(body: bytes, model: str = "", *, stream: bool) -> bytes:
    """What makes two requests the same; `model` is the one that the address names, where it does."""
    named = blake2b(model.encode("utf-8", "surrogatepass"), digest_size=16).digest() if model else b""
    return blake2b(body, digest_size=16, salt=named, person=b"stream" if stream else b"whole").digest()


@dataclass(slots=True, eq=False)
class _Reader:
    """One reader: the next part that it needs, and whether it waits for it."""

    at: int = 0
    waits: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)


class SharedRun(Generic[Part]):
    """One run and everybody who reads it. Its source is read in a task of its own, on demand."""

    def __init__(
        self,
        request: bytes,
        source: AsyncGenerator[Part, None],
        size: Callable[[Part], int],
        *,
        limit: int,
        ended: Callable[[], None],
    ) -> None:
        self.request = request
        self.replayable = True
        self._source = source
        self._size = size
        self._left = limit
        self._ended = ended
        self._parts: list[Part] = []
        self._dropped = 0
        self._readers: set[_Reader] = set()
        self._demand = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._pump())
        self._task.add_done_callback(lambda _: self._wake())

    async def read(self) -> AsyncGenerator[Part, None]:
        """Every part, from the first one that is kept."""
        reader = _Reader()
        self._readers.add(reader)
        try:
            while True:
                while reader.at - self._dropped < len(self._parts):
                    part = self._parts[reader.at - self._dropped]
                    reader.at += 1
                    yield part
                if self._task.done():
                    self._task.result()
                    return
                reader.waits = True
                self._demand.set()
                await reader.news.wait()
                reader.news.clear()
        finally:
            self._readers.discard(reader)
            self._demand.set()
            if not self._readers:
                await self._stop()

    async def _pump(self) -> None:
        """Take parts from the source, each one when it is wanted."""
        try:
            async with aclosing(self._source) as source:
                await self._wanted()
                async for part in source:
                    self._keep(part)
                    self._wake()
                    await self._wanted()
        finally:
            self._ended()

    async def _wanted(self) -> None:
        choose = any if self.replayable else all
        while not choose(reader.waits for reader in self._readers):
            self._demand.clear()
            await self._demand.wait()

    def _keep(self, part: Part) -> None:
        self._parts.append(part)
        self._left -= self._size(part)
        if self._left < 0:
            self.replayable = False
            slowest = min((reader.at for reader in self._readers), default=self._dropped)
            del self._parts[: slowest - self._dropped]
            self._dropped = slowest

    def _wake(self) -> None:
        for reader in self._readers:
            reader.waits = False
            reader.news.set()

    async def _stop(self) -> None:
        """End the run, whoever else may come."""
        self.replayable = False
        self._ended()
        self._task.cancel()
        await asyncio.wait({self._task})
        if not self._task.cancelled():
            self._task.exception()


class SharedRuns(Generic[Part]):
    """The runs of one worker that can be joined."""

    def __init__(self, size: Callable[[Part], int], *, limit: int = REPLAY_LIMIT) -> None:
        self._size = size
        self._limit = limit
        self._runs: dict[bytes, SharedRun[Part]] = {}

    def __len__(self) -> int:
        return len(self._runs)

    async def parts(
        self, name: bytes, request: bytes, start: Callable[[], AsyncGenerator[Part, None]]
    ) -> AsyncGenerator[tuple[Part, bool], None]:
        """The parts of the run called `name`, and whether they are somebody else's; begins one if there is none.

        Raises:
            OtherRequest: The run of this name answers another request.
        """
        run = self._runs.get(name)
        if run is not None and run.request != request:
            raise OtherRequest
        if run is not None and not run.replayable:
            # Too large to be replayed: this one is served on its own.
            async with aclosing(start()) as own:
                async for part in own:
                    yield part, False
            return
        joined = run is not None
        if run is None:
            run = self._begin(name, request, start())
        async with aclosing(run.read()) as parts:
            async for part in parts:
                yield part, joined

    def _begin(self, name: bytes, request: bytes, source: AsyncGenerator[Part, None]) -> SharedRun[Part]:
        run: SharedRun[Part] | None = None

        def ended() -> None:
            if self._runs.get(name) is run:
                del self._runs[name]

        run = SharedRun(request, source, self._size, limit=self._limit, ended=ended)
        self._runs[name] = run
        return run
