"""The way of spans out of a process: bounded, counted, and never in anybody's way."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter, SpanExportResult

from services.runtime.spans import server_span
from services.runtime.telemetry import SpanQueue, exporter_from, sampler_from
from services.runtime.trace_context import TraceContext

CONTEXT = TraceContext("ab" * 16, "cd" * 8, "", sampled=True)
BOUND = 0.3


def one_span(resource: Resource) -> Sequence[ReadableSpan]:
    return [server_span(CONTEXT, (1, 2), "POST /v1/chat/completions", {}, resource)]


class Exporter(SpanExporter):
    """Keeps what it gets; waits at `gate`, as a collector that hangs does."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.gate = threading.Event()
        self.gate.set()
        self.busy = threading.Event()
        self.error: Exception | None = None
        self.result = SpanExportResult.SUCCESS

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.busy.set()
        self.gate.wait(10)
        if self.error is not None:
            raise self.error
        self.spans.extend(spans)
        return self.result


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    found = Exporter()
    yield found
    found.gate.set()


class Counts(Counter[str]):
    def __call__(self, what: str, count: int) -> None:
        self[what] += count


def queue_of(exporter: SpanExporter, **environment: str) -> tuple[SpanQueue, Counts]:
    counts = Counts()
    return SpanQueue(exporter, "turnout-test", environment=environment, count=counts), counts


def test_a_flush_exports_what_is_queued_with_the_services_resource(exporter: Exporter) -> None:
    queue, counts = queue_of(exporter)
    queue.offer(one_span)
    assert queue.flush(5)
    assert [s.name for s in exporter.spans] == ["POST /v1/chat/completions"]
    assert exporter.spans[0].resource.attributes["service.name"] == "turnout-test"
    assert counts == {"exported": 1}
    queue.shutdown()


def test_the_service_name_comes_from_the_standard_variable(exporter: Exporter) -> None:
    queue, _ = queue_of(exporter, OTEL_SERVICE_NAME="mine")
    queue.offer(one_span)
    queue.shutdown()
    assert exporter.spans[0].resource.attributes["service.name"] == "mine"


def test_a_full_queue_drops_and_counts_and_never_waits(exporter: Exporter) -> None:
    exporter.gate.clear()
    queue, counts = queue_of(exporter, OTEL_BSP_MAX_QUEUE_SIZE="10", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="1")
    queue.offer(one_span)
    assert exporter.busy.wait(5)
    began = time.perf_counter()
    for _ in range(1_010):
        queue.offer(one_span)
    assert time.perf_counter() - began < 0.5
    assert counts == {"dropped": 1_000}
    exporter.gate.set()
    queue.shutdown()
    assert counts == {"dropped": 1_000, "exported": 11}


def test_a_collector_that_hangs_delays_a_shutdown_by_its_bound_at_most(exporter: Exporter) -> None:
    exporter.gate.clear()
    queue, _ = queue_of(exporter, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="1")
    queue.offer(one_span)
    assert exporter.busy.wait(5)
    began = time.perf_counter()
    queue.shutdown(BOUND)
    assert BOUND * 0.9 <= time.perf_counter() - began < BOUND + 1.0


