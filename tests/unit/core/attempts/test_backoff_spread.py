"""Waits: within their bounds, and spread, so that not everybody comes back at once."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.attempts.backoff import backoff, pushback
from services.core.routing.draw import uniform

draws = st.floats(0.0, 1.0, exclude_max=True)


@given(st.integers(1, 5_000), st.floats(0.0, 600.0), draws)
def test_a_backoff_keeps_to_its_limit_and_never_overflows(retry: int, limit: float, u: float) -> None:
    assert 0.0 <= backoff(retry, limit, u) <= limit


@given(st.integers(1, 20), draws)
def test_backoffs_grow_by_two(retry: int, u: float) -> None:
    assert backoff(retry + 1, 1e9, u) == pytest.approx(2 * backoff(retry, 1e9, u), abs=1e-12)


@given(st.floats(0.0, 1e6), draws)
def test_what_was_asked_for_is_waited_for_and_a_little_more(asked: float, u: float) -> None:
    assert asked <= pushback(asked, u) <= asked + 0.25


def test_a_thousand_requests_that_were_asked_to_wait_do_not_come_back_together() -> None:
    waits = sorted(pushback(10.0, uniform(seed, "wait/1")) for seed in range(1_000))
    assert waits[0] >= 10.0
    assert waits[-1] - waits[0] > 0.24
    assert max(b - a for a, b in itertools.pairwise(waits)) < 0.01
