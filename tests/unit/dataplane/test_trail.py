"""A request's evidence while it runs: what the caller is shown."""

from __future__ import annotations

from services.core.errors import Clock, Failure, FailureKind
from services.dataplane.trail import evidence_headers, evidence_of, reasoning_of
from tests.unit.dataplane.build import attempt, candidate, plan, trail


def test_a_caller_is_shown_every_attempt_with_its_times() -> None:
    first = attempt(
        started=100.0,
        ended=100.5,
        failure=Failure(FailureKind.RATE_LIMITED, "the provider answered 429", status=429, code="slow_down"),
    )
    second = attempt(
        2, candidate=candidate("anthropic/claude"), started=100.5, content_at=100.7, ended=101.0, success=True
    )
    shown = evidence_of(
        trail(
            plan=plan(router_id="r", route_id="a", variant_id="b"),
            attempts=[first, second],
            policy_version="v",
            cost_usd=0.5,
            model="anthropic/claude",
            warnings=["seed was dropped"],
        ),
        101.0,
    )
    assert shown.cost_usd == 0.5
    assert shown.generation_id == "gen-1"
    assert shown.metadata == {
        "attempts": [
            {
                "model": "openai/gpt-5",
                "success": False,
                "duration_ms": 500,
                "error": "RATE_LIMITED",
                "error_message": "the provider answered 429",
                "status": 429,
                "error_code": "slow_down",
            },
            {"model": "anthropic/claude", "success": True, "time_to_first_token_ms": 200, "duration_ms": 500},
        ],
        "generation_id": "gen-1",
        "reasoning": "Router 'r' chose route 'a', variant 'b' - 'openai/gpt-5' failed (RATE_LIMITED, status 429), "
        "then 'anthropic/claude' success",
        "total_duration_ms": 1000,
        "policy_version": "v",
        "router_id": "r",
        "route_id": "a",
        "variant_id": "b",
        "warnings": ["seed was dropped"],
    }


def test_an_attempt_that_still_runs_is_shown_up_to_now() -> None:
    shown = evidence_of(trail(plan=plan(), attempts=[attempt()]), 100.0043).metadata["attempts"]
    assert shown == [{"model": "openai/gpt-5", "success": False, "duration_ms": 4.3}]


def test_the_reasoning_of_a_direct_model_names_the_model_and_the_clock() -> None:
    tripped = Failure(FailureKind.FIRST_CONTENT_TIMEOUT, "too slow", clock=Clock.FIRST_CONTENT)
    told = reasoning_of(trail(plan=plan(), requested_model="gpt-5", attempts=[attempt(failure=tripped)]))
    assert told == "Using specified model: 'gpt-5' - 'openai/gpt-5' failed (FIRST_CONTENT_TIMEOUT, clock first_content)"
    assert reasoning_of(trail(plan=plan())) == "Using specified model: 'openai/gpt-5'"
    assert reasoning_of(trail(plan=plan(), attempts=[attempt()])).endswith("'openai/gpt-5' answering")
    assert reasoning_of(trail()) == "No decision was made."


def test_an_answer_without_a_place_for_evidence_has_it_in_headers() -> None:
    lost, won = attempt(1), attempt(2, candidate=candidate("x/größe"))
    won.phase = "committed"
    told = trail(attempts=[lost, won], cost_usd=0.00004, warnings=["a was dropped", "b\r\nset-cookie: c=d"])
    assert evidence_headers(told) == {
        "x-turnout-attempts": "2",
        "x-turnout-model": "x/gr??e",
        "x-turnout-cost": "0.00004",
        "x-turnout-warnings": "a was dropped; b??set-cookie: c=d",
    }
    assert evidence_headers(trail()) == {"x-turnout-attempts": "0"}
    assert len(evidence_headers(trail(warnings=["x" * 5_000]))["x-turnout-warnings"]) == 1_000


def test_a_warning_is_told_once() -> None:
    told = trail(warnings=["a"])
    told.warn(["a", "b"])
    told.warn(["b"])
    assert told.warnings == ["a", "b"]
