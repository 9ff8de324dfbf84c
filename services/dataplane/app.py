"""The data-plane worker as a process: wiring only."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from prometheus_client import CollectorRegistry
from turnout.health.v1 import health_service_pb2, health_service_pb2_grpc
from turnout.inference.v1 import inference_service_pb2, inference_service_pb2_grpc
from turnout.record.v1 import record_service_pb2, record_service_pb2_grpc

from services.core.policy.snapshot import Snapshot
from services.dataplane.credentials import Credentials
from services.dataplane.engine import Engine
from services.dataplane.health_events import HealthEvents
from services.dataplane.health_metrics import BreakerMetrics, resilience_sink
from services.dataplane.health_report import HealthReports
from services.dataplane.health_service import HealthServicer
from services.dataplane.health_tracker import HealthTracker
from services.dataplane.inference_service import InferenceServicer, LocalInference
from services.dataplane.joining import JoiningEngine
from services.dataplane.learned_tables import TableHolder, TablesFile
from services.dataplane.outcomes import Outcomes
from services.dataplane.policy_client import NodeIdentity, PolicyClient
from services.dataplane.policy_holder import PolicyHolder
from services.dataplane.prompt_caches import PromptCaches
from services.dataplane.providers.bedrock_sign import warm
from services.dataplane.record_service import RecordServicer
from services.dataplane.records import RecordLog
from services.dataplane.rehearsal import Rehearsals
from services.dataplane.runner import Runner
from services.dataplane.shadows import Shadows
from services.dataplane.sinks import metrics_sink, spans_sink
from services.dataplane.snapshot_file import SnapshotFile
from services.dataplane.tables_client import TablesClient
from services.dataplane.token_sources import source_of
from services.dataplane.tokens import Tokens
from services.dataplane.transport.aiohttp_transport import AiohttpTransport
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.clock import Clock, SystemClock
from services.runtime.conditions import CelCompiler
from services.runtime.grpc_server import RunningServer, start_server
from services.runtime.kinds import shipped_kinds
from services.runtime.listening import check_address
from services.runtime.metrics import Metrics, serve_metrics
from services.runtime.supervise import Background, Stop
from services.runtime.telemetry import SpanQueue, exporter_from, sampler_from

log = logging.getLogger(__name__)

SERVICES = (
    inference_service_pb2.DESCRIPTOR.services_by_name["InferenceService"].full_name,
    record_service_pb2.DESCRIPTOR.services_by_name["RecordService"].full_name,
    health_service_pb2.DESCRIPTOR.services_by_name["HealthService"].full_name,
)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How a worker runs.

    Attributes:
        listen: gRPC address, HOST:PORT.
        advertise: Address that others reach this worker at; empty: `listen`.
        controlplane: gRPC addresses of the control plane.
        data_dir: Where the last good policy is kept.
        drain: Seconds between NOT_SERVING and refusing calls, for load balancers to notice.
        grace: Seconds that running requests get at the end.
        allow_faults: Act on the faults that policy injects; without it they are ignored.
        comments_after: Seconds of silence after which streams under /api/v1 get a comment; 0.0: never.
    """

    node_id: str
    controlplane: tuple[str, ...]
    data_dir: Path
    listen: str = "127.0.0.1:7011"
    advertise: str = ""
    metrics_port: int = 0
    drain: float = 0.0
    grace: float = 30.0
    allow_faults: bool = False
    comments_after: float = 10.0
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)


def _policy_client(settings: WorkerSettings, holder: PolicyHolder, clock: Clock) -> PolicyClient:
    node = NodeIdentity(settings.node_id, settings.advertise or settings.listen)
    return PolicyClient(settings.controlplane, node, holder, SnapshotFile(settings.data_dir / "policy.snapshot"), clock)


