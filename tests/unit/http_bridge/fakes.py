"""A bridge without HTTP: its application is called directly, over a scripted backend."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from prometheus_client import CollectorRegistry
from turnout.inference.v1.inference_service_pb2 import (
    InvokeEvent,
    InvokeRequest,
    InvokeResponse,
    ListModelsResponse,
    ModelInfo,
)

from services.core.errors import PolicyNotReady, RouterError
from services.http_bridge.app import Bridge
from services.http_bridge.http import Request, Response, StreamingResponse
from services.runtime.metrics import Metrics
from services.runtime.testing import FakeClock
from services.runtime.trace_context import TraceContext

JSON = {"content-type": "application/json"}
SSE = {"content-type": "text/event-stream; charset=utf-8"}


class Backend:
    """Answers as it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[InvokeRequest] = []
        self.response = InvokeResponse(status=200, headers=JSON, body=b"{}")
        self.events: list[InvokeEvent | Exception] = []
        self.models: list[ModelInfo] = []
        self.models_version = ""
        self.known_versions: list[str] = []
        self.error: RouterError | None = None
        self.is_ready = True
        self.closed = asyncio.Event()

    async def invoke(self, request: InvokeRequest) -> InvokeResponse:
        self.asked.append(request)
        if self.error is not None:
            raise self.error
        return self.response

    async def invoke_stream(self, request: InvokeRequest) -> AsyncGenerator[InvokeEvent, None]:
        self.asked.append(request)
        try:
            for event in self.events:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.closed.set()

    async def list_models(self, headers: Mapping[str, str], known_version: str = "") -> ListModelsResponse:
        del headers
        if self.error is not None:
            raise self.error
        self.known_versions.append(known_version)
        same = bool(known_version) and known_version == self.models_version
        return ListModelsResponse(models=[] if same else self.models, version=self.models_version)

    async def ready(self) -> bool:
        return self.is_ready

    async def why_not_ready(self) -> RouterError:
        return PolicyNotReady("no worker has a policy yet")

    async def aclose(self) -> None:
        pass


@dataclass(slots=True)
class Observer:
    """Notes begins and ends."""

    begun: list[tuple[str, str]] = field(default_factory=list)
    ended: list[tuple[str, int]] = field(default_factory=list)

    def begin(self, traceparent: str, tracestate: str) -> TraceContext:
        self.begun.append((traceparent, tracestate))
        return TraceContext("ab" * 16, "cd" * 8, "", True, "vendor=1")

    def end(self, context: TraceContext, route: str, status: int, began: float) -> None:
        del context, began
        self.ended.append((route, status))


@dataclass(slots=True)
class Rig:
    """A bridge over fakes."""

    backend: Backend
    observer: Observer
    bridge: Bridge

    async def call(self, method: str, path: str, body: Any = b"", **more: Any) -> Response | StreamingResponse:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {k.replace("_", "-"): v for k, v in more.pop("headers", {}).items()}
        return await self.bridge(Request(method, path, headers, more.pop("query", {}), data, **more))


def rig(policy: grpc.aio.Channel | None = None) -> Rig:
    backend, observer = Backend(), Observer()
    metrics = Metrics(CollectorRegistry())
    channel = policy or grpc.aio.insecure_channel("127.0.0.1:1")
    return Rig(backend, observer, Bridge(backend, channel, metrics.registry, observer, FakeClock()))


def json_of(response: Response | StreamingResponse) -> Any:
    assert isinstance(response, Response)
    return json.loads(response.body)
