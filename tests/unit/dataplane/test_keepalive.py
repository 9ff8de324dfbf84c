"""Streams that are kept alive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from services.dataplane.keepalive import kept_alive


class Source:
    """Frames that wait for a gate before each one."""

    def __init__(self, *frames: bytes, error: Exception | None = None) -> None:
        self.gate = asyncio.Event()
        self.closed = False
        self._frames = frames
        self._error = error

    async def frames(self) -> AsyncGenerator[bytes, None]:
        try:
            for frame in self._frames:
                await self.gate.wait()
                yield frame
            if self._error is not None:
                raise self._error
        finally:
            self.closed = True


async def test_silence_is_filled_until_a_frame_comes() -> None:
    source = Source(b"a", b"b")
    async with aclosing(kept_alive(source.frames(), b":", 0.01)) as kept:
        assert [await anext(kept), await anext(kept)] == [b":", b":"]
        source.gate.set()
        rest = [piece async for piece in kept]
    assert [piece for piece in rest if piece != b":"] == [b"a", b"b"]
    assert source.closed


async def test_an_error_is_passed_on() -> None:
    source = Source(error=ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        await anext(kept_alive(source.frames(), b":", 5.0))


async def test_who_closes_it_in_the_silence_closes_the_frames() -> None:
    source = Source(b"a")
    kept = kept_alive(source.frames(), b":", 0.01)
    assert await anext(kept) == b":"
    await kept.aclose()
    assert source.closed


async def test_a_cancelled_wait_closes_the_frames() -> None:
    source = Source(b"a")

    async def read() -> None:
        async with aclosing(kept_alive(source.frames(), b":", 60.0)) as kept:
            await anext(kept)

    task = asyncio.create_task(read())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.closed
