"""What can be said of a shadow: the same requests, answered twice, compared pair by pair. Pure.

The mean difference is a ratio over units (sum of a unit's differences by number of its pairs), so that one busy user is
one user; its interval is that of one sample, which may be looked at at any time. Nobody was assigned anything, so there
is no split to check.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.core.experiments.estimates import Difference, Estimate, estimate
from services.core.experiments.intervals import PLANNED_UNITS, Interval, always_valid, fixed_horizon
from services.core.experiments.metrics import INVALID_JSON_RATE
from services.core.experiments.sums import Sums
from services.core.values import Value

PAIRED = ("cost_per_request", "ttft", INVALID_JSON_RATE)
"""Metrics that both sides of a pair have. Errors are none of them: only answered requests are shadowed."""


class Pairs(Value, frozen=True):
    """The pairs in which both sides have a metric.

    Attributes:
        answered: Sum over the answered requests.
        shadow: Sum over their shadows.
        sums: By unit: y the sum of the differences (shadow minus answered), x the number of pairs.
    """

    metric: str
    count: int
    answered: float
    shadow: float
    sums: Sums


class ShadowData(Value, frozen=True):
    """A candidate's data. 95th percentiles of the time to first content in milliseconds; 0.0: none was seen."""

    model: str
    requests: int
    units: int
    failed: int
    p95_ttft: float
    answered_p95_ttft: float
    pairs: Sequence[Pairs]


class PairedMetric(Value, frozen=True):
    """A metric: the means of both sides, the mean difference, and how sure it is."""

    metric: str
    pairs: int
    answered: float
    shadow: float
    difference: float
    interval: Interval


def paired(found: Pairs, *, alpha: float = 0.05, fixed: bool = False) -> PairedMetric:
    """What can be said of a metric.

    Args:
        found: One pair at least.
        alpha: Chance of a false alarm.
        fixed: A fixed-horizon interval instead of one that may be looked at at any time.
    """
    mean = estimate(found.sums)
    n = found.sums.n
    # One sample: the interval needs its number and the variance of its mean; the sides by themselves say nothing more.
    sample = Difference(mean.value, mean.variance / n, n, Estimate(0.0, 0.0, n), mean)
    interval = fixed_horizon(sample, alpha=alpha) if fixed else always_valid(sample, alpha=alpha, planned=PLANNED_UNITS)
    return PairedMetric(
        metric=found.metric,
        pairs=found.count,
        answered=found.answered / found.count,
        shadow=found.shadow / found.count,
        difference=mean.value,
        interval=interval,
    )
