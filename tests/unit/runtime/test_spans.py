"""Spans from records: the whole tree, and nothing that is secret."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind
from opentelemetry.trace.status import StatusCode
from turnout.learning.v1.learning_service_pb2 import LearnedDecision
from turnout.record.v1.record_pb2 import AttemptRecord, RequestRecord, Usage

from services.runtime.names import ATTRIBUTES
from services.runtime.spans import server_span, spans_of
from services.runtime.trace_context import TraceContext

RESOURCE = Resource.create({"service.name": "t"})
TRACE, CHAT, ABOVE = "ab" * 16, "11" * 8, "22" * 8


def record(**more: Any) -> RequestRecord:
    failed = AttemptRecord(
        number=1,
        model="openai/gpt-5",
        provider="openai",
        credential="env:KEY",
        failure="RATE_LIMITED",
        status=429,
        provider_code="rate_limit_exceeded",
        error_message="the provider answered 429",
        verdict="next",
        phase="waiting",
        start_ms=1,
        duration_ms=10,
        retry_after_seconds=2.5,
        span_id="33" * 8,
        server_address="api.openai.com",
    )
    served = AttemptRecord(
        number=2,
        model="anthropic/claude",
        provider="anthropic",
        success=True,
        status=200,
        phase="committed",
        start_ms=11,
        duration_ms=80,
        time_to_first_token_ms=20,
        span_id="44" * 8,
        server_address="api.anthropic.com",
        usage=Usage(
            input_tokens=9,
            output_tokens=4,
            cache_read_tokens=3,
            cache_write_tokens=2,
            reasoning_tokens=1,
            cost_usd=0.5,
            service_tier="flex",
        ),
    )
    base: dict[str, Any] = {
        "generation_id": "gen",
        "trace_id": TRACE,
        "span_id": CHAT,
        "parent_span_id": ABOVE,
        "api": "chat.completions",
        "stream": True,
        "requested_model": "inworld/r",
        "model": "anthropic/claude",
        "router_id": "r",
        "route_id": "a",
        "variant_id": "b",
        "policy_version": "v",
        "policy_revision": 7,
        "seed": 2**64 - 1,
        "started_at": Timestamp(seconds=1_750_000_000),
        "duration_ms": 100,
        "time_to_first_token_ms": 31,
        "attempts": [failed, served],
        "outcome": "ok",
        "finish_reason": "stop",
        "response_id": "msg_1",
        "usage": served.usage,
    }
    return RequestRecord(**{**base, **more})


def ids(span: ReadableSpan) -> tuple[str, str, str]:
    parent = f"{span.parent.span_id:016x}" if span.parent is not None else ""
    assert span.context is not None
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}", parent


def test_a_request_is_one_chat_span_with_one_client_span_per_attempt() -> None:
    chat, first, second = spans_of(record(), RESOURCE)
    assert ids(chat) == (TRACE, CHAT, ABOVE)
    assert ids(first) == (TRACE, "33" * 8, CHAT)
    assert ids(second) == (TRACE, "44" * 8, CHAT)
    assert [s.kind for s in (chat, first, second)] == [SpanKind.INTERNAL, SpanKind.CLIENT, SpanKind.CLIENT]
    assert [s.name for s in (chat, first, second)] == ["chat inworld/r", "chat gpt-5", "chat claude"]
    began = 1_750_000_000 * 10**9
    assert (chat.start_time, chat.end_time) == (began, began + 100_000_000)
    assert (second.start_time, second.end_time) == (began + 11_000_000, began + 91_000_000)


def test_the_attributes_of_a_chat_are_the_whole_decision() -> None:
    chat = spans_of(record(), RESOURCE)[0]
    assert dict(chat.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "inworld/r",
        "gen_ai.request.stream": True,
        "gen_ai.response.model": "anthropic/claude",
        "gen_ai.response.id": "msg_1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": 0.031,
        "gen_ai.usage.input_tokens": 9,
        "gen_ai.usage.output_tokens": 4,
        "gen_ai.usage.cache_read.input_tokens": 3,
        "gen_ai.usage.cache_creation.input_tokens": 2,
        "gen_ai.usage.reasoning.output_tokens": 1,
        "turnout.generation_id": "gen",
        "turnout.api": "chat.completions",
        "turnout.router": "r",
        "turnout.route": "a",
        "turnout.variant": "b",
        "turnout.policy.version": "v",
        "turnout.policy.revision": 7,
        "turnout.seed": "18446744073709551615",
        "turnout.outcome": "ok",
        "turnout.attempts": 2,
        "turnout.service_tier": "flex",
        "turnout.cost_usd": 0.5,
    }
    assert chat.status.status_code is StatusCode.UNSET


def test_speech_says_what_it_is_for_and_a_spoken_answer_when_it_was_heard() -> None:
    chat = spans_of(record(time_to_first_audio_ms=250), RESOURCE)[0]
    assert (chat.attributes or {})["turnout.time_to_first_audio"] == 0.25
    speech = spans_of(record(api="audio.speech", parent_generation_id="above"), RESOURCE)[0]
    assert (speech.attributes or {})["turnout.parent_generation_id"] == "above"
    assert "turnout.time_to_first_audio" not in (speech.attributes or {})


def test_a_failed_attempt_says_what_happened_and_what_followed() -> None:
    first = spans_of(record(), RESOURCE)[1]
    attributes = dict(first.attributes or {})
    assert attributes["error.type"] == "RATE_LIMITED"
    assert attributes["http.response.status_code"] == 429
    assert attributes["turnout.attempt.verdict"] == "next"
    assert attributes["turnout.attempt.provider_code"] == "rate_limit_exceeded"
    assert attributes["turnout.attempt.retry_after"] == 2.5
    assert attributes["turnout.attempt.credential"] == "env:KEY"
    assert attributes["server.address"] == "api.openai.com"
    assert first.status.status_code is StatusCode.ERROR
    assert first.status.description == "the provider answered 429"


@pytest.mark.parametrize("outcome", ["failed", "broken"])
def test_a_failed_request_is_an_error_and_a_refused_one_is_not(outcome: str) -> None:
    failed = spans_of(record(outcome=outcome, error_reason="CHAIN_FAILED", attempts=[]), RESOURCE)[0]
    assert failed.status.status_code is StatusCode.ERROR
    assert dict(failed.attributes or {})["error.type"] == "CHAIN_FAILED"
    refused = spans_of(record(outcome="refused", error_reason="UNAUTHENTICATED", attempts=[]), RESOURCE)[0]
    assert refused.status.status_code is StatusCode.UNSET


def test_a_typed_call_begins_with_a_server_span() -> None:
    server = TraceContext(TRACE, "55" * 8, ABOVE, sampled=True)
    root, chat, *_ = spans_of(record(parent_span_id="55" * 8), RESOURCE, server=server)
    assert root.kind is SpanKind.SERVER
    assert root.name == "turnout.inference.v1.InferenceService/StreamChatCompletion"
    assert ids(root) == (TRACE, "55" * 8, ABOVE)
    assert ids(chat)[2] == "55" * 8


def test_a_root_has_no_parent() -> None:
    assert spans_of(record(parent_span_id=""), RESOURCE)[0].parent is None


@pytest.mark.parametrize(
    ("status", "code"), [(200, StatusCode.UNSET), (429, StatusCode.UNSET), (502, StatusCode.ERROR)]
)
def test_a_bridges_span_is_an_error_from_500_on(status: int, code: StatusCode) -> None:
    context = TraceContext(TRACE, CHAT, "", sampled=True)
    span = server_span(context, (1, 2), "POST /x", {"http.response.status_code": status}, RESOURCE)
    assert span.status.status_code is code
    assert span.kind is SpanKind.SERVER


def test_every_attribute_is_one_of_the_table() -> None:
    for span in spans_of(record(), RESOURCE):
        assert set(span.attributes or {}) <= set(ATTRIBUTES)


@pytest.mark.parametrize(
    ("api", "operation"),
    [
        ("chat.completions", "chat"),
        ("messages", "chat"),
        ("typed", "chat"),
        ("embeddings", "embeddings"),
        ("audio.speech", "audio.speech"),
        ("messages.count_tokens", "messages.count_tokens"),
    ],
)
def test_apis_that_are_not_chat_are_operations_of_their_own(api: str, operation: str) -> None:
    spans = spans_of(record(api=api), RESOURCE)
    assert {(s.attributes or {})["gen_ai.operation.name"] for s in spans} == {operation}
    assert spans[0].name == f"{operation} inworld/r"


def test_a_learned_choice_is_on_the_chat_span() -> None:
    learned = LearnedDecision(
        kinds="k", kind=[4, 1], weight=[0.7, 0.3], models=["p/a", "p/b"], propensities=[0.9, 0.1], chosen="p/b"
    )
    attributes = spans_of(record(learned=learned), RESOURCE)[0].attributes
    assert attributes is not None
    found = {name: value for name, value in attributes.items() if name.startswith("turnout.learned.")}
    assert found == {"turnout.learned.table": "", "turnout.learned.kind": 4, "turnout.learned.propensity": 0.1}
    plain = spans_of(record(), RESOURCE)[0].attributes
    assert plain is not None
    assert not any(name.startswith("turnout.learned.") for name in plain)
