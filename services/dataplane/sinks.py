"""Where finished trails go: metrics at once, spans through the export queue."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from services.dataplane.record_form import record_of
from services.dataplane.records import RecordSink
from services.dataplane.trail import AttemptTrail, Trail
from services.runtime.metrics import Metrics
from services.runtime.spans import spans_of
from services.runtime.telemetry import SpanQueue
from services.runtime.trace_context import TraceContext, span_id_of


def metrics_sink(metrics: Metrics) -> RecordSink:
    """Counts every trail. No label is chosen by a caller, so their number is bounded by the policy."""

    def count(trail: Trail) -> None:
        if trail.shadow_of:
            _count_shadow(metrics, trail)
            return
        router = trail.plan.router_id if trail.plan is not None else ""
        labels = (trail.api, router, trail.outcome, trail.status)
        metrics.request(labels, stream=trail.stream, seconds=trail.ended - trail.started)
        if trail.content_at:
            metrics.first_token(trail.api, trail.content_at - trail.started)
        if trail.audio_at:
            metrics.first_audio(trail.api, trail.audio_at - trail.started)
        if trail.invalid_json is not None:
            metrics.json_answer(router, trail.provider, invalid=trail.invalid_json)
        for attempt in trail.attempts:
            provider = attempt.candidate.target.provider.name
            metrics.attempt(provider, _result(attempt), max(0.0, attempt.ended - attempt.started))
            if attempt.usage is not None:
                tokens = (attempt.usage.input_tokens, attempt.usage.output_tokens)
                metrics.usage(provider, tokens, attempt.cost_usd)

    return count


def _count_shadow(metrics: Metrics, trail: Trail) -> None:
    """A shadow is no caller's request: it has counters of its own."""
    router = trail.plan.router_id if trail.plan is not None else ""
    metrics.shadow(router, trail.outcome)
    metrics.shadow_cost(router, trail.cost_usd)


def _result(attempt: AttemptTrail) -> str:
    if attempt.failure is not None:
        return attempt.failure.kind.value
    return "OK" if attempt.success else "CANCELLED"


def spans_sink(queue: SpanQueue, node_id: str) -> RecordSink:
    """Queues the spans of sampled trails; they are built in the export thread."""

    def offer(trail: Trail) -> None:
        if trail.trace.sampled:
            queue.offer(lambda resource: _spans(trail, node_id, resource))

    return offer


def _spans(trail: Trail, node_id: str, resource: Resource) -> Sequence[ReadableSpan]:
    record, tracestate = record_of(trail, node_id), trail.trace.tracestate
    if not trail.inbound_span:
        return spans_of(record, resource, tracestate=tracestate)
    # A typed gRPC call: its SERVER span goes between the caller's span and ours.
    server_id = span_id_of(int(trail.trace.span_id, 16) ^ 1)
    server = TraceContext(trail.trace.trace_id, server_id, trail.trace.parent_span_id, True, tracestate)
    record.parent_span_id = server_id
    return spans_of(record, resource, server=server, tracestate=tracestate)
