"""Metrics: every name of the table exists, counts what it says, and no label comes from a caller."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from services.runtime.metrics import LearningMetrics, Metrics
from services.runtime.names import METRIC_MEANINGS, METRICS


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_every_metric_of_the_table_is_registered_with_its_meaning() -> None:
    registry = Metrics(CollectorRegistry()).registry
    LearningMetrics(registry)
    text = generate_latest(registry).decode()
    for name in METRICS:
        shown = name.removesuffix("_total") if f"# TYPE {name} gauge" not in text else name
        assert f"# HELP {name} {METRIC_MEANINGS[name]}" in text or f"# HELP {shown} {METRIC_MEANINGS[name]}" in text  # type: ignore[index]


def test_a_request_is_counted_by_status_class_and_timed() -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.request(("chat.completions", "r", "ok", 200), stream=True, seconds=0.3)
    metrics.request(("chat.completions", "r", "ok", 204), stream=True, seconds=0.5)
    metrics.request(("chat.completions", "r", "failed", 502), stream=False, seconds=1.0)
    labels = {"api": "chat.completions", "router": "r"}
    assert value(metrics, "turnout_requests_total", **labels, outcome="ok", status="2xx") == 2
    assert value(metrics, "turnout_requests_total", **labels, outcome="failed", status="5xx") == 1
    assert value(metrics, "turnout_request_duration_seconds_sum", api="chat.completions", stream="true") == 0.8
    assert value(metrics, "turnout_request_duration_seconds_count", api="chat.completions", stream="false") == 1


def test_attempts_tokens_and_cost_are_counted_by_provider() -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.attempt("openai", "RATE_LIMITED", 0.1)
    metrics.attempt("openai", "OK", 0.2)
    metrics.usage("openai", (100, 20), 0.25)
    metrics.usage("openai", (1, 2), None)
    metrics.first_token("messages", 0.05)
    metrics.first_audio("chat.completions", 0.4)
    assert value(metrics, "turnout_attempts_total", provider="openai", result="RATE_LIMITED") == 1
    assert value(metrics, "turnout_attempt_duration_seconds_count", provider="openai") == 2
    assert value(metrics, "turnout_tokens_total", **{"provider": "openai", "class": "input"}) == 101
    assert value(metrics, "turnout_tokens_total", **{"provider": "openai", "class": "output"}) == 22
    assert value(metrics, "turnout_cost_usd_total", provider="openai") == 0.25
    assert value(metrics, "turnout_time_to_first_token_seconds_count", api="messages") == 1
    assert value(metrics, "turnout_time_to_first_audio_seconds_sum", api="chat.completions") == 0.4


def test_http_requests_and_spans_are_counted() -> None:
    metrics = Metrics(CollectorRegistry())
    metrics.http("/v1/messages", 429)
    metrics.spans("dropped", 3)
    metrics.policy_revision.set(7)
    assert value(metrics, "turnout_http_requests_total", route="/v1/messages", status="4xx") == 1
    assert value(metrics, "turnout_spans_total", result="dropped") == 3
    assert value(metrics, "turnout_policy_revision") == 7


def test_two_processes_in_one_may_have_metrics_of_their_own() -> None:
    one, other = Metrics(CollectorRegistry()), Metrics(CollectorRegistry())
    one.http("/v1/models", 200)
    assert value(other, "turnout_http_requests_total", route="/v1/models", status="2xx") is None
