"""Shadows: the mean difference of pairs, and how sure it is."""

from __future__ import annotations

import math
import random
from statistics import fmean, variance

import pytest

from services.core.experiments.shadows import Pairs, paired
from services.core.experiments.sums import over


def pairs(differences: list[list[float]], answered: float = 0.0, shadow: float = 0.0) -> Pairs:
    """Pairs by unit: the differences of its requests."""
    count = sum(map(len, differences))
    return Pairs("ttft", count, answered, shadow, over((sum(unit), float(len(unit)), 0.0) for unit in differences))


def drawn(seed: int, units: int, mean: float) -> list[list[float]]:
    chance = random.Random(seed)
    return [[chance.gauss(mean, 1.0) for _ in range(chance.randrange(1, 4))] for _ in range(units)]


def test_the_difference_is_the_mean_over_all_pairs_and_sides_are_told_beside_it() -> None:
    found = paired(pairs([[1.0, 2.0, 3.0], [10.0]], answered=40.0, shadow=56.0))
    assert (found.pairs, found.difference, found.answered, found.shadow) == (4, 4.0, 10.0, 14.0)
    assert found.interval.p == 1.0
    assert math.isinf(found.interval.low), "two units say nothing"


def test_the_fixed_interval_of_units_with_one_pair_each_is_that_of_one_sample() -> None:
    values = [random.Random(n).gauss(0.3, 1.0) for n in range(400)]
    found = paired(pairs([[value] for value in values]), fixed=True)
    half = 1.959964 * math.sqrt(variance(values) / len(values))
    assert found.interval.low == pytest.approx(fmean(values) - half, rel=1e-6)
    assert found.interval.high == pytest.approx(fmean(values) + half, rel=1e-6)


def test_a_busy_unit_is_one_unit() -> None:
    busy = [[1.0 if n % 2 else -1.0] * 50 for n in range(200)]
    one_each = [unit[:1] for unit in busy]
    apart = [[value] for unit in busy for value in unit]
    few, same, many = (paired(pairs(found)).interval.high for found in (one_each, busy, apart))
    assert same == pytest.approx(few)
    assert few > 5 * many, "two hundred units are no ten thousand"


def test_intervals_hold_the_truth_however_often_one_looks() -> None:
    missed = 0
    for seed in range(200):
        data = drawn(seed, 1_000, 0.2)
        looks = [paired(pairs(data[:n])).interval for n in range(100, 1_001, 100)]
        missed += any(not look.low <= 0.2 <= look.high for look in looks)
    assert missed <= 10, "5 % of 200"


def test_a_difference_is_found() -> None:
    found = paired(pairs(drawn(1, 2_000, 0.3)))
    assert found.interval.low > 0.0
    assert found.interval.p < 0.001
