"""The request path in one process, without sockets: `python -m bench.inprocess` carries out rounds on order.

A worker as production makes it, over a transport that answers at once, with the policy and the payloads of the
other scenarios. So it shows what our own code costs: no kernel, no HTTP library, nothing of the machine but its CPU.

Each line of the input is a load and a number of requests; each line of the output the CPU time of this thread in
microseconds per request. `paired.py` gives the orders, to one working tree or to two of them in turns.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry

from bench.payloads import COUNTER, answer, frames, routed_anthropic, routed_openai
from bench.suite import KEY, Suite, policy
from services.core.discovery.messages import Entry, PolicySet
from services.core.policy.documents import key_of
from services.dataplane.app import Worker, WorkerSettings
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.engine import Call, Engine
from services.dataplane.records import RecordLog
from services.dataplane.transport.port import UpstreamRequest
from services.http_bridge.app import Bridge
from services.http_bridge.http import Request, Response
from services.http_bridge.observe import TracingObserver
from services.runtime.clock import SystemClock
from services.runtime.grpc_channel import open_channel
from services.runtime.metrics import Metrics
from services.runtime.trace_context import Sampler
from services.wire.document_form import read_form
from services.wire.policy import to_document

USERS = 64
"""Different users that the requests of a round are of."""
TURN = 16
"""Requests between turns of the event loop: nothing here ever waits, and the loop has cancelled timers to drop."""
CHAT = "/v1/chat/completions"

Load = Callable[[int], Awaitable[None]]
"""Carries out the request with this number."""


class InMemoryAnswer:
    """An answer that is there already; a stream has one event in each read."""

    status = 200

    def __init__(self, pieces: list[bytes], headers: Mapping[str, str]) -> None:
        self.headers = headers
        self._pieces = iter(pieces)

    async def read(self) -> bytes:
        return next(self._pieces, b"")

    async def read_all(self, limit: int) -> bytes:
        del limit
        return next(self._pieces, b"")

    def close(self) -> None:
        """Nothing is open."""


class InMemoryTransport:
    """Answers at once: a stream if the request asks for one."""

    def __init__(self) -> None:
        self._whole, self._frames = [answer()], frames()

    async def open(self, request: UpstreamRequest, *, connect: float, headers: float) -> InMemoryAnswer:
        del connect, headers
        if b'"stream":true' in request.body:
            return InMemoryAnswer(self._frames, {"content-type": "text/event-stream"})
        return InMemoryAnswer(self._whole, {"content-type": "application/json"})

    async def aclose(self) -> None:
        """Nothing is open."""


class RequestPath:
    """The request path, to be entered at the engine or at the bridge."""

    def __init__(self, folder: Path) -> None:
        metrics, sampler = Metrics(CollectorRegistry()), Sampler(0.0)
        settings = WorkerSettings("bench", ("127.0.0.1:1",), folder, environment={"OTEL_SDK_DISABLED": "true"})
        self.worker = worker = Worker(settings, metrics)
        worker.runner.transport = InMemoryTransport()
        self._channel = open_channel("127.0.0.1:1")
        proposed = _policy_set()
        worker.holder.put(proposed, worker.holder.compile(proposed))
        self.engine = Engine(worker.holder, worker.runner, RecordLog("bench", []), SystemClock(), sampler)
        observer = TracingObserver(SystemClock(), sampler, metrics, None)
        self.bridge = Bridge(worker.local, self._channel, metrics.registry, observer, SystemClock())

    async def close(self) -> None:
        """Let go of what a worker and a bridge open, although nothing here goes through it."""
        await self.worker.transport.aclose()
        await self._channel.close()

    def loads(self) -> Mapping[str, Load]:
        """Every load by name."""
        openai = {stream: _numbered(routed_openai("fast", stream=stream)) for stream in (False, True)}
        anthropic = {stream: _numbered(routed_anthropic("fast", stream=stream)) for stream in (False, True)}
        return {
            "engine, unary": self._at_engine("chat.completions", openai[False], stream=False),
            "engine, stream": self._at_engine("chat.completions", openai[True], stream=True),
            "engine, cross-dialect unary": self._at_engine("messages", anthropic[False], stream=False),
            "engine, cross-dialect stream": self._at_engine("messages", anthropic[True], stream=True),
            "fused path, unary": self._at_bridge(openai[False], stream=False),
            "fused path, stream": self._at_bridge(openai[True], stream=True),
        }

    def _at_engine(self, api: str, bodies: list[bytes], *, stream: bool) -> Load:
        engine, dialect = self.engine, dialect_of(api)
        headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json", "user-agent": "bench"}

        async def whole(number: int) -> None:
            reply = await engine.whole(dialect, Call(bodies[number % USERS], headers))
            assert reply.status == 200, reply.data

        async def streamed(number: int) -> None:
            data = b""
            async for reply in engine.stream(dialect, Call(bodies[number % USERS], headers)):
                data = reply.data
            assert b"[DONE]" in data or b"message_stop" in data, data

        return streamed if stream else whole

    def _at_bridge(self, bodies: list[bytes], *, stream: bool) -> Load:
        headers = {
            "host": "127.0.0.1:8080",
            "content-type": "application/json",
            "user-agent": "turnout-bench",
            "accept": "*/*",
            "authorization": f"Bearer {KEY}",
            "content-length": str(len(bodies[0])),
        }

        async def ask(number: int) -> None:
            response = await self.bridge(Request("POST", CHAT, headers, {}, bodies[number % USERS]))
            assert response.status == 200, response
            if stream:
                assert not isinstance(response, Response), "it streams"
                pieces = [piece async for piece in response.chunks]
                assert b"[DONE]" in pieces[-1], pieces

        return ask


def _policy_set() -> PolicySet:
    entries = {}
    for form in policy(Suite(None, 0.0)):  # type: ignore[arg-type]
        resource, problems = read_form(form)
        assert resource is not None, problems
        document = to_document(resource)
        entries[key_of(document)] = Entry(document, 1)
    return PolicySet(entries, 1, "bench", "bench")


def _numbered(body: bytes) -> list[bytes]:
    return [body.replace(COUNTER.encode(), f"{number:0{len(COUNTER)}}".encode()) for number in range(USERS)]


async def timed(load: Load, requests: int) -> float:
    """CPU time of this thread, microseconds per request; the garbage of earlier rounds is collected before."""
    gc.collect()
    began = time.thread_time_ns()
    for number in range(requests):
        await load(number)
        if number % TURN == 0:
            await asyncio.sleep(0)
    return (time.thread_time_ns() - began) / requests / 1e3


async def _serve() -> None:
    with tempfile.TemporaryDirectory(prefix="turnout-bench-") as folder:
        path = RequestPath(Path(folder))
        loads = path.loads()
        for line in sys.stdin:
            name, _, requests = line.strip().rpartition(" ")
            print(await timed(loads[name], int(requests)), flush=True)
        await path.close()


if __name__ == "__main__":
    asyncio.run(_serve())
