"""docs/telemetry.md: spans, attributes and metrics from the table of names, and from what the code really makes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, cast

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from prometheus_client import CollectorRegistry
from turnout.learning.v1.learning_service_pb2 import LearnedDecision
from turnout.record.v1.record_pb2 import AttemptRecord, RequestRecord, Usage

from services.core.attempts.effects import Outcome
from services.http_bridge.observe import TracingObserver
from services.runtime import spans, telemetry
from services.runtime.metrics import LearningMetrics, Metrics
from services.runtime.names import ATTRIBUTE_MEANINGS, ATTRIBUTES, METRIC_MEANINGS, METRICS
from services.runtime.tallies import CounterTally, HistogramTally
from services.runtime.telemetry import SpanMaker, SpanQueue
from services.runtime.testing import FakeClock
from services.runtime.trace_context import Sampler, TraceContext
from tests.repo.pages.markdown import attribute_docs, block, code, head, prose, table

SOURCE = "runtime/names.py, runtime/metrics.py and runtime/spans.py"


def page() -> str:
    return "\n".join(
        [
            head("Telemetry", SOURCE),
            prose(INTRO),
            "## Spans\n",
            block("text", _tree()),
            prose(SPANS),
            prose(f"Nothing is exported until one of these is set: {_listed(_switches())}. Read as well: {_read()}."),
            "## Attributes\n",
            table(["attribute", "on", "meaning"], _attributes()),
            "## Metrics\n",
            prose(METRICS_AT),
            table(["metric", "type", "labels", "meaning"], _metrics()),
            prose(LABELS),
            table(["outcome", "meaning"], _outcomes()),
            "## Records\n",
            prose(RECORDS),
            "## Health\n",
            prose(HEALTH),
            "## Logs\n",
            prose(LOGS),
        ]
    )


INTRO = """
    Every request leaves one *record*: what was decided, tried and spent. The `metadata` of the answer, the lines of
    `turnout logs`, the spans and the metrics are all made from it, so they cannot contradict each other. None of them
    holds a prompt, an answer or a key.
"""

SPANS = """
    Spans are made when a request has ended ([ADR 0001](adr/0001-own-spans-and-records.md)) and leave through
    OpenTelemetry's own exporters, configured by OpenTelemetry's own environment variables. A caller's `traceparent` is
    continued. The GenAI attributes follow the OpenTelemetry GenAI conventions, which are still in development.
"""

METRICS_AT = """
    Prometheus reads them from `GET /metrics` of the bridge, and from a worker started with `--metrics-port`. The bridge
    counts the inference requests that it passes on, a worker everything else, and each the spans that it made. In the
    fused process the bridge's `/metrics` has it all, and so has the worker's `--metrics-port`. The control plane's
    `--metrics-port` serves figures of its process only.
"""

LABELS = """
    `status` is a class such as `2xx`. `result` of an attempt is `OK`, `CANCELLED` or a [failure kind](errors.md), that of a
    hedge `started`, `won` or `refused`; `kind` is that of `turnout.attempt.kind`. `router` is empty when the caller named
    a model. No label holds what a caller wrote, so their number is bounded by the policy.
    `outcome` is one of:
