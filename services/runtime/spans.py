"""Spans from records: a request's evidence as OpenTelemetry spans.

    SERVER   POST /v1/chat/completions      the bridge's, or the worker's for typed gRPC
     └ INTERNAL  chat <requested model>     the decision and its outcome
        ├ CLIENT  chat <upstream model>     one per attempt, failed ones too
        ├ CLIENT  chat <upstream model>
        └ INTERNAL  audio.speech <model>    one per segment of an answer that is spoken, from a record of its own
           └ CLIENT  audio.speech <upstream model>

No span holds a prompt, an answer or a key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode
from turnout.learning.v1.learning_service_pb2 import LearnedDecision
from turnout.record.v1.record_pb2 import AttemptRecord, RequestRecord, Usage

from services.runtime.names import Attribute
from services.runtime.trace_context import TraceContext
from services.runtime.version import VERSION

Attributes = Mapping[Attribute, Any]

_SCOPE = InstrumentationScope("turnout", VERSION)
_MS = 1_000_000


def spans_of(
    record: RequestRecord, resource: Resource, *, server: TraceContext | None = None, tracestate: str = ""
) -> Sequence[ReadableSpan]:
    """The `chat` span of `record` and one CLIENT span per attempt.

    Args:
        server: Set when no bridge made a SERVER span: then one for the gRPC call comes first.
        tracestate: What the caller's vendors handed along.
    """
    start = record.started_at.ToNanoseconds()
    end = start + int(record.duration_ms * _MS)
    place = TraceContext(record.trace_id, record.span_id, record.parent_span_id, sampled=True, tracestate=tracestate)
    chat = _span(
        name=f"{operation_of(record.api)} {record.requested_model}".strip(),
        place=place,
        remote=server is None,
        kind=SpanKind.INTERNAL,
        interval=(start, end),
        attributes=_chat_attributes(record),
        status=_status(record),
        resource=resource,
    )
    attempts = [_attempt_span(record, attempt, place, resource) for attempt in record.attempts]
    if server is None:
        return [chat, *attempts]
    method = "StreamChatCompletion" if record.stream else "CreateChatCompletion"
    root = _span(
        name=f"turnout.inference.v1.InferenceService/{method}",
        place=server,
        remote=True,
        kind=SpanKind.SERVER,
        interval=(start, end),
        attributes={
            "rpc.system": "grpc",
            "rpc.service": "turnout.inference.v1.InferenceService",
            "rpc.method": method,
        },
        status=_status(record),
        resource=resource,
    )
    return [root, chat, *attempts]


def server_span(
    context: TraceContext, interval: tuple[int, int], name: str, attributes: Attributes, resource: Resource
) -> ReadableSpan:
    """The bridge's SERVER span; `interval` in nanoseconds since the Unix epoch."""
    status = int(attributes.get("http.response.status_code", 0))
    failed = status >= 500
    return _span(
        name=name,
        place=context,
        remote=True,
        kind=SpanKind.SERVER,
        interval=interval,
        attributes={**attributes, "error.type": str(status)} if failed else attributes,
        status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
        resource=resource,
    )


_OPERATIONS = frozenset(
    {
        "embeddings",
        "moderations",
        "images",
        "image.edits",
        "audio.speech",
        "inworld.speech",
        "audio.transcriptions",
        "audio.translations",
        "messages.count_tokens",
        "countTokens",
        "responses.stored",
    }
)


def operation_of(api: str) -> str:
    """The GenAI operation of an API: those that are not chat go by their own name."""
    return api if api in _OPERATIONS else "chat"


def _put_learned(attributes: dict[Attribute, Any], learned: LearnedDecision) -> None:
    attributes["turnout.learned.table"] = learned.table
    attributes["turnout.learned.kind"] = learned.kind[0]
    attributes["turnout.learned.propensity"] = learned.propensities[list(learned.models).index(learned.chosen)]


def _chat_attributes(record: RequestRecord) -> Attributes:
    attributes: dict[Attribute, Any] = {
        "gen_ai.operation.name": operation_of(record.api),
        "gen_ai.request.model": record.requested_model,
        "gen_ai.request.stream": record.stream,
        "turnout.generation_id": record.generation_id,
        "turnout.api": record.api,
        "turnout.policy.version": record.policy_version,
        "turnout.policy.revision": record.policy_revision,
        # A span attribute is a signed 64-bit number; the seed is unsigned, so it travels as text.
        "turnout.seed": str(record.seed),
        "turnout.outcome": record.outcome,
        "turnout.attempts": len(record.attempts),
    }
    _put(attributes, "gen_ai.response.model", record.model)
    _put(attributes, "gen_ai.response.id", record.response_id)
    _put(attributes, "turnout.router", record.router_id)
    _put(attributes, "turnout.route", record.route_id)
    _put(attributes, "turnout.variant", record.variant_id)
    if record.HasField("learned"):
        _put_learned(attributes, record.learned)
    _put(attributes, "error.type", record.error_reason)
    if record.finish_reason:
        attributes["gen_ai.response.finish_reasons"] = (record.finish_reason,)
    if record.HasField("time_to_first_token_ms"):
        attributes["gen_ai.response.time_to_first_chunk"] = record.time_to_first_token_ms / 1000.0
    if record.HasField("time_to_first_audio_ms"):
        attributes["turnout.time_to_first_audio"] = record.time_to_first_audio_ms / 1000.0
    _put(attributes, "turnout.parent_generation_id", record.parent_generation_id)
    _put_caller_trace(attributes, record.caller_trace)
    _put_usage(attributes, record.usage)
    return attributes


