"""The processes of a run: started in order, watched, stopped in reverse; and the CPU and memory that they take."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from services.cli.standalone.children import Child, Children

ROOT = Path(__file__).resolve().parents[1]

START_SECONDS = 60.0


class BenchFailed(Exception):
    """What was measured did not work, so its numbers mean nothing."""


class Processes:
    """All processes of a run. A process that dies spoils the run: `check` says so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._deaths: list[str] = []
        self._children = Children(self._deaths.append)

    async def start(self, child: Child, ready: Callable[[], object]) -> int:
        """Start `child`; its pid, when `ready` has returned."""
        child.environment = {**child.environment, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'protos' / 'gen'}"}
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._children.start(child, ready)
        except TimeoutError as error:
            told = f"{child.name} was not ready within {START_SECONDS:.0f} s:\n{child.log_tail()}"
            raise BenchFailed(told) from error
        assert child.pid is not None, "it is ready"
        return child.pid

    async def module(
        self,
        name: str,
        module: str,
        arguments: list[str],
        ready: Callable[[], object],
        environment: Mapping[str, str] | None = None,
    ) -> int:
        """Start a Python module as a process; its pid."""
        command = [sys.executable, "-m", module, *arguments]
        return await self.start(Child(name, command, self.log_of(name), environment or {}), ready)

    def log_of(self, name: str) -> Path:
        """Where the process `name` logs."""
        return self.folder / "logs" / f"{name}.log"

    def check(self) -> None:
        """Raise if a process died.

        Raises:
            BenchFailed: One did.
        """
        if self._deaths:
            raise BenchFailed("; ".join(self._deaths))

    def log_tails(self, lines: int = 12) -> str:
        """The ends of all logs that are not empty."""
        told = []
        for log in sorted((self.folder / "logs").glob("*.log")):
            tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
            if tail:
                told.append(f"--- {log.stem}\n" + "\n".join(tail))
        return "\n".join(told)

    async def stop(self) -> None:
        """Stop everything, last one first."""
        await self._children.stop()


async def accepts(port: int) -> None:
    """Return when something listens on `port`."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads, since it started.

    The kernel keeps one CPU clock per process, to the nanosecond; /proc/<pid>/stat
    shows the same in steps of 10 ms. Clock ids are made as in clock_getcpuclockid(3).
    """
    return time.clock_gettime((~pid << 3) | 2)


def resident_mib(pid: int) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
