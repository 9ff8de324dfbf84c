"""Keeping a stream alive: a comment whenever nothing came for a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator


async def kept_alive(
    frames: AsyncGenerator[bytes, None], comment: bytes, silence: float
) -> AsyncGenerator[bytes, None]:
    """`frames`, and `comment` after each `silence` seconds without one. Closing it closes `frames`."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[bytes] | None = None
    try:
        while True:
            waiting = loop.create_task(anext(frames))
            while not (await asyncio.wait({waiting}, timeout=silence))[0]:
                yield comment
            try:
                piece = waiting.result()
            except StopAsyncIteration:
                return
            yield piece
    finally:
        if waiting is not None and not waiting.done():
            waiting.cancel()
            await asyncio.wait({waiting})
        if waiting is not None and not waiting.cancelled():
            waiting.exception()  # who closes early does not ask
        await frames.aclose()