def _attempt_span(
    record: RequestRecord, attempt: AttemptRecord, chat: TraceContext, resource: Resource
) -> ReadableSpan:
    start = record.started_at.ToNanoseconds() + int(attempt.start_ms * _MS)
    upstream = attempt.model.partition("/")[2] or attempt.model
    attributes: dict[Attribute, Any] = {
        "gen_ai.operation.name": operation_of(record.api),
        "gen_ai.provider.name": attempt.provider,
        "gen_ai.request.model": upstream,
        "gen_ai.request.stream": record.stream,
        "server.address": attempt.server_address,
        "turnout.attempt.number": attempt.number,
        "turnout.attempt.kind": attempt.kind,
        "turnout.attempt.phase": attempt.phase,
    }
    _put(attributes, "error.type", attempt.failure)
    _put(attributes, "turnout.attempt.credential", attempt.credential)
    _put(attributes, "turnout.attempt.endpoint", attempt.endpoint)
    _put(attributes, "turnout.attempt.verdict", attempt.verdict)
    _put(attributes, "turnout.attempt.clock", attempt.clock)
    _put(attributes, "turnout.attempt.provider_code", attempt.provider_code)
    if attempt.status:
        attributes["http.response.status_code"] = attempt.status
    if attempt.HasField("retry_after_seconds"):
        attributes["turnout.attempt.retry_after"] = attempt.retry_after_seconds
    if attempt.HasField("time_to_first_token_ms"):
        attributes["gen_ai.response.time_to_first_chunk"] = attempt.time_to_first_token_ms / 1000.0
    _put_usage(attributes, attempt.usage)
    status = Status(StatusCode.ERROR, attempt.error_message) if attempt.failure else Status(StatusCode.UNSET)
    return _span(
        name=f"{operation_of(record.api)} {upstream}",
        place=TraceContext(chat.trace_id, attempt.span_id, chat.span_id, sampled=True, tracestate=chat.tracestate),
        remote=False,
        kind=SpanKind.CLIENT,
        interval=(start, start + int(attempt.duration_ms * _MS)),
        attributes=attributes,
        status=status,
        resource=resource,
    )


def _put(attributes: dict[Attribute, Any], name: Attribute, value: str) -> None:
    if value:
        attributes[name] = value


CALLERS: Mapping[str, Attribute] = {
    "session_id": "gen_ai.conversation.id",
    "trace_id": "turnout.caller.trace_id",
    "trace_name": "turnout.caller.trace_name",
    "span_name": "turnout.caller.span_name",
    "generation_name": "turnout.caller.generation_name",
    "parent_span_id": "turnout.caller.parent_span_id",
}
"""Names in the caller's `trace` that have an attribute of their own."""


def _put_caller_trace(attributes: dict[Attribute, Any], told: Mapping[str, str]) -> None:
    """The caller's own names for the request; those that have no attribute are together in one, as JSON."""
    if not told:
        return
    rest = {name: text for name, text in sorted(told.items()) if name not in CALLERS}
    attributes.update({CALLERS[name]: text for name, text in told.items() if name in CALLERS})
    if rest:
        attributes["turnout.caller.trace"] = msgspec.json.encode(rest).decode()


def _put_usage(attributes: dict[Attribute, Any], usage: Usage) -> None:
    if not usage.input_tokens and not usage.output_tokens:
        return
    attributes["gen_ai.usage.input_tokens"] = usage.input_tokens
    attributes["gen_ai.usage.output_tokens"] = usage.output_tokens
    if usage.cache_read_tokens:
        attributes["gen_ai.usage.cache_read.input_tokens"] = usage.cache_read_tokens
    if usage.cache_write_tokens:
        attributes["gen_ai.usage.cache_creation.input_tokens"] = usage.cache_write_tokens
    if usage.reasoning_tokens:
        attributes["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning_tokens
    if usage.service_tier:
        attributes["turnout.service_tier"] = usage.service_tier
    if usage.HasField("cost_usd"):
        attributes["turnout.cost_usd"] = usage.cost_usd


def _status(record: RequestRecord) -> Status:
    if record.outcome in {"failed", "broken"}:
        return Status(StatusCode.ERROR, record.error_reason)
    return Status(StatusCode.UNSET)


def _span(
    *,
    name: str,
    place: TraceContext,
    remote: bool,
    kind: SpanKind,
    interval: tuple[int, int],
    attributes: Attributes,
    status: Status,
    resource: Resource,
) -> ReadableSpan:
    """One span. `remote`: its parent was made by another process."""
    state = TraceState.from_header([place.tracestate]) if place.tracestate else None
    return ReadableSpan(
        name=name,
        context=_context(place.trace_id, place.span_id, state, remote=False),
        parent=_context(place.trace_id, place.parent_span_id, state, remote=remote) if place.parent_span_id else None,
        resource=resource,
        attributes={str(name): value for name, value in attributes.items()},
        kind=kind,
        status=status,
        start_time=interval[0],
        end_time=interval[1],
        instrumentation_scope=_SCOPE,
    )


def _context(trace_id: str, span_id: str, state: TraceState | None, *, remote: bool) -> SpanContext:
    return SpanContext(
        int(trace_id, 16),
        int(span_id, 16),
        is_remote=remote,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
        trace_state=state,
    )
