"""Names of spans, attributes and metrics: the one table behind code and docs/telemetry.md.

GenAI names follow the OpenTelemetry GenAI semantic conventions, which are still
in development; this table is the place to change when they move.
"""

from __future__ import annotations

from typing import Literal, get_args

Attribute = Literal[
    # what was asked and answered (OpenTelemetry GenAI conventions)
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.request.stream",
    "gen_ai.response.model",
    "gen_ai.response.id",
    "gen_ai.response.finish_reasons",
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.reasoning.output_tokens",
    # the exchange (OpenTelemetry HTTP and RPC conventions)
    "server.address",
    "http.request.method",
    "http.route",
    "http.response.status_code",
    "url.path",
    "rpc.system",
    "rpc.service",
    "rpc.method",
    "error.type",
    # what Turnout decided
    "turnout.generation_id",
    "turnout.api",
    "turnout.router",
    "turnout.route",
    "turnout.variant",
    "turnout.policy.version",
    "turnout.policy.revision",
    "turnout.seed",
    "turnout.outcome",
    "turnout.attempts",
    "turnout.cost_usd",
    "turnout.attempt.number",
    "turnout.attempt.kind",
    "turnout.attempt.endpoint",
    "turnout.attempt.credential",
    "turnout.attempt.phase",
    "turnout.attempt.verdict",
    "turnout.attempt.clock",
    "turnout.attempt.provider_code",
    "turnout.attempt.retry_after",
]

Metric = Literal[
    "turnout_requests_total",
    "turnout_request_duration_seconds",
    "turnout_time_to_first_token_seconds",
    "turnout_attempts_total",
    "turnout_attempt_duration_seconds",
    "turnout_tokens_total",
    "turnout_cost_usd_total",
    "turnout_hedges_total",
    "turnout_mended_total",
    "turnout_budget_refusals_total",
    "turnout_breakers_open",
    "turnout_breaker_openings_total",
    "turnout_requests_in_flight",
    "turnout_http_requests_total",
    "turnout_spans_total",
    "turnout_policy_revision",
    "turnout_policy_nacks_total",
]

METRIC_MEANINGS: dict[Metric, str] = {
    "turnout_requests_total": "Requests by api, router, outcome and status class.",
    "turnout_request_duration_seconds": "From arrival to the last byte, by api and stream.",
    "turnout_time_to_first_token_seconds": "From arrival to the first content, by api.",
    "turnout_attempts_total": "Attempts by provider and failure kind (OK for success).",
    "turnout_attempt_duration_seconds": "Duration of attempts by provider.",
    "turnout_tokens_total": "Tokens by provider and class (input, output).",
    "turnout_cost_usd_total": "Cost in US dollars by provider.",
    "turnout_hedges_total": "Hedges by what became of them: started, won (its answer was shown), refused (no budget).",
    "turnout_mended_total": "Answers that broke and were mended, by how: continue, resume or restart.",
    "turnout_budget_refusals_total": "Extra attempts that a budget did not allow, by kind of attempt.",
    "turnout_breakers_open": "Breakers of targets and credentials that are open or half-open, by provider.",
    "turnout_breaker_openings_total": "Times that a breaker opened, or opened again after a failed probe, by provider.",
    "turnout_requests_in_flight": "Requests that this worker is serving.",
    "turnout_http_requests_total": "HTTP requests of the bridge by route and status class.",
    "turnout_spans_total": "Spans by what became of them: exported, dropped (queue full), failed.",
    "turnout_policy_revision": "Store revision of the policy in force.",
    "turnout_policy_nacks_total": "Policy pushes that this worker refused.",
}

ATTRIBUTES: tuple[str, ...] = get_args(Attribute)
METRICS: tuple[str, ...] = get_args(Metric)