"""

RECORDS = """
    `turnout logs` follows the records of all workers; `--json` prints them whole, as
    `protos/turnout/record/v1/record.proto` describes them. A worker keeps the last 2,000. A failure that was
    [rehearsed](operations.md#rehearse-a-failure) says so in its message, and in the `warnings` of the record.
"""

HEALTH = """
    What a worker has set aside, why, and until when, is state and no record: `turnout health` asks all workers for it, and
    `turnout health --follow` tells every change (`protos/turnout/health/v1/health_service.proto`). Breakers are counted by
    the metrics above as well.
"""

LOGS = """
    Logs go to standard error, one line per event; `turnout up` writes them to `logs/` in its data folder.
    `TURNOUT_LOG_LEVEL` is debug, info (the default), warning or error; `TURNOUT_LOG_FORMAT=json` makes each line a JSON
    object. Requests are not logged; they leave records.
"""


def _tree() -> str:
    """The drawing in the docstring of `runtime/spans.py`."""
    lines = [line for line in (spans.__doc__ or "").splitlines() if line.startswith("    ")]
    return "\n".join(line[4:] for line in lines)


def _switches() -> list[str]:
    return ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER"]


def _read() -> str:
    """The other variables that the docstring of `runtime/telemetry.py` names."""
    found = re.findall(r"OTEL_[A-Z_\[\]]+", telemetry.__doc__ or "")
    spelled = {name.replace("[TRACES_]", part) for name in found for part in ("", "TRACES_")}
    return _listed(sorted(spelled - set(_switches())))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(code(name) for name in names)


def _attributes() -> list[list[str]]:
    on = spans_by_attribute()
    return [[code(name), ", ".join(on.get(name, ())), ATTRIBUTE_MEANINGS[name]] for name in ATTRIBUTES]  # type: ignore[index]


def spans_by_attribute() -> dict[str, list[str]]:
    """The spans that carry each attribute, learned from a request that has everything."""
    record = _full_record()
    resource = Resource({})
    typed = TraceContext("1" * 32, "2" * 16, "", sampled=True)
    rpc, chat, *attempts = spans.spans_of(record, resource, server=typed)
    named = [("HTTP", _bridge_span(resource)), ("gRPC", rpc), ("chat", chat), ("attempt", attempts[0])]
    found: dict[str, list[str]] = {}
    for where, span in named:
        for name in span.attributes or {}:
            found.setdefault(name, []).append(where)
    return found


def _full_record() -> RequestRecord:
    """A record with every field set, so that no attribute is left out."""
    usage = Usage(input_tokens=5, output_tokens=4, cache_read_tokens=3, cache_write_tokens=2, reasoning_tokens=1)
    usage.cost_usd, usage.service_tier = 0.1, "flex"
    attempt = AttemptRecord(number=1, provider="p", model="p/m", span_id="3" * 16, usage=usage, status=429)
    record = RequestRecord(trace_id="1" * 32, span_id="4" * 16, parent_span_id="2" * 16, usage=usage)
    record.attempts.append(attempt)
    record.learned.CopyFrom(LearnedDecision(kind=[1], models=["p/m"], propensities=[1.0], chosen="p/m"))
    record.caller_trace.update(dict.fromkeys([*spans.CALLERS, "other"], "x"))
    for message in (record, record.attempts[0]):
        for field in message.DESCRIPTOR.fields:
            if field.message_type is None and not field.is_repeated and not getattr(message, field.name):
                setattr(message, field.name, "x" if field.cpp_type == field.CPPTYPE_STRING else 1)
    return record


def _bridge_span(resource: Resource) -> ReadableSpan:
    """The span that the bridge makes of an HTTP request."""
    offered: list[SpanMaker] = []

    class Queue:
        offer = staticmethod(offered.append)

    metrics = Metrics(CollectorRegistry())
    observer = TracingObserver(FakeClock(), Sampler(1.0), metrics, cast("SpanQueue", Queue()))
    observer.end(observer.begin("", ""), "/v1/chat/completions", 500, 0.0)
    return offered[0](resource)[0]


def _metrics() -> list[list[str]]:
    found = collectors()
    rows = []
    for name in METRICS:
        collector = found[name]
        (kind,) = {metric.type for metric in collector.describe()}
        names = collector.labels if isinstance(collector, CounterTally | HistogramTally) else collector._labelnames
        labels = ", ".join(map(code, names))
        rows.append([code(name), kind, labels, METRIC_MEANINGS[name]])  # type: ignore[index]
    return rows


def collectors() -> dict[str, Any]:
    """The metrics that the code registers, by the name under which Prometheus sees them."""
    registry = CollectorRegistry()
    Metrics(registry)
    LearningMetrics(registry)
    return {name: found for name, found in registry._names_to_collectors.items() if name in METRICS}


def _outcomes() -> list[list[str]]:
    docs = attribute_docs(Outcome)
    told = {
        "ok": "Served.",
        "cancelled": "The caller went away.",
        "refused": "No attempt was made: no such key or model, no route, or a request that cannot be read.",
    }
    return [[code(word), docs.get(word.upper()) or told[word]] for word in (*(o.value for o in Outcome), "refused")]
