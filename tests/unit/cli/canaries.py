"""A whole suite in one loop whose every secret is known, and a search for them in all that it leaves behind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.json_format import MessageToJson
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry, generate_latest
from turnout.policy.v1 import policy_service_pb2 as pb
from turnout.policy.v1.policy_service_pb2_grpc import PolicyServiceStub

from services.controlplane.app import ControlPlane, ControlPlaneSettings
from services.controlplane.store.etcd import EtcdOptions
from services.controlplane.store.memory import MemoryStore
from services.core.policy.documents import Document, ResourceKey
from services.core.policy.snapshot import Snapshot
from services.dataplane.app import Worker, WorkerSettings
from services.http_bridge.app import BridgeSettings, start_bridge
from services.http_bridge.grpc_backend import GrpcBackend
from services.runtime.clock import SystemClock
from services.runtime.grpc_channel import open_channel
from services.runtime.logging import _JsonFormatter
from services.runtime.metrics import Metrics
from services.runtime.supervise import Background, Stop
from services.wire.document_form import read_form
from services.wire.policy import to_resource

PROVIDER = "sk-Q7vN2kXw9RbT4mZc8LdH3pYs6GfJ1aUe"
FILED = "sk-ant-w5KzB8nVt2QxM7cRj4LhP9dSg3FyA6uE"
CALLER = "to-Ht6bW3qZk9XnV2mRc7LdJ4pYs8GfB1aUe5NxQvT0KwM"
ADMIN = "to-Mz4xC8vB1nQ6wE9rT3yU7iO2pA5sD0fGhJkLqWzXeRt"
PASTED = "pk9Jd3Lx7Vq2Nf8Rb5Tw1Zc"
PROMPT = "the-prompt-Xb5Tn9Qw2Kd7Rm4Zc"
ANSWER = "the-answer-Vh3Js8Lp6Fy1Ga9Ue"
SECRETS = {
    "provider key": PROVIDER,
    "provider key of a file": FILED,
    "caller's key": CALLER,
    "admin key": ADMIN,
    "pasted key": PASTED,
}
_WINDOW = 10
"""Letters in a row that count as a leak: half a key in a log is one too."""


def leaks(places: Mapping[str, str], secrets: Mapping[str, str] = SECRETS) -> set[tuple[str, str]]:
    """(place, secret) for every secret of which a part is found."""
    return {
        (place, name)
        for place, text in places.items()
        for name, secret in secrets.items()
        if any(secret[i : i + _WINDOW] in text for i in range(3, len(secret) - _WINDOW + 1))
    }


def told(records: Iterable[logging.LogRecord]) -> str:
    """Log records in both forms in which services write them, but for those of the test's own HTTP client."""
    formatters = [_JsonFormatter("turnout"), logging.Formatter("%(name)s %(levelname)s %(message)s")]
    ours = [record for record in records if not record.name.startswith(("httpx", "httpcore"))]
    return "\n".join(formatter.format(record) for record in ours for formatter in formatters)


class AllRevisions(MemoryStore):
    """A store that remembers every value it was ever given, as etcd's history does, by its bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[bytes] = []

    async def write(
        self,
        puts: Mapping[ResourceKey, Document],
        deletes: tuple[ResourceKey, ...],
        **more: Any,
    ) -> int:
        self.values += [to_resource(d).SerializeToString() for d in puts.values()]
        return await super().write(puts, deletes, **more)

    async def put_status(self, name: str, value: bytes, ttl: int) -> None:
        self.values.append(name.encode() + value)
        await super().put_status(name, value, ttl)


@dataclass(slots=True)
class Suite:
    """What runs, and the places in which it leaves something behind."""

    http: httpx.AsyncClient
    worker: Worker
    worker_address: str
    policy: Any
    store: AllRevisions
    registry: CollectorRegistry
    exporter: InMemorySpanExporter
    folder: Path
    answers: list[str] = field(default_factory=list)
    """What callers were told, bodies and headers."""

    async def apply(self, *forms: Mapping[str, Any]) -> None:
        """Write documents and wait until the worker serves by them."""
        resources = []
        for form in forms:
            resource, problems = read_form(form)
            assert resource is not None, problems
            resources.append(resource)
        metadata = (("authorization", f"Bearer {ADMIN}"),)
        in_force, tell = asyncio.Event(), self.worker.holder.on_change

        def changed(snapshot: Snapshot) -> None:
            tell(snapshot)
            if snapshot.providers:
                in_force.set()

        self.worker.holder.on_change = changed
        await self.policy.Apply(pb.ApplyRequest(resources=resources), metadata=metadata)
        await asyncio.wait_for(in_force.wait(), 10)

    async def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        response = await self.http.request(method, path, **more)
        self.answers.append(f"{response.headers.multi_items()} {response.text}")
        return response

    def places(self) -> dict[str, str]:
        """Everything that outlives a request, by where it is."""
        assert self.worker.spans is not None
        assert self.worker.spans.flush(5)
        trails = list(self.worker.records._trails)
        records = [MessageToJson(self.worker.records.get(t.generation_id)) for t in trails]
        files = [p.read_bytes().decode("latin-1") for p in self.folder.rglob("*") if p.is_file()]
        return {
            "spans": "\n".join(span.to_json() for span in self.exporter.get_finished_spans()),
            "metrics": generate_latest(self.registry).decode(),
            "records": "\n".join(records),
            "store": "\n".join(value.decode("latin-1") for value in self.store.values),
            "files": "\n".join(files),
        }


@asynccontextmanager
async def running(
    folder: Path, monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]
) -> AsyncIterator[Suite]:
    """A control plane, a worker and a bridge, with a caller and an administrator known by their secrets."""
    exporter, registry = InMemorySpanExporter(), CollectorRegistry()
    for module in ("services.dataplane.app", "services.http_bridge.app"):
        monkeypatch.setattr(f"{module}.exporter_from", lambda _environment: exporter)
    environment = {"OTEL_TRACES_EXPORTER": "console", **environment}
    background, metrics, store = Background(Stop()), Metrics(registry), AllRevisions()
    settings = ControlPlaneSettings(EtcdOptions(("unused",)), "127.0.0.1:0", admin_key=ADMIN, replica="a")
    plane = ControlPlane(store, settings, SystemClock())
    plane_server = await plane.start(background)
    address = f"127.0.0.1:{plane_server.port}"
    worker_settings = WorkerSettings("worker-1", (address,), folder, "127.0.0.1:0", grace=0.1, environment=environment)
    worker = Worker(worker_settings, metrics)
    worker_server = await worker.start(background)
    worker_address = f"127.0.0.1:{worker_server.port}"
    backend, policy = GrpcBackend([worker_address]), open_channel(address)
    bridge = await start_bridge(BridgeSettings(port=0, environment=environment), backend, policy, metrics)
    headers = {"authorization": f"Bearer {CALLER}"}
    try:
        async with (
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{bridge.port}", headers=headers, trust_env=False, timeout=20
            ) as http,
            grpc.aio.insecure_channel(address) as channel,
        ):
            stub = PolicyServiceStub(channel)
            yield Suite(http, worker, worker_address, stub, store, registry, exporter, folder)
    finally:
        await bridge.stop(0.0, 0.1)
        await backend.aclose()
        await policy.close()
        await worker.stop(worker_server, background)
        plane.publisher.stop()
        await plane_server.stop(0.1)
