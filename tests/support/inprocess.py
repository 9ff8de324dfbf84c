"""A worker and a bridge in the test's own loop, in both topologies, with real sockets and real gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import CollectorRegistry
from turnout.record.v1.record_pb2 import RequestRecord

from services.core.discovery.messages import Entry, PolicySet, documents_of
from services.core.policy.compile import Problems
from services.core.policy.documents import key_of
from services.core.policy.version import content_version
from services.dataplane.app import Worker, WorkerSettings
from services.http_bridge.app import BridgeSettings, start_bridge
from services.http_bridge.grpc_backend import GrpcBackend
from services.runtime.grpc_channel import open_channel
from services.runtime.keys import hash_key
from services.runtime.metrics import Metrics
from services.runtime.supervise import Background, Stop
from services.wire.document_form import read_form
from services.wire.policy import to_document

KEY = "to-test-key"
KEY_DOCUMENT = {"kind": "ApiKey", "name": "test", "hash": hash_key(KEY), "scopes": ["inference", "read", "admin"]}
OTHER_KEY = "to-another-key"
OTHER_KEY_DOCUMENT = {"kind": "ApiKey", "name": "other", "hash": hash_key(OTHER_KEY), "scopes": ["inference"]}
TOPOLOGIES = ("fused", "grpc")


def policy_set(*forms: Mapping[str, Any], revision: int = 1) -> PolicySet:
    """A set of documents in their YAML form, with a key."""
    entries = {}
    for form in (*forms, KEY_DOCUMENT):
        resource, problems = read_form(form)
        assert resource is not None, problems
        document = to_document(resource)
        entries[key_of(document)] = Entry(document, revision)
    found = PolicySet(entries, revision, "", "test")
    return PolicySet(entries, revision, content_version(documents_of(found).values()), "test")


@dataclass(slots=True)
class Running:
    """What runs."""

    url: str
    grpc: str
    worker: Worker
    http: httpx.AsyncClient

    def put(self, *forms: Mapping[str, Any], revision: int = 2) -> None:
        """Put another policy in force."""
        put_policy(self.worker, policy_set(*forms, revision=revision))


def put_policy(worker: Worker, policy: PolicySet) -> None:
    compiled = worker.holder.compile(policy)
    assert not isinstance(compiled, Problems), compiled
    worker.holder.put(policy, compiled)


@asynccontextmanager
async def running_suite(
    folder: Path,
    topology: str,
    *forms: Mapping[str, Any],
    environment: Mapping[str, str] | None = None,
    allow_faults: bool = False,
    controlplane: str = "127.0.0.1:1",
) -> AsyncIterator[Running]:
    """Serve `forms` as policy; the control plane is away, as it may be, unless its address is given."""
    background = Background(Stop())
    settings = WorkerSettings(
        node_id="worker",
        controlplane=(controlplane,),
        data_dir=folder / "worker",
        listen="127.0.0.1:0",
        grace=2.0,
        allow_faults=allow_faults,
        environment=environment or {},
    )
    metrics = Metrics(CollectorRegistry())
    worker = Worker(settings, metrics)
    server = await worker.start(background)
    put_policy(worker, policy_set(*forms))
    address = f"127.0.0.1:{server.port}"
    policy = open_channel("127.0.0.1:1")
    backend = worker.local if topology == "fused" else GrpcBackend([address])
    bridge = await start_bridge(BridgeSettings(port=0, environment=environment or {}), backend, policy, metrics)
    url = f"http://127.0.0.1:{bridge.port}"
    headers = {"authorization": f"Bearer {KEY}"}
    try:
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30) as http:
            yield Running(url, address, worker, http)
    finally:
        await bridge.stop(0.0, 2.0)
        await backend.aclose()
        await policy.close()
        await worker.stop(server, background)
        # aiohttp closes its sockets one loop turn later.
        await asyncio.sleep(0)


async def eventually(condition: Callable[[], bool]) -> None:
    """Return when `condition` holds; for what another connection brings about, and nobody tells."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


def records(suite: Running) -> list[RequestRecord]:
    """The records that the worker has."""
    return [suite.worker.records.get(trail.generation_id) for trail in suite.worker.records._trails]
