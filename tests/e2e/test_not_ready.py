"""A bridge while no worker serves: callers hear which it is, in their dialect, and when to come again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.dataplane.app import Worker, WorkerSettings
from services.http_bridge.app import BridgeSettings, start_bridge
from services.http_bridge.grpc_backend import GrpcBackend
from services.runtime.grpc_channel import open_channel
from services.runtime.metrics import Metrics
from services.runtime.supervise import Background, Stop
from tests.support.inprocess import KEY
from tests.support.ports import free_port

NOWHERE = "127.0.0.1:1"
NOBODY = "no data-plane worker can be reached"
NO_POLICY = "no data-plane worker has a policy yet"


@asynccontextmanager
async def bridge_over(backend: Any, metrics: Metrics) -> AsyncIterator[httpx.AsyncClient]:
    policy = open_channel(NOWHERE)
    bridge = await start_bridge(BridgeSettings(port=0, environment={}), backend, policy, metrics)
    headers = {"authorization": f"Bearer {KEY}"}
    url = f"http://127.0.0.1:{bridge.port}"
    async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30) as http:
        yield http
    await bridge.stop(0.0, 1.0)
    await policy.close()


@asynccontextmanager
async def worker_without_policy(folder: Path, metrics: Metrics) -> AsyncIterator[tuple[Worker, int]]:
    background = Background(Stop())
    settings = WorkerSettings("w", (NOWHERE,), folder, "127.0.0.1:0", grace=1.0, environment={})
    worker = Worker(settings, metrics)
    server = await worker.start(background)
    yield worker, server.port
    await worker.stop(server, background)


async def is_told(http: httpx.AsyncClient, sentence: str, code: str) -> None:
    """Every API, whole and as a stream, and the probe."""
    for stream in (False, True):
        body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 5, "stream": stream}
        for path in ("/v1/chat/completions", "/v1/messages"):
            answer = await http.post(path, json=body)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1"), answer.text
            told = answer.json()
            assert sentence in told["error"]["message"]
            if path == "/v1/messages":
                assert (told["type"], told["error"]["type"]) == ("error", "overloaded_error")
            else:
                assert told["error"]["code"] == code
    models = await http.get("/v1/models")
    assert (models.status_code, models.headers["retry-after"]) == (503, "1")
    assert sentence in models.json()["error"]["message"]
    ready = await http.get("/readyz")
    assert ready.status_code == 503
    assert sentence in ready.json()["status"]


@pytest.mark.parametrize("count", [1, 2])
async def test_nobody_can_be_reached(count: int) -> None:
    backend = GrpcBackend([f"127.0.0.1:{free_port()}" for _ in range(count)])
    async with bridge_over(backend, Metrics(CollectorRegistry())) as http:
        await is_told(http, NOBODY, "overloaded")
    await backend.aclose()


async def test_nobody_has_a_policy_yet(tmp_path: Path) -> None:
    metrics = Metrics(CollectorRegistry())
    async with worker_without_policy(tmp_path, metrics) as (_, port):
        backend = GrpcBackend([f"127.0.0.1:{free_port()}", f"127.0.0.1:{port}"])
        async with bridge_over(backend, metrics) as http:
            await is_told(http, NO_POLICY, "policy_not_ready")
        await backend.aclose()


async def test_a_fused_process_has_no_policy_yet(tmp_path: Path) -> None:
    metrics = Metrics(CollectorRegistry())
    async with worker_without_policy(tmp_path, metrics) as (worker, _), bridge_over(worker.local, metrics) as http:
        await is_told(http, "this worker has no policy yet", "policy_not_ready")
