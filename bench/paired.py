"""CPU per request of the request path in one process, of this working tree and, if asked, of another one in turns.

A shared machine changes its speed by a third within minutes, so two numbers mean something only if they were taken
together: short rounds, in turns, of which the best one counts, since noise only ever adds.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from bench.processes import ROOT, BenchFailed
from bench.results import Cost

LOADS = (
    "engine, unary",
    "engine, stream",
    "engine, cross-dialect unary",
    "engine, cross-dialect stream",
    "fused path, unary",
    "fused path, stream",
)
"""What `inprocess.RequestPath.loads` knows."""
STREAM_SHARE = 6
"""A stream of 64 chunks costs so much more than a whole answer that rounds of it have fewer requests."""


class Tree:
    """A working tree whose code is measured, in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, root: Path) -> None:
        self._process = process
        self._root = root

    async def round(self, load: str, requests: int) -> float:
        """Microseconds per request of one round.

        Raises:
            BenchFailed: A request failed, or this working tree has no such benchmark.
        """
        to, back = self._process.stdin, self._process.stdout
        assert to is not None, "made with pipes"
        assert back is not None, "made with pipes"
        try:
            to.write(f"{load} {requests}\n".encode())
            line = await back.readline()
        except ConnectionError:
            line = b""
        if not line:
            raise BenchFailed(f"the benchmark of {self._root} ended with {await self._process.wait()}")
        return float(line)

    async def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None, "made with pipes"
        self._process.stdin.close()
        await self._process.wait()


async def start_tree(root: Path) -> Tree:
    """Start `bench.inprocess` of a working tree."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bench.inprocess"),
        cwd=root,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'protos' / 'gen'}"},
    )
    return Tree(process, root)


async def paired(rounds: int, requests: int, against: Path | None, say: Callable[[str], None]) -> list[Cost]:
    """Measure every load.

    Args:
        requests: Of each round.
        against: Another working tree with this benchmark.

    Raises:
        BenchFailed: Something did not work.
    """
    async with AsyncExitStack() as stack:
        trees = []
        for root in [ROOT, *([against] if against is not None else [])]:
            trees.append(await start_tree(root))
            stack.push_async_callback(trees[-1].stop)
        found = []
        for load in LOADS:
            say(f"in one process: {load}")
            found.append(_cost(load, await _in_turns(trees, load, rounds, requests)))
    return found


async def _in_turns(trees: Sequence[Tree], load: str, rounds: int, requests: int) -> Mapping[Tree, list[float]]:
    times: dict[Tree, list[float]] = {tree: [] for tree in trees}
    count = max(1, requests // STREAM_SHARE) if "stream" in load else requests
    for number in range(rounds + 1):
        for tree in trees if number % 2 else reversed(trees):
            spent = await tree.round(load, count)
            if number:  # the first round warms up
                times[tree].append(spent)
    return times


def _cost(load: str, times: Mapping[Tree, list[float]]) -> Cost:
    ours, *others = times.values()
    cost = Cost(load, min(ours), statistics.median(ours))
    for other in others:
        cost.against_best, cost.against_median = min(other), statistics.median(other)
    return cost
