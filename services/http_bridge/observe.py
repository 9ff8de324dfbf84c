"""What the bridge tells of itself: a SERVER span per inference request, and counters.

The span's identity is made before the worker is called, so that the worker's
spans hang below it; the span itself is built after the answer, off the hot path.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from services.runtime.clock import Clock
from services.runtime.metrics import Metrics
from services.runtime.spans import server_span
from services.runtime.telemetry import SpanQueue
from services.runtime.trace_context import Sampler, TraceContext, begin_span, passed_on


class Observer(Protocol):
    """Watches requests."""

    def begin(self, traceparent: str, tracestate: str) -> TraceContext:
        """A request begins; the context is the span that the worker's spans hang below."""

    def end(self, context: TraceContext, route: str, status: int, began: float) -> None:
        """A request ended; `began` in seconds since the Unix epoch."""


@dataclass(frozen=True, slots=True)
class TracingObserver:
    """Counts requests and exports their spans."""

    clock: Clock
    sampler: Sampler
    metrics: Metrics
    queue: SpanQueue | None

    def begin(self, traceparent: str, tracestate: str) -> TraceContext:
        if self.queue is None:
            return passed_on(traceparent, tracestate)
        return begin_span(traceparent, tracestate, self.clock.seed, self.sampler)

    def end(self, context: TraceContext, route: str, status: int, began: float) -> None:
        self.metrics.http(route, status)
        if self.queue is None or not context.sampled:
            return
        interval = (int(began * 1e9), int(self.clock.wall() * 1e9))

        def spans(resource: Resource) -> list[ReadableSpan]:
            attributes = {
                "http.request.method": "POST",
                "http.route": route,
                "url.path": route,
                "http.response.status_code": status,
            }
            return [server_span(context, interval, f"POST {route}", attributes, resource)]  # type: ignore[arg-type]

        self.queue.offer(spans)
