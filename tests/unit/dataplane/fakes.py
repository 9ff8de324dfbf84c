"""A provider without sockets: answers by script, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from services.core.errors import Failure
from services.core.policy.compile import Problems
from services.dataplane.credentials import Credentials
from services.dataplane.engine import Engine
from services.dataplane.health_tracker import HealthTracker
from services.dataplane.policy_holder import PolicyHolder
from services.dataplane.records import RecordLog
from services.dataplane.runner import Runner
from services.dataplane.trail import Trail
from services.dataplane.transport.port import TransportFailed, UpstreamRequest
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.clock import SystemClock
from services.runtime.conditions import CelCompiler
from services.runtime.trace_context import Sampler
from tests.support.inprocess import policy_set


@dataclass(slots=True)
class Answer:
    """One answer: pieces of a body, an exception instead of one, or silence."""

    status: int = 200
    pieces: list[bytes] = field(default_factory=list)
    headers: Mapping[str, str] = field(default_factory=dict)
    failure: Failure | None = None
    hangs: bool = False
    closed: bool = False

    async def read(self) -> bytes:
        if self.hangs:
            await asyncio.Event().wait()
        if self.pieces:
            return self.pieces.pop(0)
        if self.failure is not None:
            raise TransportFailed(self.failure)
        return b""

    async def read_all(self, limit: int) -> bytes:
        del limit
        body = b""
        while piece := await self.read():
            body += piece
        return body

    def close(self) -> None:
        self.closed = True


def whole(body: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status, [msgspec.json.encode(body)], headers)


def stream(*frames: bytes) -> Answer:
    return Answer(200, list(frames), {"content-type": "text/event-stream"})


class FakeTransport:
    """Gives scripted answers by host, in turn; the last one goes on for ever."""

    def __init__(self, **scripts: list[Answer | Failure]) -> None:
        self.scripts = scripts
        self.asked: list[UpstreamRequest] = []

    async def open(self, request: UpstreamRequest, *, connect: float, headers: float) -> Answer:
        del connect, headers
        self.asked.append(request)
        script = self.scripts[request.url.split("//")[1].split(".")[0]]
        answer = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(answer, Failure):
            raise TransportFailed(answer)
        return answer

    async def aclose(self) -> None:
        pass

    @property
    def hosts(self) -> list[str]:
        return [r.url.split("//")[1].split(".")[0] for r in self.asked]


def provider(name: str, kind: str = "openai", **more: Any) -> dict[str, Any]:
    return {"kind": "Provider", "name": name, "type": kind, "base_url": f"https://{name}.example.com", **more}


def router(*models: str, **more: Any) -> dict[str, Any]:
    variant = {"variant_id": "v", "model_id": models[0], "model_selection": {"models": list(models[1:])}}
    route = {"route_id": "d", "variants": [{"weight": 100, "variant": variant}]}
    return {"kind": "Router", "name": "r", "default_route": route, **more}


@dataclass(slots=True)
class Rig:
    """An engine over a fake transport, and the trails that it finished."""

    engine: Engine
    transport: FakeTransport
    trails: list[Trail]


def rig(transport: FakeTransport, *forms: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Rig:
    holder = PolicyHolder(CelCompiler(), ShippedCatalogue())
    policy = policy_set(*forms)
    compiled = holder.compile(policy)
    assert not isinstance(compiled, Problems), compiled
    holder.put(policy, compiled)
    clock = SystemClock()
    trails: list[Trail] = []
    runner = Runner(transport, Credentials(clock.monotonic, environment or {}), HealthTracker(), clock)
    engine = Engine(holder, runner, RecordLog("n", [trails.append]), clock, Sampler(1.0))
    return Rig(engine, transport, trails)
