"""Sums, estimates and fixed intervals, against an independent implementation (tea-tasting) and against simulation."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import tea_tasting as tt
from hypothesis import given
from hypothesis import strategies as st

from services.core.experiments.estimates import difference, estimate
from services.core.experiments.intervals import (
    UNKNOWN,
    adjusted,
    detectable,
    fixed_horizon,
    units_needed,
)
from services.core.experiments.sums import NOTHING, Sums, merged, of_unit, over

UNITS = st.tuples(*(st.floats(-1e6, 1e6) for _ in range(3)))


def users(seed: int, n: int = 4_000) -> dict[str, np.ndarray]:
    """Users of two arms: requests, errors among them, cost, and the cost before the experiment."""
    random = np.random.default_rng(seed)
    variant = random.integers(0, 2, n)
    taste = random.gamma(2.0, 1.0, n)
    requests = 1 + random.poisson(3.0 * taste)
    errors = random.binomial(requests, 0.05 + 0.01 * variant)
    before = taste + random.normal(0.0, 0.4, n)
    cost = taste * (1.0 + 0.05 * variant) + random.normal(0.0, 0.5, n)
    columns = {"requests": requests, "errors": errors, "before": before, "cost": cost}
    return {"variant": variant, **{name: column.astype(float) for name, column in columns.items()}}


def arms(data: dict[str, np.ndarray], y: str, x: str = "", c: str = "") -> tuple[Sums, Sums]:
    """The sums of both arms."""
    found = []
    for arm in (0, 1):
        mine = data["variant"] == arm
        ones, zeros = np.ones(int(mine.sum())), np.zeros(int(mine.sum()))
        columns = (data[y][mine], data[x][mine] if x else ones, data[c][mine] if c else zeros)
        found.append(over(zip(*(column.tolist() for column in columns), strict=True)))
    return found[0], found[1]


@pytest.mark.parametrize(
    ("metric", "names"),
    [
        (tt.Mean("cost", use_t=False), ("cost", "", "")),
        (tt.Mean("cost", "before", use_t=False), ("cost", "", "before")),
        (tt.RatioOfMeans("errors", "requests", use_t=False), ("errors", "requests", "")),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_estimates_are_those_of_an_independent_implementation(
    metric: tt.metrics.MetricBase, names: tuple[str, str, str], seed: int
) -> None:
    data = users(seed)
    frame = {name: column.tolist() for name, column in data.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyarrow as pa

        theirs = tt.Experiment(metric=metric).analyze(pa.table(frame))["metric"]
    found = difference(*arms(data, *names))
    interval = fixed_horizon(found)
    assert found.value == pytest.approx(theirs.effect_size, rel=2e-3)
    assert (interval.low, interval.high) == pytest.approx(
        (theirs.effect_size_ci_lower, theirs.effect_size_ci_upper), rel=5e-3, abs=1e-5
    )
    assert interval.p == pytest.approx(theirs.pvalue, rel=0.05, abs=1e-6)


@given(st.lists(UNITS, max_size=30), st.integers(0, 30))
def test_sums_of_parts_are_the_sums_of_the_whole(units: list[tuple[float, float, float]], cut: int) -> None:
    whole, parts = over(units), merged(over(units[:cut]), over(units[cut:]))
    assert parts.n == whole.n == len(units)
    for name in Sums.__struct_fields__[1:]:
        scale = max(1.0, *(abs(v) for unit in units for v in unit)) if units else 1.0
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), rel=1e-6, abs=1e-9 * scale * scale)


def test_sums_stay_exact_where_values_are_large_and_alike() -> None:
    found = over((1e9 + k % 2, 1.0, 0.0) for k in range(1_000))
    assert estimate(found).variance == pytest.approx(0.25, rel=1e-2)


@pytest.mark.parametrize("sums", [NOTHING, of_unit(1.0), Sums(n=5), of_unit(1.0, 0.0)])
def test_few_units_and_empty_denominators_say_nothing(sums: Sums) -> None:
    assert estimate(sums).variance == 0.0
    assert fixed_horizon(difference(sums, sums)) == UNKNOWN


def test_a_covariate_takes_out_what_it_explains() -> None:
    data = users(1)
    plain, taken = difference(*arms(data, "cost")), difference(*arms(data, "cost", c="before"))
    correlation = np.corrcoef(data["cost"], data["before"])[0, 1]
    assert plain.explained == 0.0
    assert taken.explained == pytest.approx(correlation**2, abs=0.02)
    assert taken.variance == pytest.approx(plain.variance * (1.0 - correlation**2), rel=0.05)


def test_the_detectable_difference_is_found_with_its_power() -> None:
    random, variance, n = np.random.default_rng(7), 4.0, 500
    smallest = detectable(variance, n, power=0.8)
    assert units_needed(variance, smallest, power=0.8) in {n, n + 1}
    shown = 0
    for _ in range(1_000):
        a, b = random.normal(0.0, 2.0, n), random.normal(smallest, 2.0, n)
        sums = [Sums(n=n, y=float(v.mean()), x=1.0, yy=float(((v - v.mean()) ** 2).sum())) for v in (a, b)]
        shown += fixed_horizon(difference(*sums)).excludes_zero
    assert 0.75 < shown / 1_000 < 0.85


def test_an_arm_that_always_fails_is_known_to_although_nothing_varies() -> None:
    never, always = (Sums(n=60, y=y, x=1.0) for y in (0.0, 1.0))
    found = fixed_horizon(difference(never, always))
    assert 0.9 < found.low < 1.0 < found.high < 1.1
    assert fixed_horizon(difference(never, never)) == UNKNOWN


def test_nothing_is_detectable_without_units() -> None:
    assert detectable(1.0, 0) == math.inf


def test_adjusted_p_values_bound_the_share_of_false_discoveries() -> None:
    assert adjusted([]) == []
    assert adjusted([0.01, 0.02, 0.03]) == pytest.approx([0.03, 0.03, 0.03])
    assert adjusted([0.9, 0.001, 0.04]) == pytest.approx([0.9, 0.003, 0.06])
