"""Waits: their bounds, for every number that may come in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.attempts.backoff import JITTER_SECONDS, backoff, pushback

ALMOST_ONE = 1.0 - 2.0**-53
draws = st.floats(0.0, ALMOST_ONE)


@pytest.mark.parametrize(("retry", "bound"), [(1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8), (5, 1.6), (6, 3.0), (99, 3.0)])
def test_the_bound_doubles_from_a_tenth_of_a_second_to_the_limit(retry: int, bound: float) -> None:
    assert backoff(retry, 3.0, 0.0) == 0.0
    assert backoff(retry, 3.0, 0.5) == pytest.approx(bound / 2)
    assert backoff(retry, 3.0, ALMOST_ONE) == pytest.approx(bound)


@given(st.integers(-5, 10_000), st.floats(0.0, 1e6), draws)
def test_no_backoff_is_negative_or_over_its_limit(retry: int, limit: float, u: float) -> None:
    assert 0.0 <= backoff(retry, limit, u) <= limit


def test_an_exponent_that_overflows_waits_at_the_limit() -> None:
    assert backoff(100_000, 3.0, 0.5) == 1.5


def test_a_limit_below_zero_is_no_wait() -> None:
    assert backoff(3, -1.0, 0.5) == 0.0


@given(st.floats(0.0, 1e6), draws)
def test_a_pushback_is_never_shorter_than_asked_and_a_quarter_second_longer_at_most(asked: float, u: float) -> None:
    assert asked <= pushback(asked, u) <= asked + JITTER_SECONDS


def test_a_short_pushback_is_stretched_by_a_quarter_at_most() -> None:
    assert pushback(0.4, ALMOST_ONE) == pytest.approx(0.5)
    assert pushback(40.0, ALMOST_ONE) == pytest.approx(40.25)


def test_even_a_pushback_of_zero_spreads_callers_out() -> None:
    assert pushback(0.0, 0.0) == 0.0
    assert 0.0 < pushback(0.0, 0.5) < 0.01
