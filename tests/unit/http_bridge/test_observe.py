"""What the bridge tells of itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry

from services.http_bridge.observe import TracingObserver
from services.runtime.metrics import Metrics
from services.runtime.telemetry import SpanQueue
from services.runtime.testing import FakeClock
from services.runtime.trace_context import Sampler

PARENT = f"00-{'ab' * 16}-{'cd' * 8}-01"


class Exporter(SpanExporter):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans.extend(spans)
        return SpanExportResult.SUCCESS


def count(metrics: Metrics, **labels: str) -> Any:
    return metrics.registry.get_sample_value("turnout_http_requests_total", labels)


def test_a_sampled_request_is_one_server_span_from_arrival_to_end() -> None:
    exporter, clock, metrics = Exporter(), FakeClock(wall=1_000.0), Metrics(CollectorRegistry())
    queue = SpanQueue(exporter, "bridge", environment={})
    observer = TracingObserver(clock, Sampler(1.0), metrics, queue)
    context = observer.begin(PARENT, "vendor=1")
    clock.advance(2.0)
    observer.end(context, "/v1/messages", 200, 1_000.0)
    queue.shutdown()
    (span,) = exporter.spans
    assert span.name == "POST /v1/messages"
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == "ab" * 16
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "cd" * 8
    assert (span.start_time, span.end_time) == (1_000 * 10**9, 1_002 * 10**9)
    assert dict(span.attributes or {})["http.response.status_code"] == 200
    assert count(metrics, route="/v1/messages", status="2xx") == 1


def test_a_request_that_is_not_sampled_is_counted_only() -> None:
    exporter, metrics = Exporter(), Metrics(CollectorRegistry())
    queue = SpanQueue(exporter, "bridge", environment={})
    observer = TracingObserver(FakeClock(), Sampler(1.0), metrics, queue)
    observer.end(observer.begin(PARENT[:-1] + "0", ""), "/v1/messages", 503, 0.0)
    queue.shutdown()
    assert exporter.spans == []
    assert count(metrics, route="/v1/messages", status="5xx") == 1


def test_without_an_exporter_the_callers_context_is_passed_on() -> None:
    observer = TracingObserver(FakeClock(), Sampler(1.0), Metrics(CollectorRegistry()), None)
    assert observer.begin(PARENT, "vendor=1").traceparent == PARENT
    assert observer.begin("nonsense", "").traceparent == ""
