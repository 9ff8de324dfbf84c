"""A control plane and a worker in a thread, for commands, which call them as blocking clients do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from services.controlplane.app import ControlPlane, ControlPlaneSettings
from services.controlplane.learning.variants import VariantName
from services.controlplane.store.etcd import EtcdOptions
from services.controlplane.store.memory import MemoryStore
from services.core.discovery.publisher_session import PublisherSession
from services.dataplane.app import Worker, WorkerSettings
from services.runtime.clock import SystemClock
from services.runtime.metrics import Metrics
from services.runtime.supervise import Background, Stop

ADMIN_KEY = "to-admin-key"


@dataclass(slots=True)
class Suite:
    """Where it is."""

    controlplane: str
    dataplane: str
    worker: Worker
    store: MemoryStore
    plane: ControlPlane
    loop: asyncio.AbstractEventLoop

    def await_applied(self, version: str) -> None:
        """Wait until the control plane knows that the worker serves by a version.

        Raises:
            TimeoutError: It does not within ten seconds.
        """
        nodes, applied = self.plane.nodes, threading.Event()
        seen = nodes.seen

        def look() -> None:
            if any(node.applied_version == version for node in nodes._nodes.values()):
                applied.set()

        def told(session: PublisherSession, *, connected: bool) -> None:
            seen(session, connected=connected)
            look()

        nodes.seen = told  # type: ignore[method-assign]
        try:
            self.loop.call_soon_threadsafe(look)
            if not applied.wait(10):
                raise TimeoutError(f"the worker does not serve by {version}")
        finally:
            nodes.seen = seen  # type: ignore[method-assign]

    def await_shown(self, revision: int) -> None:
        """Wait until the control plane shows the policy of a revision.

        Raises:
            TimeoutError: It does not within ten seconds.
        """
        board = self.plane.board

        async def shown() -> None:
            while (seen := board.current).revision < revision:
                await board.other_than(seen)

        asyncio.run_coroutine_threadsafe(shown(), self.loop).result(10)

    def await_learned(self, variant: VariantName, decisions: int) -> None:
        """Wait until the table of a variant is one of so many decisions.

        Raises:
            TimeoutError: It is not within twenty seconds.
        """
        tables = self.plane.learning.tables

        async def learned() -> None:
            while (seen := tables.current) is None or variant not in seen or seen[variant].decisions != decisions:
                await tables.other_than(seen)

        asyncio.run_coroutine_threadsafe(learned(), self.loop).result(20)


async def _serve(folder: Path, started: list[Suite], ready: threading.Event, stopped: asyncio.Event) -> None:
    store, background = MemoryStore(), Background(Stop())
    settings = ControlPlaneSettings(
        EtcdOptions(("unused",)), "127.0.0.1:0", admin_key=ADMIN_KEY, replica="a", learn_seconds=0.3
    )
    plane = ControlPlane(store, settings, SystemClock())
    plane_server = await plane.start(background)
    address = f"127.0.0.1:{plane_server.port}"
    # The port is not known before it is bound, so the worker says where it is reached as soon as it can.
    worker_settings = WorkerSettings("worker-1", (address,), folder, "127.0.0.1:0", "", grace=0.1, environment={})
    worker = Worker(worker_settings, Metrics(CollectorRegistry()))
    worker_server = await worker.start(background)
    # From the first policy on, even an empty one, the control plane knows the worker.
    await worker._ready.wait()
    loop = asyncio.get_running_loop()
    started.append(Suite(address, f"127.0.0.1:{worker_server.port}", worker, store, plane, loop))
    ready.set()
    await stopped.wait()
    await worker.stop(worker_server, background)
    plane.publisher.stop()
    await plane_server.stop(0.1)
    await background.cancel()


@contextmanager
def running(folder: Path) -> Iterator[Suite]:
    started: list[Suite] = []
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stopped = asyncio.Event()
    thread = threading.Thread(
        target=lambda: loop.run_until_complete(_serve(folder, started, ready, stopped)), daemon=True
    )
    thread.start()
    assert ready.wait(10)
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(stopped.set)
        thread.join(10)
        loop.close()
