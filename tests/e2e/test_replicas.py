"""Several replicas of the control plane on one etcd: workers follow whichever lives, and never back in time."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from turnout.policy.v1 import policy_service_pb2 as api
from turnout.policy.v1.policy_service_pb2_grpc import PolicyServiceStub

from tests.e2e.test_chaos import ENVIRONMENT, apply, command, resources, serving
from tests.support.etcd import Etcd
from tests.support.inprocess import KEY
from tests.support.nodes import Node
from tests.support.ports import free_port
from tests.support.processes import running

pytestmark = pytest.mark.process

GRACE = 30
"""Seconds that a replica would give its workers' streams, if they did not end by themselves."""


class Replica:
    """A replica as a process that can be ended and started again."""

    def __init__(self, name: str, etcd: Etcd, folder: Path) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        flags = ("--listen", self.address, "--etcd", f"localhost:{etcd.port}", "--replica", name)
        self._command = command("controlplane", *flags, "--grace", str(GRACE))
        self._log = folder / f"{name}.log"
        self._stack = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        run = running(self._command, self._log, lambda: serving(self.address), environment=ENVIRONMENT)
        self._process = self._stack.enter_context(run)

    def end(self, number: signal.Signals) -> float:
        """Send a signal; the seconds until the process was gone."""
        assert self._process is not None
        began = time.monotonic()
        self._process.send_signal(number)
        self._process.wait(2 * GRACE)
        return time.monotonic() - began

    def close(self) -> None:
        self._stack.close()


class Writer:
    """Writes policies for ever, through whichever replica takes them."""

    def __init__(self, replicas: list[Replica]) -> None:
        self._replicas = replicas
        self._stop = asyncio.Event()
        self.written = 0
        self._wrote = asyncio.Event()

    async def run(self) -> None:
        while not self._stop.is_set():
            for replica in self._replicas:
                try:
                    await apply(replica.address, resources("http://127.0.0.1:1/v1", str(self.written + 1)))
                except grpc.aio.AioRpcError as error:
                    if error.code() not in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}:
                        raise
                else:
                    self.written += 1
                    self._wrote.set()

    async def more(self, count: int) -> None:
        """Return when so many more policies have been written."""
        goal = self.written + count
        while self.written < goal:
            self._wrote.clear()
            await self._wrote.wait()

    def stop(self) -> None:
        self._stop.set()


async def told_by(replica: Replica) -> Any:
    metadata = (("authorization", f"Bearer {KEY}"),)
    async with grpc.aio.insecure_channel(replica.address) as channel:
        stub: Any = PolicyServiceStub(channel)
        return await stub.ListNodes(api.ListNodesRequest(), metadata=metadata, timeout=10)


async def all_current(replica: Replica, names: set[str]) -> int:
    """The newest revision, as soon as the replica says that all workers run it and refuse nothing."""
    async with asyncio.timeout(30):
        while True:
            answer = await told_by(replica)
            good = [n for n in answer.nodes if n.connected and n.applied_version == answer.version]
            if {n.id for n in good} == names and not any(n.nack_problems for n in good):
                return int(answer.revision)
            await asyncio.sleep(0.05)


@pytest.mark.timeout(240)
async def test_workers_end_on_the_newest_policy_while_replicas_are_ended_in_turn(tmp_path: Path, etcd: Etcd) -> None:
    replicas = [Replica(name, etcd, tmp_path) for name in "ab"]
    nodes = [Node(f"n{number}", [replica.port for replica in replicas], tmp_path) for number in range(3)]
    writer = Writer(replicas)
    try:
        for replica in replicas:
            await asyncio.to_thread(replica.start)
        for node in nodes:
            node.start()
        writing = asyncio.create_task(writer.run())
        await writer.more(5)
        for turn, number in enumerate((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGTERM)):
            replica = replicas[turn % 2]
            took = await asyncio.to_thread(replica.end, number)
            assert took < GRACE / 3, "workers hold up the end of a replica"
            seen = [node.holder.held.revision for node in nodes]
            await writer.more(5)
            for node, before in zip(nodes, seen, strict=True):
                await node.at(before + 1, seconds=30)
            await asyncio.to_thread(replica.start)
        writer.stop()
        await writing
        newest = [await all_current(replica, {"n0", "n1", "n2"}) for replica in replicas]
        for node in nodes:
            await node.stop()
    finally:
        writer.stop()
        for replica in replicas:
            await asyncio.to_thread(replica.close)
    assert len(set(newest)) == 1
    assert len({node.holder.held.version for node in nodes}) == 1
    for node in nodes:
        revisions = [revision for _, revision in node.revisions]
        assert revisions[-1] == newest[0]
        assert revisions == sorted(revisions), "a worker went back in time"
