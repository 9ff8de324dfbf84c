"""Segments into sound, in order, while more segments come: at most a few ahead of what is being heard.

The first segment is spoken alone until its sound begins, for it decides who speaks the others. Each segment
keeps its place until all of it was handed on, so that what waits is bounded however slow the listener is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any

from services.core.errors import RouterError
from services.dataplane.voice.segmenter import Segment
from services.dataplane.voice.speakable import speakable

AHEAD = 2
"""Segments that may be spoken at the provider while an earlier one is being heard."""
BACKLOG = 16
"""Pieces of sound of one segment that may wait."""

Say = Callable[[str], AsyncGenerator[bytes, None]]
"""The sound of a text; raises `RouterError` when it breaks."""
Emit = Callable[[str, bytes], Awaitable[None]]
"""Takes sound in order; the first piece of a segment comes with its transcript, the others with none.

Raises `RouterError` if it can take no more, which ends the speech as a failure of its own.
"""


class _Line:
    """One segment on its way."""

    def __init__(self, text: str, transcript: str) -> None:
        self.text = text
        self.transcript = transcript
        self.sound: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(BACKLOG)


class Pipeline:
    """Speaks one text. Use from one task; always `stop`.

    Attributes:
        spoken: Segments that were handed on whole.
        failure: Why not all was spoken; None: nothing went wrong so far.
    """

    def __init__(
        self, say: Say, emit: Emit, on_failure: Callable[[], None] = lambda: None, *, ahead: int = AHEAD
    ) -> None:
        self.spoken = 0
        self.failure: RouterError | None = None
        self._say = say
        self._emit = emit
        self._on_failure = on_failure
        self._places = asyncio.Semaphore(ahead + 1)
        self._begun = asyncio.Event()
        self._lines: asyncio.Queue[_Line | None] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._first = True
        self._player = self._start(self._play())

    def add(self, segment: Segment) -> None:
        """Speak a segment, once it is its turn. One without words, or behind a failure, is passed over."""
        text = speakable(segment)
        if not text or self.failure is not None:
            return
        gap = " " if segment.text[-1:].isspace() else ""
        line = _Line(text, text + gap)
        self._lines.put_nowait(line)
        self._start(self._fetch(line, first=self._first))
        self._first = False

    async def finish(self) -> None:
        """Wait until all that was added is spoken, or something failed."""
        self._lines.put_nowait(None)
        await asyncio.wait({self._player})
        if not self._player.cancelled():
            self._player.result()

    async def stop(self) -> None:
        """End what still runs."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _fetch(self, line: _Line, *, first: bool) -> None:
        """Have a segment spoken."""
        if not first:
            await self._begun.wait()
        await self._places.acquire()
        try:
            async with aclosing(self._say(line.text)) as pieces:
                async for piece in pieces:
                    self._begun.set()
                    await line.sound.put(piece)
        except Exception as error:  # noqa: BLE001 - it is raised again where somebody waits for it
            await line.sound.put(error)
        else:
            self._begun.set()
            await line.sound.put(None)

    async def _play(self) -> None:
        """Hand the segments on, one behind the other."""
        while (line := await self._lines.get()) is not None:
            transcript = line.transcript
            while (piece := await line.sound.get()) is not None:
                if isinstance(piece, RouterError):
                    self._fail(piece)
                    return
                if isinstance(piece, Exception):
                    raise piece
                try:
                    await self._emit(transcript, piece)
                except RouterError as error:
                    self._fail(error)
                    return
                transcript = ""
            self.spoken += 1
            self._places.release()

    def _fail(self, error: RouterError) -> None:
        self.failure = error
        self._on_failure()
        for task in self._tasks - {self._player}:
            task.cancel()
