"""What the intervals promise, by simulation: at most 5 % false alarms however often one looks, and power."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from services.core.experiments.estimates import difference
from services.core.experiments.intervals import UNKNOWN, Interval, always_valid, fixed_horizon
from services.core.experiments.sample_ratio import ALPHA, is_mismatched, mismatch
from services.core.experiments.sums import Sums

RUNS = 1_000
LOOK_EVERY = 200
PER_ARM = 10_000


def looks(random: np.random.Generator, rates: tuple[float, float]) -> Iterator[tuple[Sums, Sums]]:
    """Two arms of users who succeed or do not, at every look."""
    counts = [np.cumsum(random.random(PER_ARM) < rate) for rate in rates]
    for n in range(LOOK_EVERY, PER_ARM + 1, LOOK_EVERY):
        means = [float(count[n - 1]) / n for count in counts]
        yield tuple(Sums(n=n, y=m, x=1.0, yy=n * m * (1.0 - m)) for m in means)  # type: ignore[misc]


def share_that_alarms(rates: tuple[float, float], interval: str, seed: int, runs: int = RUNS) -> float:
    random = np.random.default_rng(seed)
    alarms = 0
    for _ in range(runs):
        pairs = looks(random, rates)
        if interval == "always_valid":
            alarms += any(always_valid(difference(*pair)).excludes_zero for pair in pairs)
        elif interval == "peeking":
            alarms += any(fixed_horizon(difference(*pair)).excludes_zero for pair in pairs)
        else:
            *_, last = pairs
            alarms += fixed_horizon(difference(*last)).excludes_zero
    return alarms / runs


def test_equal_arms_alarm_in_at_most_five_percent_however_often_one_looks() -> None:
    assert share_that_alarms((0.2, 0.2), "always_valid", 1) <= 0.05


def test_one_fixed_look_is_right_and_peeking_at_it_is_not() -> None:
    assert share_that_alarms((0.2, 0.2), "fixed", 2) == pytest.approx(0.05, abs=0.02)
    assert share_that_alarms((0.2, 0.2), "peeking", 3, runs=300) > 0.2, "which is why it is not the default"


@pytest.mark.parametrize(("lift", "least"), [(0.02, 0.75), (0.03, 0.98), (0.05, 1.0)])
def test_real_differences_are_found(lift: float, least: float) -> None:
    assert share_that_alarms((0.2, 0.2 + lift), "always_valid", 4, runs=200) >= least


def test_the_interval_covers_the_truth_at_all_times() -> None:
    random, truth, missed = np.random.default_rng(5), 0.03, 0
    for _ in range(RUNS):
        found = (always_valid(difference(*pair)) for pair in looks(random, (0.2, 0.2 + truth)))
        missed += any(not interval.low <= truth <= interval.high for interval in found)
    assert missed / RUNS <= 0.05


def test_the_p_value_and_the_interval_agree() -> None:
    random = np.random.default_rng(6)
    for _ in range(50):
        for pair in looks(random, (0.2, 0.22)):
            found = always_valid(difference(*pair))
            assert (found.p < 0.05) == found.excludes_zero
            assert found.low <= difference(*pair).value <= found.high


def test_too_few_units_say_nothing() -> None:
    few = Sums(n=40, y=0.5, x=1.0, yy=10.0)
    assert always_valid(difference(few, few)) == UNKNOWN == Interval(-np.inf, np.inf, 1.0)


def test_an_honest_split_is_hardly_ever_flagged_and_a_broken_one_soon() -> None:
    random = np.random.default_rng(8)
    alarms = 0
    for _ in range(RUNS):
        steps = random.multinomial(200, (0.5, 0.3, 0.2), size=50).cumsum(axis=0)
        alarms += any(is_mismatched(step.tolist(), (50, 30, 20)) for step in steps)
    assert alarms / RUNS <= 10 * ALPHA
    broken = random.multinomial(200, (0.46, 0.34, 0.2), size=100).cumsum(axis=0)
    assert any(is_mismatched(step.tolist(), (50, 30, 20)) for step in broken)


@pytest.mark.parametrize(
    ("counts", "shares", "p"), [([], [], 1.0), ([5], [1.0], 1.0), ([0, 0], [50, 50], 1.0), ([9, 1], [100, 0], 0.0)]
)
def test_odd_splits(counts: list[int], shares: list[float], p: float) -> None:
    assert mismatch(counts, shares) == p
