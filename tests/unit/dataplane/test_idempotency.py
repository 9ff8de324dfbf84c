"""Runs are shared while they are in flight: by whom, how fast, how much is kept, and who ends them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest

from services.dataplane.idempotency import OtherRequest, SharedRuns, fingerprint, identity

NAME, SAME = b"name", b"request"


@dataclass
class Source:
    """A run under the test's thumb: gives a part for every `go`, and notes how it ended."""

    parts: list[bytes]
    started: int = 0
    given: int = 0
    ended: str = ""
    error: Exception | None = None
    may_end: asyncio.Event | None = None
    go: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1_000))

    async def run(self) -> AsyncGenerator[bytes, None]:
        self.started += 1
        try:
            for part in self.parts:
                await self.go.acquire()
                self.given += 1
                yield part
            if self.error is not None:
                raise self.error
            self.ended = "whole"
        except (asyncio.CancelledError, GeneratorExit):
            if self.may_end is not None:
                await self.may_end.wait()
            self.ended = "cancelled"
            raise


def joined(runs: SharedRuns[bytes], source: Source, request: bytes = SAME) -> AsyncGenerator[tuple[bytes, bool], None]:
    return runs.parts(NAME, request, source.run)


async def read(runs: SharedRuns[bytes], source: Source, request: bytes = SAME) -> list[tuple[bytes, bool]]:
    return [part async for part in joined(runs, source, request)]


async def rest_of(reader: AsyncGenerator[tuple[bytes, bool], None]) -> list[bytes]:
    return [part async for part, _ in reader]


