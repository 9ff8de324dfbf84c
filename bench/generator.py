"""The run's end of the load generator."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import msgspec

from bench.orders import Order, Tally
from bench.processes import ROOT, BenchFailed

PATIENCE_SECONDS = 45.0
"""Beyond the length of a round."""


class Generator:
    """A running load generator; carries out one order at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def run(self, order: Order) -> Tally:
        """Carry out `order`.

        Raises:
            BenchFailed: A request failed, or the generator did.
        """
        to, back = self._process.stdin, self._process.stdout
        assert to is not None, "made with pipes"
        assert back is not None, "made with pipes"
        to.write(msgspec.json.encode(order) + b"\n")
        try:
            async with asyncio.timeout(order.seconds + PATIENCE_SECONDS):
                line = await back.readline()
        except TimeoutError as error:
            raise BenchFailed("the load generator did not end its round") from error
        if not line:
            raise BenchFailed(f"the load generator ended with {await self._process.wait()}")
        tally = msgspec.json.decode(line, type=Tally)
        if tally.failed:
            raise BenchFailed(f"{tally.failed} requests failed, such as: {'; '.join(tally.failures)}")
        if not tally.latencies:
            raise BenchFailed("a round without a single answer")
        return tally

    async def stop(self) -> None:
        """End the process."""
        assert self._process.stdin is not None, "made with pipes"
        self._process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


async def start_generator(log: Path) -> Generator:
    """Start a load generator."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "bench.load"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            limit=1 << 26,
            start_new_session=True,
        )
    return Generator(process)
