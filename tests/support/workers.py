"""The services as real processes without a control plane: a worker that starts from its policy file, and a bridge."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

import httpx

from services.dataplane.snapshot_file import SnapshotFile
from tests.support.inprocess import KEY, policy_set
from tests.support.ports import free_port
from tests.support.processes import running, until
from tests.support.upstream import Upstream

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = "127.0.0.1:1"


@dataclass(frozen=True, slots=True)
class Served:
    """Where the processes are. `processes` in the order in which they stop."""

    url: str
    grpc: str
    worker_metrics: str
    processes: Sequence[Popen[bytes]]

    def http(self) -> httpx.Client:
        headers = {"authorization": f"Bearer {KEY}"}
        return httpx.Client(base_url=self.url, headers=headers, trust_env=False, timeout=30)


@contextmanager
def serving(
    folder: Path, topology: str, forms: Sequence[Mapping[str, Any]], environment: Mapping[str, str]
) -> Iterator[Served]:
    """Serve `forms` as policy, as two processes or fused into one."""
    SnapshotFile(folder / "worker" / "policy.snapshot").save(policy_set(*forms))
    grpc, bridge, metrics = f"127.0.0.1:{free_port()}", free_port(), free_port()
    url = f"http://127.0.0.1:{bridge}"
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'protos' / 'gen'}", **environment}
    worker = ["--listen", grpc, "--controlplane", NOWHERE, "--data-dir", str(folder / "worker"), "--node-id", "worker"]
    http = ["--port", str(bridge), "--grace", "2"]
    commands = [
        ["services.http_bridge", *http, "--dataplane", grpc, "--controlplane", NOWHERE],
        ["services.dataplane", *worker, "--grace", "2", "--metrics-port", str(metrics)],
    ]
    if topology == "fused":
        commands = [["services.cli.standalone.fused", *worker, *http]]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                running([sys.executable, "-m", *c], folder / f"{c[0]}.log", lambda: True, environment=environment)
            )
            for c in reversed(commands)
        ]
        _wait(folder, url, processes)
        metrics_url = url if topology == "fused" else f"http://127.0.0.1:{metrics}"
        yield Served(url, grpc, f"{metrics_url}/metrics", processes[::-1])


def _wait(folder: Path, url: str, processes: Sequence[Popen[bytes]]) -> None:
    def ready() -> bool:
        try:
            return httpx.get(f"{url}/readyz", timeout=2, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def alive() -> None:
        for process in processes:
            logs = "".join(log.read_text(errors="replace")[-2000:] for log in folder.glob("*.log"))
            assert process.poll() is None, logs

    until(ready, 60, alive)


@contextmanager
def upstream_thread(count: int) -> Iterator[list[Upstream]]:
    """Hostile upstreams in a loop of their own, for tests that have none."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    found = [Upstream() for _ in range(count)]
    try:
        for upstream in found:
            asyncio.run_coroutine_threadsafe(upstream.start(), loop).result(10)
        yield found
    finally:
        for upstream in found:
            asyncio.run_coroutine_threadsafe(upstream.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