async def settled() -> None:
    """Let everything that can go on go on."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_overlapping_equal_requests_run_once_and_all_get_every_part() -> None:
    runs, source = SharedRuns(len), Source([b"a", b"b", b"c"], go=asyncio.Semaphore(2))
    first = asyncio.create_task(read(runs, source))
    await settled()
    assert source.given == 2
    second = asyncio.create_task(read(runs, source))
    await settled()
    source.go.release()
    assert await first == [(b"a", False), (b"b", False), (b"c", False)]
    assert await second == [(b"a", True), (b"b", True), (b"c", True)]
    assert (source.started, source.ended, len(runs)) == (1, "whole", 0)


async def test_nothing_is_kept_after_the_end() -> None:
    runs, source = SharedRuns(len), Source([b"a"])
    assert await read(runs, source) == [(b"a", False)]
    assert len(runs) == 0
    assert await read(runs, source) == [(b"a", False)]
    assert source.started == 2


async def test_another_request_under_the_name_is_refused_while_it_runs_and_only_then() -> None:
    runs, source, other = SharedRuns(len), Source([b"a"], go=asyncio.Semaphore(0)), Source([b"z"])
    first = asyncio.create_task(read(runs, source))
    await settled()
    with pytest.raises(OtherRequest):
        await read(runs, other, b"another")
    assert not other.started
    source.go.release()
    await first
    assert await read(runs, other, b"another") == [(b"z", False)]


async def test_a_reader_that_leaves_ends_nothing_for_the_others() -> None:
    runs, source = SharedRuns(len), Source([b"a", b"b"], go=asyncio.Semaphore(1))
    first, second = (asyncio.create_task(read(runs, source)) for _ in range(2))
    await settled()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    source.go.release()
    assert await second == [(b"a", True), (b"b", True)]
    assert source.ended == "whole"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_the_last_reader_that_leaves_ends_the_run_before_it_is_gone(order: tuple[int, int]) -> None:
    runs, source = SharedRuns(len), Source([b"a"], go=asyncio.Semaphore(0))
    readers = [asyncio.create_task(read(runs, source)) for _ in range(2)]
    await settled()
    for place in order:
        assert source.ended == ""
        readers[place].cancel()
        await asyncio.gather(readers[place], return_exceptions=True)
    assert (source.ended, len(runs)) == ("cancelled", 0)


async def test_a_reader_that_closes_early_leaves_like_one_that_is_cancelled() -> None:
    runs, source = SharedRuns(len), Source([b"a", b"b"])
    async with aclosing(joined(runs, source)) as parts:
        assert await anext(parts) == (b"a", False)
        assert source.ended == ""
    assert (source.ended, len(runs)) == ("cancelled", 0)


async def test_a_request_that_comes_while_the_run_is_being_ended_begins_another() -> None:
    runs, source = SharedRuns(len), Source([b"a"], go=asyncio.Semaphore(0), may_end=asyncio.Event())
    first = asyncio.create_task(read(runs, source))
    await settled()
    first.cancel()
    await settled()
    assert not first.done()
    fresh = Source([b"b"], go=asyncio.Semaphore(0))
    second = asyncio.create_task(read(runs, fresh))
    await settled()
    source.may_end.set()  # type: ignore[union-attr]
    await asyncio.gather(first, return_exceptions=True)
    assert (source.ended, len(runs)) == ("cancelled", 1), "the end of the old run takes nothing from the new one"
    fresh.go.release()
    assert await second == [(b"b", False)]


async def test_a_run_is_asked_for_no_more_than_its_quickest_reader_takes() -> None:
    runs, source = SharedRuns(len), Source([b"a", b"b", b"c", b"d"])
    async with aclosing(joined(runs, source)) as slow, aclosing(joined(runs, source)) as quick:
        await anext(slow)
        await settled()
        assert source.given == 1, "nobody asked for more"
        assert [await anext(quick) for _ in range(3)] == [(b"a", True), (b"b", True), (b"c", True)]
        assert source.given == 3
        assert [(await anext(slow))[0] for _ in range(2)] == [b"b", b"c"]


async def test_what_is_too_large_to_be_replayed_is_not_joined_and_its_readers_get_all_of_it() -> None:
    parts = [bytes([65 + place]) * 10 for place in range(8)]
    runs, source, own = SharedRuns(len, limit=25), Source(parts), Source([b"own"])
    async with aclosing(joined(runs, source)) as first, aclosing(joined(runs, source)) as second:
        assert [(await anext(first))[0] for _ in range(2)] == parts[:2]
        assert (await anext(second))[0] == parts[0]
        assert (await anext(first))[0] == parts[2]
        assert await read(runs, own) == [(b"own", False)], "served on its own"
        with pytest.raises(OtherRequest):
            await read(runs, own, b"another")
        ahead = asyncio.ensure_future(anext(first))
        await settled()
        assert (ahead.done(), source.given) == (False, 3), "beyond the limit the slowest one sets the pace"
        assert [(await anext(second))[0] for _ in range(2)] == parts[1:3]
        behind = asyncio.ensure_future(anext(second))
        assert [(await ahead)[0], (await behind)[0]] == [parts[3]] * 2
        assert await asyncio.gather(rest_of(first), rest_of(second)) == [parts[4:]] * 2
    assert source.ended == "whole"


async def test_the_slowest_reader_that_leaves_lets_the_others_go_on() -> None:
    runs, source = SharedRuns(len, limit=0), Source([b"a", b"b", b"c"])
    quick = joined(runs, source)
    slow = joined(runs, source)
    opened = asyncio.gather(anext(quick), anext(slow))
    assert [part for part, _ in await opened] == [b"a", b"a"]
    waiting = asyncio.ensure_future(anext(quick))
    await settled()
    assert not waiting.done()
    await slow.aclose()
    assert await waiting == (b"b", False)
    assert await rest_of(quick) == [b"c"]


async def test_an_error_of_the_run_reaches_every_reader() -> None:
    runs, source = SharedRuns(len), Source([b"a"], error=ValueError("broken"), go=asyncio.Semaphore(0))
    readers = [asyncio.create_task(read(runs, source)) for _ in range(2)]
    await settled()
    source.go.release()
    found = await asyncio.gather(*readers, return_exceptions=True)
    assert [str(error) for error in found] == ["broken", "broken"]
    assert len(runs) == 0


async def test_no_task_outlives_its_run() -> None:
    before = asyncio.all_tasks()
    runs = SharedRuns(len)
    await read(runs, Source([b"a", b"b"]))
    reader = asyncio.create_task(read(runs, Source([b"a"], go=asyncio.Semaphore(0))))
    await settled()
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    assert asyncio.all_tasks() == before


def test_callers_and_apis_never_share_a_key() -> None:
    names = [
        identity(key, caller, api) for key in ("k", "kk") for caller in ("a", "ka") for api in ("chat", "messages")
    ]
    assert len(set(names)) == len(names)
    assert identity("ab", "c", "d") != identity("a", "bc", "d")
    assert identity("k", "a", "chat") == identity("k", "a", "chat")


def test_requests_differ_by_body_and_by_how_they_are_answered() -> None:
    found = {fingerprint(body, stream=stream) for body in (b"{}", b"{ }") for stream in (True, False)}
    assert len(found) == 4
