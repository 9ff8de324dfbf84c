"""Trails as records: every fact arrives, unset stays unset."""

from __future__ import annotations

from services.core.errors import Clock, Failure, FailureKind
from services.dataplane.record_form import record_of
from services.dataplane.translation import TokenUsage
from tests.unit.dataplane.build import attempt, candidate, plan, trail

USAGE = TokenUsage(9, 4, 3, 2, 1)


def test_a_record_holds_what_the_trail_holds() -> None:
    tripped = Failure(FailureKind.IDLE_TIMEOUT, "the idle clock tripped", code="c", retry_after=2.5, clock=Clock.IDLE)
    first = attempt(ended=100.25, failure=tripped, verdict="next", status=200, headers_at=100.1, phase="waiting")
    second = attempt(
        2,
        candidate=candidate("anthropic/claude"),
        started=100.25,
        content_at=100.5,
        ended=101.0,
        success=True,
        usage=USAGE,
        cost_usd=0.0,
        phase="committed",
    )
    record = record_of(
        trail(
            stream=True,
            requested_model="inworld/r",
            user_hash="aa",
            api_key_name="ci",
            plan=plan(router_id="r", route_id="a", variant_id="b"),
            policy_version="v",
            policy_revision=7,
            seed=2**64 - 1,
            attempts=[first, second],
            outcome="ok",
            status=200,
            ended=101.0,
            content_at=100.5,
            usage=USAGE,
            cost_usd=0.0,
            model="anthropic/claude",
            finish_reason="stop",
            response_id="msg_1",
            warnings=["seed was dropped"],
            audio_at=100.75,
            parent_generation_id="gen-0",
        ),
        "worker-1",
    )
    assert (record.generation_id, record.node_id, record.api, record.stream) == (
        "gen-1",
        "worker-1",
        "chat.completions",
        True,
    )
    assert (record.trace_id, record.span_id, record.parent_span_id) == ("ab" * 16, "cd" * 8, "ef" * 8)
    assert record.sampled
    assert (record.router_id, record.route_id, record.variant_id) == ("r", "a", "b")
    assert (record.requested_model, record.model) == ("inworld/r", "anthropic/claude")
    assert record.seed == 2**64 - 1
    assert record.started_at.ToNanoseconds() == 1_750_000_000_250_000_000
    assert record.duration_ms == 1_000.0
    assert record.time_to_first_token_ms == 500.0
    assert (record.time_to_first_audio_ms, record.parent_generation_id) == (750.0, "gen-0")
    assert list(record.warnings) == ["seed was dropped"]
    assert record.usage.HasField("cost_usd")
    one, two = record.attempts
    assert (one.failure, one.clock, one.provider_code, one.verdict) == ("IDLE_TIMEOUT", "idle", "c", "next")
    assert one.retry_after_seconds == 2.5
    assert round(one.headers_ms) == 100
    assert not one.HasField("time_to_first_token_ms")
    assert not one.usage.HasField("cost_usd")
    assert (two.start_ms, two.time_to_first_token_ms, two.duration_ms) == (250.0, 250.0, 750.0)
    assert two.server_address == "anthropic.example.com"
    assert (two.usage.input_tokens, two.usage.cache_read_tokens, two.usage.reasoning_tokens) == (9, 3, 1)


def test_a_request_that_was_refused_has_no_plan_and_no_times() -> None:
    record = record_of(trail(outcome="refused", status=401, error_reason="UNAUTHENTICATED", ended=100.0), "n")
    assert record.router_id == ""
    assert not record.HasField("time_to_first_token_ms")
    assert not record.usage.HasField("cost_usd")
    assert record.reasoning == "No decision was made."
