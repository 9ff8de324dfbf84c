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
    "turnout_outcomes_lost_total",
]

METRIC_MEANINGS: dict[Metric, str] = {
    "turnout_requests_total": "Requests by api, router, outcome and status class.",
    "turnout_request_duration_seconds": "From arrival to the last byte, by api and stream.",
    "turnout_time_to_first_token_seconds": "From arrival to the first content, by api.",
    "turnout_attempts_total": "Attempts by provider and failure kind (OK for success; CANCELLED when the caller left, "
    "or another attempt was quicker).",
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
    "turnout_outcomes_lost_total": "Outcomes of experiments that the control plane did not take in time.",
}

ATTRIBUTE_MEANINGS: dict[Attribute, str] = {
    "gen_ai.operation.name": "`chat`, or the name of an API that is not chat, such as `embeddings` or `audio.speech`.",
    "gen_ai.provider.name": "Provider that the attempt was sent to, by its name in the policy.",
    "gen_ai.request.model": "On `chat`: the model as the caller wrote it. On an attempt: the provider's name for it.",
    "gen_ai.request.stream": "Whether the caller asked for a stream.",
    "gen_ai.response.model": "Model that answered, provider/model; absent: none did.",
    "gen_ai.response.id": "Id that the provider gave its answer.",
    "gen_ai.response.finish_reasons": "Why the model stopped, in OpenAI's words; a list of one.",
    "gen_ai.response.time_to_first_chunk": "Seconds to the first content, from the span's start.",
    "gen_ai.usage.input_tokens": "Input tokens, cached ones included.",
    "gen_ai.usage.output_tokens": "Output tokens, reasoning included.",
    "gen_ai.usage.cache_read.input_tokens": "Input tokens read from the provider's prompt cache.",
    "gen_ai.usage.cache_creation.input_tokens": "Input tokens written to the provider's prompt cache.",
    "gen_ai.usage.reasoning.output_tokens": "Output tokens spent on reasoning.",
    "server.address": "Host and port of the provider.",
    "http.request.method": "Method of the HTTP request.",
    "http.route": "Path that was called.",
    "http.response.status_code": "On the bridge's span: what the caller saw. On an attempt: what the provider answered.",
    "url.path": "Path that was called.",
    "rpc.system": "Always `grpc`.",
    "rpc.service": "gRPC service that was called.",
    "rpc.method": "gRPC method that was called.",
    "error.type": "On HTTP: the status, from 500 on. On `chat`: the reason of our error. On an attempt: the failure "
    "kind. See errors.md.",
    "turnout.generation_id": "Id of the request; callers see it as `metadata.generation_id`.",
    "turnout.api": "API that the caller used, such as `chat.completions`, `messages`, `typed` or `embeddings`.",
    "turnout.router": "Router that decided; absent: the caller named a model.",
    "turnout.route": "Route that was chosen.",
    "turnout.variant": "Variant that was assigned.",
    "turnout.policy.version": "Content version of the policy that decided.",
    "turnout.policy.revision": "Store revision of the policy that decided.",
    "turnout.seed": "Seed of the decision's draws, as text; the same inputs and seed give the same plan.",
    "turnout.outcome": "How the request ended: ok, failed, broken, cancelled or refused.",
    "turnout.attempts": "Number of attempts.",
    "turnout.cost_usd": "Cost in US dollars; absent: a price is not known.",
    "turnout.attempt.number": "Number of the attempt, from 1.",
    "turnout.attempt.kind": "Why it was made: first, failover, retry, hedge, continue, resume or restart.",
    "turnout.attempt.endpoint": "Name of the provider's endpoint that was called; absent: the provider has one.",
    "turnout.attempt.credential": "Reference of the credential used, such as env:OPENAI_API_KEY; never the secret.",
    "turnout.attempt.phase": "Where the attempt ended: connecting, waiting, streaming or committed.",
    "turnout.attempt.verdict": "What followed from its failure: next, retry, wait, stop or race (another one was still "
    "running); lost: it was cancelled, since another one was quicker or the caller went away.",
    "turnout.attempt.clock": "Clock that tripped.",
    "turnout.attempt.provider_code": "Error code of the provider.",
    "turnout.attempt.retry_after": "Seconds that the provider asked to wait.",
}

ATTRIBUTES: tuple[str, ...] = get_args(Attribute)
METRICS: tuple[str, ...] = get_args(Metric)
