"""The bridge as a process: wiring, and the application that servers serve."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc
from prometheus_client import CollectorRegistry, generate_latest
from turnout.inference.v1.inference_service_pb2 import Api

from services.http_bridge.admin import AdminRoutes
from services.http_bridge.aiohttp_server import RunningHttpServer, start_http_server
from services.http_bridge.backend import InferenceBackend
from services.http_bridge.errors import error_response, unknown_path_response
from services.http_bridge.experiments import ExperimentRoutes
from services.http_bridge.gemini import GeminiRoutes
from services.http_bridge.generations import GenerationRoutes
from services.http_bridge.grpc_backend import GrpcBackend
from services.http_bridge.health import HealthRoutes
from services.http_bridge.http import Application, Request, Response, StreamingResponse, json_response
from services.http_bridge.inference import InferenceRoutes
from services.http_bridge.learned import LearnedRoutes
from services.http_bridge.models import ModelRoutes
from services.http_bridge.observe import Observer, TracingObserver
from services.http_bridge.routers import RouterRoutes
from services.http_bridge.routing import Route, RouteTable
from services.http_bridge.stored import stored_routes
from services.http_bridge.unserved import told_instead
from services.runtime.clock import Clock, SystemClock
from services.runtime.grpc_channel import open_channel
from services.runtime.listening import check_listen
from services.runtime.metrics import Metrics
from services.runtime.supervise import Stop
from services.runtime.telemetry import SpanQueue, exporter_from, sampler_from

log = logging.getLogger(__name__)

CHAT = Api.API_CHAT_COMPLETIONS
OPENROUTER_CHAT = Api.API_OPENROUTER_CHAT
MESSAGES = Api.API_MESSAGES

_INFERENCE = {
    "/v1/chat/completions": CHAT,
    "/api/v1/chat/completions": OPENROUTER_CHAT,
    "/v1/messages": MESSAGES,
    "/api/v1/messages": MESSAGES,
    "/v1/responses": Api.API_RESPONSES,
    "/api/v1/responses": Api.API_RESPONSES,
    "/v1/embeddings": Api.API_EMBEDDINGS,
    "/api/v1/embeddings": Api.API_EMBEDDINGS,
    "/v1/moderations": Api.API_MODERATIONS,
    "/v1/images/generations": Api.API_IMAGES,
    "/api/v1/images": Api.API_IMAGES,
    "/v1/audio/translations": Api.API_TRANSLATIONS,
    "/v1/messages/count_tokens": Api.API_COUNT_TOKENS,
    "/tts/v1/voice": Api.API_INWORLD_SPEECH,
}
_STREAMED = {
    "/v1/audio/speech": Api.API_SPEECH,
    "/api/v1/audio/speech": Api.API_SPEECH,
    "/v1/audio/transcriptions": Api.API_TRANSCRIPTIONS,
    "/api/v1/audio/transcriptions": Api.API_TRANSCRIPTIONS,
    "/v1/images/edits": Api.API_IMAGE_EDITS,
    "/tts/v1/voice:stream": Api.API_INWORLD_SPEECH,
}
"""Whether these stream is not to be seen in a JSON body: they are bytes, or forms, or the address says so."""


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """How a bridge runs.

    Attributes:
        dataplane: gRPC addresses of workers.
        controlplane: gRPC address of the control plane.
        drain: Seconds between "not ready" and refusing connections, for load balancers to notice.
        grace: Seconds that running requests get at the end.
    """

    dataplane: tuple[str, ...] = ()
    controlplane: str = ""
    host: str = "127.0.0.1"
    port: int = 8080
    drain: float = 0.0
    grace: float = 30.0
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)


class Bridge:
    """The application over a backend."""

    def __init__(
        self,
        backend: InferenceBackend,
        policy: grpc.aio.Channel,
        registry: CollectorRegistry,
        observer: Observer,
        clock: Clock,
    ) -> None:
        self._backend = backend
        self._registry = registry
        self._observer = observer
        self._clock = clock
        self.draining = False
        inference = InferenceRoutes(backend, observer, clock)
        health = HealthRoutes(backend)
        self._table = RouteTable(
            [
                *(Route("POST", path, inference.handler(api)) for path, api in _INFERENCE.items()),
                *(Route("POST", path, inference.handler(api, always_streams=True)) for path, api in _STREAMED.items()),
                *stored_routes(inference),
                *ModelRoutes(backend).routes(),
                *GenerationRoutes(backend).routes(),
                *RouterRoutes(policy).routes(),
                *GeminiRoutes(inference).routes(),
                Route("GET", "/admin/v1/health", health.get),
                *AdminRoutes(policy).routes(),
                *ExperimentRoutes(policy).routes(),
                *LearnedRoutes(policy).routes(),
                *self._own_routes(),
            ]
        )

    def _own_routes(self) -> list[Route]:
        """Those that say how this process is."""
        return [
            # Claude Code asks for HEAD / before it begins.
            Route("GET", "/", self._healthz),
            Route("GET", "/healthz", self._healthz),
            Route("GET", "/readyz", self._readyz),
            Route("GET", "/metrics", self._metrics),
        ]

    async def __call__(self, request: Request) -> Response | StreamingResponse:
        """Serve one request."""
        match = self._table.match(request.method, request.path)
        if match.route is None:
            if match.allowed:
                response = error_response(request.path, 405, f"{request.path} takes {', '.join(match.allowed)}")
                response.headers["allow"] = ", ".join(match.allowed)
                return response
            instead = told_instead(request.path)
            if instead:
                return error_response(request.path, 404, instead, code="unsupported_api")
            return unknown_path_response(request.path, self._table.meant(request.path))
        return await match.route.handler(request, match.parameters)

    async def _healthz(self, request: Request, parameters: Mapping[str, str]) -> Response:
        del request, parameters
        return json_response(200, {"status": "alive"})

    async def _readyz(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """Ready means: requests can be served. How old the policy is does not matter here; it is a metric."""
        del request, parameters
        if self.draining:
            return json_response(503, {"status": "draining"})
        if not await self._backend.ready():
            return json_response(503, {"status": (await self._backend.why_not_ready()).message})
        return json_response(200, {"status": "ready"})

    async def _metrics(self, request: Request, parameters: Mapping[str, str]) -> Response:
        del request, parameters
        body = generate_latest(self._registry)
        return Response(200, body, {"content-type": "text/plain; version=0.0.4; charset=utf-8"})


class RunningBridge:
    """A bridge that serves."""

    def __init__(self, bridge: Bridge, server: RunningHttpServer, spans: SpanQueue | None) -> None:
        self.port = server.port
        self._bridge = bridge
        self._server = server
        self._spans = spans

    async def stop(self, drain: float, grace: float) -> None:
        """Say that we are not ready, wait for that to be seen, finish what runs, flush."""
        self._bridge.draining = True
        if drain:
            await asyncio.sleep(drain)
        await self._server.stop(grace)
        if self._spans is not None:
            await asyncio.to_thread(self._spans.shutdown)


async def start_bridge(
    settings: BridgeSettings, backend: InferenceBackend, policy: grpc.aio.Channel, metrics: Metrics
) -> RunningBridge:
    """Start a bridge over `backend`, whatever that is.

    Raises:
        CannotListen: The address cannot be bound.
    """
    clock = SystemClock()
    exporter = exporter_from(settings.environment)
    spans = None
    if exporter is not None:
        spans = SpanQueue(exporter, "turnout-bridge", environment=settings.environment, count=metrics.spans)
    observer = TracingObserver(clock, sampler_from(settings.environment), metrics, spans)
    bridge = Bridge(backend, policy, metrics.registry, observer, clock)
    application: Application = bridge
    server = await start_http_server(application, settings.host, settings.port)
    return RunningBridge(bridge, server, spans)


async def serve(settings: BridgeSettings, stop: Stop) -> None:
    """Run a bridge over gRPC workers until `stop`.

    Raises:
        CannotListen: The address is taken.
    """
    check_listen(settings.host, settings.port)
    backend = GrpcBackend(settings.dataplane)
    policy = open_channel(settings.controlplane)
    running = await start_bridge(settings, backend, policy, Metrics(CollectorRegistry()))
    log.info("bridge listens on %s:%d, workers at %s", settings.host, running.port, ", ".join(settings.dataplane))
    await stop.wait()
    log.info("draining")
    await running.stop(settings.drain, settings.grace)
    await backend.aclose()
    await policy.close()
