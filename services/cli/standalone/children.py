"""Child processes of `turnout up`: started, watched, restarted, and stopped in reverse order.

Children get a session of their own, so that Ctrl-C reaches only the parent,
which then stops them in order. A child that dies is started again, later each
time, so that killing a part of the suite shows what it is built for. A parent that
is killed takes its children along (on Linux): what is left of a suite would keep its
ports and its data folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

STOP_SECONDS = 15.0
MAX_RESTART_SECONDS = 10.0

Report = Callable[[str], None]

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class ChildFailed(Exception):
    """A child ended before it was ready; the message holds the end of its log."""


@dataclass(slots=True)
class Child:
    """One child: how to start it, and the process that runs now."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None
    restarts: int = 0

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process is not None and self.process.returncode is None else None

    def log_tail(self, lines: int = 15) -> str:
        """The end of the child's log."""
        try:
            text = self.log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


class Children:
    """All children of one `turnout up`."""

    def __init__(self, report: Report) -> None:
        self.restarted: Callable[[], object] = lambda: None
        """Called when a child has been started again, with another pid."""
        self._report = report
        self._children: list[Child] = []
        self._watchers: list[asyncio.Task[None]] = []
        self._stopping = False

    def pids(self) -> dict[str, int]:
        """Pid of each child that runs, by name."""
        return {child.name: child.pid for child in self._children if child.pid is not None}

    async def start(self, child: Child, ready: Callable[[], object] | None = None) -> None:
        """Start `child` and keep it running; `ready` is an async probe that returns when the child serves.

        Raises:
            ChildFailed: It ended before it was ready.
        """
        self._children.append(child)
        await self._spawn(child)
        if ready is not None:
            await self._until_ready(child, ready)
        self._watchers.append(asyncio.create_task(self._watch(child), name=f"watch {child.name}"))

    async def _until_ready(self, child: Child, ready: Callable[[], object]) -> None:
        assert child.process is not None, "spawned before"
        probe = asyncio.ensure_future(ready())  # type: ignore[call-overload]
        ended = asyncio.create_task(child.process.wait())
        done, _ = await asyncio.wait({probe, ended}, return_when=asyncio.FIRST_COMPLETED)
        for task in (probe, ended):
            if task not in done:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        if probe not in done:
            raise ChildFailed(f"{child.name} ended with code {ended.result()} before it was ready:\n{child.log_tail()}")
        probe.result()

    async def _spawn(self, child: Child) -> None:
        child.log.parent.mkdir(parents=True, exist_ok=True)
        with child.log.open("ab") as log:
            child.process = await asyncio.create_subprocess_exec(
                *child.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **child.environment},
                start_new_session=True,
                # One system call in the new process, which takes no lock that a thread could hold.
                preexec_fn=_end_with_parent if _LIBC is not None else None,
            )

    async def _watch(self, child: Child) -> None:
        while True:
            assert child.process is not None, "spawned before"
            code = await child.process.wait()
            if self._stopping:
                return
            delay = min(MAX_RESTART_SECONDS, 0.5 * 2**child.restarts)
            child.restarts += 1
            self._report(f"{child.name} ended with code {code}; starting it again in {delay:g} s")
            await asyncio.sleep(delay)
            await self._spawn(child)
            self.restarted()

    async def stop(self) -> None:
        """Stop all children, last one first, each within `STOP_SECONDS`."""
        self._stopping = True
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        for child in reversed(self._children):
            await _stop(child, self._report)


def _end_with_parent() -> None:
    """Have this process get SIGTERM when the one that started it ends, however that ends."""
    assert _LIBC is not None, "only Linux has it"
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


async def _stop(child: Child, report: Report) -> None:
    process = child.process
    if process is None or process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        report(f"{child.name} did not stop within {STOP_SECONDS:g} s; killing it")
        process.kill()
        await process.wait()