@pytest.mark.parametrize("kind", [GrpcSpanExporter, HttpSpanExporter])
def test_a_dead_collector_delays_a_shutdown_by_its_bound_at_most(kind: type[SpanExporter]) -> None:
    # Bound, but nobody accepts: connections stand and nothing ever answers.
    with closing(socket.create_server(("127.0.0.1", 0), backlog=1)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        exporter = kind(endpoint=endpoint if kind is GrpcSpanExporter else f"{endpoint}/v1/traces")  # type: ignore[call-arg]
        queue, counts = queue_of(exporter)
        queue.offer(one_span)
        began = time.perf_counter()
        queue.shutdown(BOUND)
        assert time.perf_counter() - began < BOUND + 1.0
        assert counts["exported"] == 0


def test_an_idle_queue_shuts_down_at_once(exporter: Exporter) -> None:
    queue, _ = queue_of(exporter)
    began = time.perf_counter()
    queue.shutdown(30)
    assert time.perf_counter() - began < 5


def test_a_refusal_and_a_crash_of_the_exporter_are_counted_and_survived(exporter: Exporter) -> None:
    queue, counts = queue_of(exporter)
    exporter.result = SpanExportResult.FAILURE
    queue.offer(one_span)
    assert queue.flush(5)
    exporter.error = RuntimeError("boom")
    queue.offer(one_span)
    assert queue.flush(5)
    exporter.result, exporter.error = SpanExportResult.SUCCESS, None
    queue.offer(one_span)
    assert queue.flush(5)
    assert counts == {"failed": 2, "exported": 1}
    queue.shutdown()


def test_spans_that_cannot_be_built_cost_the_others_nothing(exporter: Exporter) -> None:
    def broken(_resource: Resource) -> Sequence[ReadableSpan]:
        raise ValueError("bad record")

    queue, counts = queue_of(exporter)
    queue.offer(broken)
    queue.offer(one_span)
    assert queue.flush(5)
    assert counts == {"failed": 1, "exported": 1}
    queue.shutdown()


def test_a_full_batch_leaves_without_waiting_for_the_schedule(exporter: Exporter) -> None:
    queue, _ = queue_of(exporter, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="2", OTEL_BSP_SCHEDULE_DELAY="3600000")
    queue.offer(one_span)
    queue.offer(one_span)
    assert exporter.busy.wait(5)
    queue.shutdown()
    assert len(exporter.spans) == 2


def test_settings_that_are_no_numbers_are_told_and_the_default_holds(
    exporter: Exporter, caplog: pytest.LogCaptureFixture
) -> None:
    queue, _ = queue_of(exporter, OTEL_BSP_MAX_QUEUE_SIZE="many")
    assert "OTEL_BSP_MAX_QUEUE_SIZE is not an integer; using 2048" in caplog.text
    queue.shutdown()


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({}, type(None)),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, GrpcSpanExporter),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1"}, GrpcSpanExporter),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, HttpSpanExporter),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}, GrpcSpanExporter),
        ({"OTEL_TRACES_EXPORTER": "console"}, ConsoleSpanExporter),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, type(None)),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}, type(None)),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, type(None)),
    ],
)
def test_the_exporter_is_the_one_that_the_environment_asks_for(environment: dict[str, str], kind: type) -> None:
    found = exporter_from(environment)
    assert type(found) is kind
    if found is not None:
        found.shutdown()


ON = {"OTEL_TRACES_EXPORTER": "otlp"}
LOW, HIGH = "0" * 32, "f" * 32


@pytest.mark.parametrize(
    ("environment", "parent", "low", "high"),
    [
        ({}, True, False, False),
        ({"OTEL_SDK_DISABLED": "true", **ON}, True, False, False),
        (ON, None, True, True),
        (ON, False, False, False),
        ({**ON, "OTEL_TRACES_SAMPLER": "always_on"}, False, True, True),
        ({**ON, "OTEL_TRACES_SAMPLER": "always_off"}, True, False, False),
        ({**ON, "OTEL_TRACES_SAMPLER": "parentbased_always_off"}, None, False, False),
        ({**ON, "OTEL_TRACES_SAMPLER": "parentbased_always_off"}, True, True, True),
        ({**ON, "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}, False, True, False),
        (
            {**ON, "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"},
            None,
            True,
            False,
        ),
        ({**ON, "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "all"}, None, True, True),
        ({**ON, "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "7"}, None, True, True),
    ],
)
def test_the_sampler_is_the_one_that_the_environment_asks_for(
    environment: dict[str, str], *, parent: bool | None, low: bool, high: bool
) -> None:
    sampler = sampler_from(environment)
    assert (sampler.sampled(LOW, parent=parent), sampler.sampled(HIGH, parent=parent)) == (low, high)
