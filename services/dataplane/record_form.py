"""Trails as records: the wire form of a request's evidence, built off the hot path."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp
from turnout.record.v1.record_pb2 import AttemptRecord, DecisionFacts, RequestRecord, Usage

from services.core.policy.snapshot import CompiledProvider
from services.core.routing.plan import Plan
from services.dataplane.kept_facts import KeptFacts
from services.dataplane.trail import AttemptTrail, Trail, reasoning_of
from services.wire.learning import decision_message
from services.wire.records import unit_hash


def record_of(trail: Trail, node_id: str) -> RequestRecord:
    """The record of a finished request."""
    plan = trail.plan
    record = RequestRecord(
        generation_id=trail.generation_id,
        trace_id=trail.trace.trace_id,
        span_id=trail.trace.span_id,
        parent_span_id=trail.trace.parent_span_id,
        sampled=trail.trace.sampled,
        api=trail.api,
        stream=trail.stream,
        requested_model=trail.requested_model,
        model=trail.model,
        policy_version=trail.policy_version,
        policy_revision=trail.policy_revision,
        seed=trail.seed,
        user_hash=trail.user_hash,
        slot=-1,
        api_key_name=trail.api_key_name,
        started_at=_timestamp(trail.started_wall),
        duration_ms=(trail.ended - trail.started) * 1000.0,
        attempts=[_attempt_record(a, trail.started) for a in trail.attempts],
        outcome=trail.outcome,
        status=trail.status,
        error_reason=trail.error_reason,
        reasoning=reasoning_of(trail),
        warnings=trail.warnings,
        node_id=node_id,
        finish_reason=trail.finish_reason,
        response_id=trail.response_id,
        native_finish_reason=trail.native_finish_reason,
        app_title=trail.app_title,
        referer=trail.referer,
        user_agent=trail.user_agent,
        shadow_of=trail.shadow_of,
        parent_generation_id=trail.parent_generation_id,
        caller_trace=trail.caller_trace,
    )
    if plan is not None:
        _fill_plan(record, plan)
    _fill_times(record, trail)
    if trail.facts is not None:
        _fill_facts(record.facts, trail.facts, plan)
    _fill_usage(record.usage, trail)
    return record


def _fill_plan(record: RequestRecord, plan: Plan) -> None:
    record.router_id, record.route_id, record.variant_id = plan.router_id, plan.route_id, plan.variant_id
    record.unit_hash = unit_hash(plan.unit) if plan.unit else ""
    record.slot, record.exposed = plan.slot, plan.exposed
    for read in plan.measured:
        record.measurements.add(model=read.model, metric=read.metric, percentile=read.p, value=read.value)
    if plan.learned is not None:
        record.learned.CopyFrom(decision_message(plan.learned))


def _fill_times(record: RequestRecord, trail: Trail) -> None:
    if trail.content_at:
        record.time_to_first_token_ms = (trail.content_at - trail.started) * 1000.0
    if trail.audio_at:
        record.time_to_first_audio_ms = (trail.audio_at - trail.started) * 1000.0
    if trail.invalid_json is not None:
        record.invalid_json = trail.invalid_json


def _fill_facts(record: DecisionFacts, facts: KeptFacts, plan: Plan | None) -> None:
    record.SetInParent()
    record.models.extend(facts.models)
    record.needs.extend(sorted(facts.needs))
    record.least_tokens, record.has_preferences = facts.least_tokens, facts.has_preferences
    record.known_keys.extend(facts.known)
    if facts.metadata:
        record.metadata.update(facts.metadata)
    if plan is not None:
        record.first_model = plan.candidates[0].target.model


def _attempt_record(attempt: AttemptTrail, began: float) -> AttemptRecord:
    failure = attempt.failure
    target = attempt.candidate.target
    record = AttemptRecord(
        number=attempt.number,
        model=target.model,
        provider=target.provider.name,
        credential=attempt.credential,
        success=attempt.success,
        phase=attempt.phase,
        status=attempt.status,
        verdict=attempt.verdict,
        start_ms=(attempt.started - began) * 1000.0,
        duration_ms=((attempt.ended or attempt.started) - attempt.started) * 1000.0,
        span_id=attempt.span_id,
        kind=attempt.kind,
        endpoint=attempt.address,
        server_address=_host(target.provider, attempt.address),
    )
    if failure is not None:
        record.failure = failure.kind.value
        record.clock = failure.clock.value if failure.clock else ""
        record.provider_code = failure.code
        record.error_message = failure.message
        if failure.retry_after is not None:
            record.retry_after_seconds = failure.retry_after
    if attempt.headers_at:
        record.headers_ms = (attempt.headers_at - attempt.started) * 1000.0
    if attempt.content_at:
        record.time_to_first_token_ms = (attempt.content_at - attempt.started) * 1000.0
    _fill_usage(record.usage, attempt)
    return record


def _host(provider: CompiledProvider, address: str) -> str:
    """Host and port of one of a provider's addresses."""
    url = next((a.base_url for a in provider.addresses if a.name == address), provider.base_url)
    return url.split("://", 1)[-1].split("/", 1)[0]


_COUNTED = tuple(
    name
    for name in Usage.DESCRIPTOR.fields_by_name
    if name not in {"cost_usd", "cost_is_providers", "cost_is_estimated"}
)
"""Fields that the record has from the answer's usage, under the same name."""


def _fill_usage(record: Usage, trail: Trail | AttemptTrail) -> None:
    if trail.usage is None:
        return
    for name in _COUNTED:
        setattr(record, name, getattr(trail.usage, name))
    if trail.cost_usd is not None:
        record.cost_usd, record.cost_is_providers = trail.cost_usd, trail.cost_is_providers
        record.cost_is_estimated = trail.cost_is_estimated


def _timestamp(seconds: float) -> Timestamp:
    whole = int(seconds)
    return Timestamp(seconds=whole, nanos=int((seconds - whole) * 1e9))
