"""OTLP receivers for tests, and span trees as text.

Over HTTP a third-party receiver (oteltap), over gRPC a sink of our own, and one
that accepts connections and never answers.
"""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
from contextlib import contextmanager

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from oteltap import OtelTapHttpProtobufReceiver, OtelTapHttpProtobufReceiverSettings

from tests.support.ports import free_port

SECONDS = 20.0


class Collector:
    """What arrived. `environment` makes a process export to it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = {"OTEL_BSP_SCHEDULE_DELAY": "50", **environment}
        self._spans: list[Span] = []
        self._arrived = threading.Condition()

    def add(self, spans: Sequence[Span]) -> None:
        with self._arrived:
            self._spans.extend(spans)
            self._arrived.notify_all()

    def trace(self, trace_id: str, count: int) -> list[Span]:
        """The spans of a trace, once `count` of them are there."""

        def found() -> list[Span]:
            return [span for span in self._spans if span.trace_id.hex() == trace_id]

        with self._arrived:
            assert self._arrived.wait_for(lambda: len(found()) >= count, SECONDS), tree(found())
            return found()

    def everything(self) -> list[Span]:
        with self._arrived:
            return list(self._spans)


@contextmanager
def http_collector() -> Iterator[Collector]:
    port = free_port()
    found = Collector(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        }
    )
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(_tap(port, found, ready)))
    thread.start()
    try:
        assert ready.wait(SECONDS)
        yield found
    finally:
        loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
        thread.join(SECONDS)
        loop.close()


async def _tap(port: int, found: Collector, ready: threading.Event) -> None:
    settings = OtelTapHttpProtobufReceiverSettings(http_port=port)
    try:
        async with OtelTapHttpProtobufReceiver(settings) as receiver:
            spans = receiver.stream_traces()
            ready.set()
            async for span in spans:
                found.add([span])
    except asyncio.CancelledError:
        return


class _Sink(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, found: Collector) -> None:
        self._found = found

    def Export(
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        self._found.add([span for r in request.resource_spans for s in r.scope_spans for span in s.spans])
        return trace_service_pb2.ExportTraceServiceResponse()


@contextmanager
def grpc_collector() -> Iterator[Collector]:
    server = grpc.server(futures.ThreadPoolExecutor(2))
    port = server.add_insecure_port("127.0.0.1:0")
    found = Collector(
        {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    )
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Sink(found), server)
    server.start()
    try:
        yield found
    finally:
        server.stop(None).wait()


@contextmanager
def deaf_collector(protocol: str) -> Iterator[Mapping[str, str]]:
    """The environment of a process whose collector takes connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        yield {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}


_VOLATILE = {
    "turnout.generation_id": "<id>",
    "turnout.seed": "<number>",
    "turnout.policy.version": "<version>",
    "server.address": "<address>",
    "gen_ai.response.time_to_first_chunk": "<seconds>",
}


def tree(spans: Sequence[Span]) -> str:
    """A trace as text: kind, name and status of each span, its attributes, its children; without what always varies.

    Spans without a parent among `spans` stand at the margin.
    """
    known = {span.span_id for span in spans}
    lines: list[str] = []

    def draw(span: Span, margin: str) -> None:
        status = {0: "", 1: " ok", 2: f" ERROR {span.status.message}".rstrip()}[span.status.code]
        lines.append(f"{margin}{Span.SpanKind.Name(span.kind).removeprefix('SPAN_KIND_')} {span.name}{status}")
        lines.extend(f"{margin}  {line}" for line in _attributes(span))
        for child in children(span.span_id):
            draw(child, margin + "    ")

    def children(parent: bytes) -> list[Span]:
        found = [s for s in spans if s.parent_span_id == parent]
        return sorted(found, key=lambda s: (s.start_time_unix_nano, s.span_id))

    for root in sorted((s for s in spans if s.parent_span_id not in known), key=lambda s: s.start_time_unix_nano):
        draw(root, "")
    return "\n".join(lines) + "\n"


def _attributes(span: Span) -> list[str]:
    values = {a.key: _VOLATILE.get(a.key) or _value(a.value) for a in span.attributes}
    return [f"{name} = {value}" for name, value in sorted(values.items())]


def _value(value: AnyValue) -> str:
    which = value.WhichOneof("value")
    if which == "array_value":
        return "[" + ", ".join(_value(v) for v in value.array_value.values) + "]"
    return re.sub(r"127\.0\.0\.1:\d+", "<address>", str(getattr(value, str(which))))


def attributes(span: Span) -> dict[str, str]:
    """A span's attributes as text."""
    return {a.key: _value(a.value) for a in span.attributes}
