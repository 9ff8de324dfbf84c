"""The suite under measurement: etcd, a control plane with a policy, and both topologies side by side.

Everything is a real process, started as production starts it, with metrics on
and spans exported over OTLP. All ways to the upstream are up at the same time,
so that rounds can alternate between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import httpx
from turnout.policy.v1 import policy_service_pb2 as api
from turnout.policy.v1.policy_service_pb2_grpc import PolicyServiceStub

from bench.payloads import routed_openai
from bench.processes import BenchFailed, Processes, accepts
from services.cli.standalone.etcd import etcd_child, etcd_ready
from services.cli.standalone.probes import grpc_ready, http_ready
from services.runtime.keys import hash_key
from services.runtime.listening import free_ports
from services.wire.document_form import read_form

KEY = "to-bench-key"
DIRECT, FUSED, GRPC = "direct", "fused", "grpc"
EXPORT_DELAY_SECONDS = 0.25
"""Production's default is 5 s; less makes more and smaller exports, so it flatters nobody, and measures end sooner."""

BEHAVIOURS = ("fast", "paced", "burst", "e500", "e429", "even", "late")
HEDGED = "tail"
"""The router that hedges, with nothing set but that."""
ROUTED = ("fast", "paced", "burst")
ROUTE = "spanish-paid"

_CONDITIONS = (
    ("german-free", 'language == "de" && plan == "free"'),
    ("american", 'region == "us" || plan.startsWith("ent")'),
    (ROUTE, 'language == "es" && plan != "free"'),
)


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """One way to the upstream.

    Attributes:
        parts: Pid of each process of the router on this way, by what it is; none on the direct way.
        metrics: URLs that show the metrics of those processes.
    """

    name: str
    port: int
    parts: Mapping[str, int]
    metrics: tuple[str, ...] = ()


@dataclass(slots=True)
class Suite:
    """What runs."""

    processes: Processes
    sampling: float
    upstream_port: int = 0
    upstream_pid: int = 0
    refused_port: int = 0
    sink_port: int = 0
    controlplane: str = ""
    direct: Way = Way(DIRECT, 0, {})
    fused: Way = Way(FUSED, 0, {})
    grpc: Way = Way(GRPC, 0, {})

    @property
    def ways(self) -> tuple[Way, Way, Way]:
        return (self.direct, self.fused, self.grpc)


async def start_suite(processes: Processes, sampling: float) -> Suite:
    """Start everything and see that each way answers as it should.

    Args:
        sampling: Share of traces that are exported.
    """
    suite = Suite(processes, sampling)
    suite.upstream_port, suite.refused_port, suite.sink_port = free_ports(3)
    port = suite.upstream_port
    suite.upstream_pid = await processes.module("upstream", "bench.upstream", [str(port)], lambda: accepts(port))
    suite.direct = Way(DIRECT, port, {})
    sink = suite.sink_port
    await processes.module("sink", "bench.sink", [str(sink)], lambda: accepts(sink))
    await _start_control(suite)
    suite.fused = await start_fused(suite, "fused", sampling)
    suite.grpc = await _start_grpc(suite)
    for way in (suite.fused, suite.grpc):
        await _see_that_it_routes(way)
    return suite


async def _start_control(suite: Suite) -> None:
    client, peer, port = free_ports(3)
    processes = suite.processes
    await processes.start(etcd_child(processes.folder, client, peer), lambda: etcd_ready(client))
    suite.controlplane = f"127.0.0.1:{port}"
    arguments = ["--listen", suite.controlplane, "--etcd", f"127.0.0.1:{client}"]
    ready = lambda: grpc_ready(suite.controlplane)  # noqa: E731
    await processes.module("controlplane", "services.controlplane", arguments, ready, {"TURNOUT_ADMIN_KEY": KEY})
    resources = []
    for form in policy(suite):
        resource, problems = read_form(form)
        if resource is None:
            raise BenchFailed(f"the policy of the benchmark is wrong: {problems}")
        resources.append(resource)
    async with grpc.aio.insecure_channel(suite.controlplane) as channel:
        stub: Any = PolicyServiceStub(channel)
        metadata = (("authorization", f"Bearer {KEY}"),)
        await stub.Apply(api.ApplyRequest(resources=resources), metadata=metadata, timeout=10.0)


async def start_fused(suite: Suite, name: str, sampling: float) -> Way:
    """Start a fused process."""
    port, listen = free_ports(2)
    arguments = _worker(suite, name, listen)
    arguments += [*("--host", "127.0.0.1"), *("--port", str(port))]
    ready = lambda: http_ready(f"http://127.0.0.1:{port}/readyz")  # noqa: E731
    environment = _telemetry(suite, sampling)
    pid = await suite.processes.module(name, "services.cli.standalone.fused", arguments, ready, environment)
    return Way(FUSED, port, {"fused": pid}, (f"http://127.0.0.1:{port}/metrics",))