class Worker:
    """One worker. Make it inside the running loop."""

    def __init__(self, settings: WorkerSettings, metrics: Metrics) -> None:
        self.settings = settings
        clock = SystemClock()
        self.holder = PolicyHolder(CelCompiler(), ShippedCatalogue())
        self.policy = _policy_client(settings, self.holder, clock)
        self.tables = TableHolder(shipped_kinds())
        file = TablesFile(settings.data_dir / "learned.tables")
        self.learning = TablesClient(settings.controlplane, settings.node_id, self.tables, file, clock)
        exporter = exporter_from(settings.environment)
        self.spans = None
        if exporter is not None:
            self.spans = SpanQueue(exporter, "turnout-dataplane", environment=settings.environment, count=metrics.spans)
        self.outcomes = Outcomes(settings.node_id, settings.controlplane, clock, metrics.outcomes_lost.inc)
        self.caches = PromptCaches()
        sinks = [metrics_sink(metrics), resilience_sink(metrics), self.outcomes.sink, self.caches.sink]
        if self.spans is not None:
            sinks.append(spans_sink(self.spans, settings.node_id))
        self.records = RecordLog(settings.node_id, sinks)
        self.transport = AiohttpTransport()
        self.credentials = Credentials(clock.monotonic, settings.environment, Tokens(clock, source_of))
        self.rehearsals = Rehearsals(clock, allowed=settings.allow_faults)
        self.runner = Runner(self.transport, self.credentials, HealthTracker(), clock, self.rehearsals)
        self.health = HealthReports(settings.node_id, self.holder, self.runner.health, clock, self.credentials.failing)
        self.health_events = HealthEvents(self.health, clock)
        self._breakers = BreakerMetrics(metrics, self.health)
        self.runner.health.on_event = self.health_events.publish
        self.runner.health.on_refused = self._breakers.refused
        self.health_events.sink = self._breakers.changed
        unseen = Runner(self.transport, self.credentials, HealthTracker(), clock, self.rehearsals)
        self.shadows = Shadows(unseen, self.records, clock, metrics.shadow)
        sampler = sampler_from(settings.environment)
        self.engine = Engine(
            self.holder,
            self.runner,
            self.records,
            clock,
            sampler,
            comments_after=settings.comments_after,
            tables=self.tables,
            caches=self.caches,
        )
        self.engine.on_answered = self.shadows.offer
        self.serving = JoiningEngine(self.engine)
        self.local = LocalInference(self.serving, self.health)
        self._ready = asyncio.Event()
        self._metrics = metrics
        self._clock = clock
        self.holder.on_change = self._changed
        self._show(metrics)

    def _show(self, metrics: Metrics) -> None:
        """Gauges read what is there when they are asked."""
        metrics.in_flight.set_function(lambda: self.engine.in_flight)
        metrics.tables.set_function(lambda: len(self.tables.current))
        metrics.tables_age.set_function(lambda: self.tables.age(self._clock.wall()))
        self.holder.on_nack = metrics.policy_nacks.inc

    def _changed(self, snapshot: Snapshot) -> None:
        self._metrics.policy_revision.set(snapshot.revision)
        log.info("policy revision %d, version %s is in force", snapshot.revision, snapshot.version[:12])
        self.rehearsals.announce(snapshot)
        self.credentials.prepare(snapshot)
        warm(snapshot.providers.values())
        self._breakers.refresh()
        self._ready.set()

    async def start(self, background: Background) -> RunningServer:
        """Start serving. The health service says SERVING once a policy is in force, old or new."""
        self.policy.load_file()
        self.learning.load_file()
        server = await start_server(self.settings.listen, self._add, SERVICES)
        background.start("policy", self.policy.run())
        background.start("tables", self.learning.run())
        self._reporting = background.start("outcomes", self.outcomes.run())
        background.start("readiness", self._announce(server))
        return server

    def _add(self, server: grpc.aio.Server) -> None:
        inference = InferenceServicer(self.serving, self.local)
        inference_service_pb2_grpc.add_InferenceServiceServicer_to_server(inference, server)
        record_service_pb2_grpc.add_RecordServiceServicer_to_server(RecordServicer(self.holder, self.records), server)
        health = HealthServicer(self.holder, self.health, self.health_events)
        health_service_pb2_grpc.add_HealthServiceServicer_to_server(health, server)

    async def _announce(self, server: RunningServer) -> None:
        await self._ready.wait()
        await server.set_serving(serving=True)

    async def stop(self, server: RunningServer, background: Background) -> None:
        """Drain: say NOT_SERVING, let running requests finish within the grace, flush, let go."""
        await server.set_serving(serving=False)
        if self.settings.drain:
            await asyncio.sleep(self.settings.drain)
        self.policy.stop()
        self.learning.stop()
        ends = self._clock.monotonic() + self.settings.grace
        await server.stop(self.settings.grace)
        await self.shadows.drain(ends - self._clock.monotonic())
        self.outcomes.stop()
        await self._reporting
        await background.cancel()
        await self.runner.aclose()
        await self.credentials.close()
        await self.transport.aclose()
        if self.spans is not None:
            await asyncio.to_thread(self.spans.shutdown)


async def serve(settings: WorkerSettings, stop: Stop) -> None:
    """Run a worker until `stop`.

    Raises:
        CannotListen: An address is taken.
    """
    registry = CollectorRegistry()
    serve_metrics(settings.metrics_port, registry)
    check_address(settings.listen)
    worker = Worker(settings, Metrics(registry))
    background = Background(stop)
    server = await worker.start(background)
    log.info("worker %s listens on %s", settings.node_id, settings.listen)
    await stop.wait()
    log.info("draining %d requests", worker.engine.in_flight)
    await worker.stop(server, background)
