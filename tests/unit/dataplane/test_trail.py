"""A request's evidence while it runs: cost, and what the caller is shown."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.errors import Clock, Failure, FailureKind
from services.core.policy.documents import Prices
from services.dataplane.trail import cost, evidence_of, reasoning_of
from services.dataplane.translation import TokenUsage
from tests.unit.dataplane.build import attempt, candidate, plan, trail

PRICES = Prices(2.5, 10.0, 1.25, 3.125)


@pytest.mark.parametrize(
    ("prices", "usage", "dollars"),
    [
        (PRICES, TokenUsage(1_000_000, 0), 2.5),
        (PRICES, TokenUsage(0, 1_000_000), 10.0),
        (PRICES, TokenUsage(1_200, 50, cache_read_tokens=1_024, cache_write_tokens=100), 0.0022825),
        (PRICES, TokenUsage(9, 40, reasoning_tokens=32), 0.0004225),
        (PRICES, TokenUsage(0, 0), 0.0),
        # Without a price of its own, cached input costs what input costs.
        (Prices(2.5, 10.0), TokenUsage(1_200, 50, cache_read_tokens=1_024, cache_write_tokens=100), 0.0035),
        (Prices(0.0, 0.0), TokenUsage(1_000, 1_000), 0.0),
        # A provider that counts more cached tokens than input never makes a request cheaper than its cache.
        (PRICES, TokenUsage(100, 0, cache_read_tokens=200), 0.00025),
        (PRICES, None, None),
        (Prices(), TokenUsage(1, 1), None),
        (Prices(2.5), TokenUsage(1, 1), None),
        (Prices(None, 10.0), TokenUsage(1, 1), None),
    ],
)
def test_a_cost_is_right_to_a_billionth(prices: Prices, usage: TokenUsage | None, dollars: float | None) -> None:
    found = cost(prices, usage)
    assert found == (dollars if dollars is None else pytest.approx(dollars, abs=1e-9, rel=0))


@given(
    st.integers(0, 2_000_000),
    st.integers(0, 2_000_000),
    st.integers(0, 2_000_000),
    st.integers(0, 200_000),
    st.tuples(*[st.integers(0, 100_000)] * 4),
)
def test_a_cost_agrees_with_exact_arithmetic(
    fresh: int, read: int, write: int, output: int, prices: tuple[int, int, int, int]
) -> None:
    usage = TokenUsage(fresh + read + write, output, cache_read_tokens=read, cache_write_tokens=write)
    exact = sum(
        Fraction(tokens) * Fraction(price, 1_000) / 1_000_000
        for tokens, price in zip((fresh, output, read, write), prices, strict=True)
    )
    per_million = [price / 1_000 for price in prices]
    assert cost(Prices(*per_million), usage) == pytest.approx(float(exact), abs=1e-9, rel=1e-12)


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