async def _start_grpc(suite: Suite) -> Way:
    port, listen, metrics = free_ports(3)
    processes, environment = suite.processes, _telemetry(suite, suite.sampling)
    arguments = [*_worker(suite, "worker", listen), *("--metrics-port", str(metrics))]
    serving = lambda: grpc_ready(f"127.0.0.1:{listen}")  # noqa: E731
    worker = await processes.module("worker", "services.dataplane", arguments, serving, environment)
    arguments = [*("--host", "127.0.0.1"), *("--port", str(port))]
    arguments += [*("--dataplane", f"127.0.0.1:{listen}"), *("--controlplane", suite.controlplane)]
    ready = lambda: http_ready(f"http://127.0.0.1:{port}/readyz")  # noqa: E731
    bridge = await processes.module("bridge", "services.http_bridge", arguments, ready, environment)
    urls = (f"http://127.0.0.1:{port}/metrics", f"http://127.0.0.1:{metrics}/metrics")
    return Way(GRPC, port, {"bridge": bridge, "worker": worker}, urls)


def _worker(suite: Suite, name: str, port: int) -> list[str]:
    return [
        *("--listen", f"127.0.0.1:{port}"),
        *("--controlplane", suite.controlplane),
        *("--node-id", name),
        *("--data-dir", str(suite.processes.folder / name)),
    ]


def _telemetry(suite: Suite, sampling: float) -> dict[str, str]:
    return {
        "OTEL_SDK_DISABLED": "false",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{suite.sink_port}",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": f"{sampling:g}",
        "OTEL_BSP_SCHEDULE_DELAY": f"{EXPORT_DELAY_SECONDS * 1000:.0f}",
    }


def policy(suite: Suite) -> list[dict[str, Any]]:
    """A provider per behaviour of the upstream, a router per good one, prices, and the key."""
    base = f"http://127.0.0.1:{suite.upstream_port}"
    urls = {name: f"{base}/{name}/v1" for name in BEHAVIOURS}
    urls["refused"] = f"http://127.0.0.1:{suite.refused_port}/v1"
    documents: list[dict[str, Any]] = [
        {"kind": "Provider", "name": name, "type": "openai_compatible", "base_url": url} for name, url in urls.items()
    ]
    prices = {"input_per_million": 0.25, "output_per_million": 2.0}
    for name in ROUTED:
        documents += [{"kind": "Model", "name": f"{name}/{model}", "prices": prices} for model in ("stable", "next")]
        documents.append(_router(name))
    documents.append(_hedged())
    scopes = ["inference", "read", "admin"]
    documents.append({"kind": "ApiKey", "name": "bench", "hash": hash_key(KEY), "scopes": scopes})
    return documents


def _router(name: str) -> dict[str, Any]:
    """Three conditions, of which the last one holds; two variants with sticky users."""
    variants = [
        {"weight": 90, "variant": {"variant_id": "stable", "model_id": f"{name}/stable"}},
        {"weight": 10, "variant": {"variant_id": "candidate", "model_id": f"{name}/next"}},
    ]
    default = {"weight": 100, "variant": {"variant_id": "default", "model_id": f"{name}/stable"}}
    routes = [
        {"condition": {"cel_expression": condition}, "route": {"route_id": route, "variants": variants}}
        for route, condition in _CONDITIONS
    ]
    return {
        "kind": "Router",
        "name": name,
        "routes": routes,
        "default_route": {"route_id": "default", "variants": [default]},
    }


def _hedged() -> dict[str, Any]:
    variant = {"variant_id": "only", "model_id": "late/m", "model_selection": {"models": ["even/m"]}}
    route = {"route_id": "default", "variants": [{"weight": 100, "variant": variant}]}
    return {"kind": "Router", "name": HEDGED, "default_route": route, "hedge": {"enabled": True}}


async def ask(way: Way, path: str, body: bytes) -> dict[str, Any]:
    """One request on `way`, read whole; for looking at the answer, not at the clock.

    Raises:
        BenchFailed: It was not answered with 200.
    """
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        url = f"http://127.0.0.1:{way.port}{path}"
        response = await client.post(url, content=body, headers={"authorization": f"Bearer {KEY}"})
    if response.status_code != 200:
        raise BenchFailed(f"{way.name}: status {response.status_code}: {response.text[:500]}")
    answer: dict[str, Any] = response.json()
    return answer


async def _see_that_it_routes(way: Way) -> None:
    answer = await ask(way, "/v1/chat/completions", routed_openai("fast", stream=False))
    route = answer.get("metadata", {}).get("route_id")
    if route != ROUTE:
        raise BenchFailed(f"{way.name}: the request took route {route!r}, not {ROUTE!r}")


async def spans_counted(ways: Sequence[Way]) -> dict[str, int]:
    """Spans by what became of them (exported, dropped, failed), as the routers' metrics say."""
    return await counted(ways, "turnout_spans_total", "result")


async def counted(ways: Sequence[Way], metric: str, label: str) -> dict[str, int]:
    """A counter of all processes of these ways, by one of its labels."""
    found: dict[str, int] = {}
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        for url in (url for way in ways for url in way.metrics):
            for line in (await client.get(url)).text.splitlines():
                if line.startswith(f"{metric}{{"):
                    value = line.split(f'{label}="', 1)[1].split('"', 1)[0]
                    found[value] = found.get(value, 0) + int(float(line.rsplit(" ", 1)[1]))
    return found
