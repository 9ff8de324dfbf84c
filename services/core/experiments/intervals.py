"""How sure a difference is: at any time (the default, since people look every day), or once, at a planned size.

**Always valid.** The asymptotic confidence sequence covers the truth at all times together with probability
1 - alpha, however often one looks:

    half-width = sqrt( variance * n * 2 (n rho^2 + 1) / (n^2 rho^2) * ln( sqrt(n rho^2 + 1) / alpha ) )

It is a little wider than a fixed interval, and narrowest about the planned number of units n*, from which
rho^2 = (-2 ln alpha + ln(-2 ln alpha + 1)) / n* is chosen.

**Fixed horizon.** The usual normal interval: narrower, and wrong for whoever looks before the planned size is there.

Source: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic
confidence sequences" (Annals of Statistics, 2024).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from services.core.experiments.estimates import Difference
from services.core.values import Value

PLANNED_UNITS = 10_000
"""Units in both arms at which a confidence sequence is narrowest, when nobody plans."""
MIN_UNITS = 100
"""Units in both arms below which an asymptotic statement would be none."""
_NORMAL = NormalDist()


class Interval(Value, frozen=True):
    """A statement about a difference.

    Attributes:
        low: Lower end; minus infinity while there are too few units.
        high: Upper end.
        p: The smallest alpha at which the interval does not hold zero; 1.0 when none does.
    """

    low: float
    high: float
    p: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the difference is more than chance."""
        return self.low > 0.0 or self.high < 0.0


UNKNOWN = Interval(-math.inf, math.inf, 1.0)


def always_valid(found: Difference, *, alpha: float = 0.05, planned: int = PLANNED_UNITS) -> Interval:
    """The interval that may be looked at at any time.

    Args:
        alpha: Chance that the sequence ever misses the truth, above 0 and below 1.
        planned: Units in both arms at which it shall be narrowest, at least 1.
    """
    if not _is_enough(found):
        return UNKNOWN
    n, rho2 = found.n, _rho2(alpha, planned)
    spread = n * rho2 + 1.0
    scale = found.variance * n * 2.0 * spread / (n * n * rho2)
    half = math.sqrt(scale * math.log(math.sqrt(spread) / alpha))
    exponent = found.value * found.value / scale
    p = min(1.0, math.sqrt(spread) * math.exp(-min(exponent, 700.0)))
    return Interval(found.value - half, found.value + half, p)


def fixed_horizon(found: Difference, *, alpha: float = 0.05) -> Interval:
    """The interval for one look, at a size that was planned before."""
    if not _is_enough(found):
        return UNKNOWN
    error = math.sqrt(found.variance)
    half = _NORMAL.inv_cdf(1.0 - alpha / 2.0) * error
    p = 2.0 * _NORMAL.cdf(-abs(found.value) / error)
    return Interval(found.value - half, found.value + half, p)


def _is_enough(found: Difference) -> bool:
    return found.n >= MIN_UNITS and min(found.control.n, found.arm.n) >= 2 and found.variance > 0.0


def _rho2(alpha: float, planned: int) -> float:
    twice = -2.0 * math.log(alpha)
    return (twice + math.log(twice + 1.0)) / planned


def detectable(variance: float, n: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
    """The smallest difference that `n` units per arm find with this power, at one planned look.

    Args:
        variance: Per unit, as in `Estimate.variance`.
    """
    if n < 1:
        return math.inf
    quantiles = _NORMAL.inv_cdf(1.0 - alpha / 2.0) + _NORMAL.inv_cdf(power)
    return quantiles * math.sqrt(2.0 * variance / n)


def units_needed(variance: float, smallest: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Units per arm that find the difference `smallest`, above 0, with this power, at one planned look."""
    quantiles = _NORMAL.inv_cdf(1.0 - alpha / 2.0) + _NORMAL.inv_cdf(power)
    return math.ceil(2.0 * (quantiles / smallest) ** 2 * variance)


def adjusted(p_values: Sequence[float]) -> list[float]:
    """P values of several metrics, adjusted so that the expected share of false discoveries is bounded.

    Source: Benjamini, Hochberg, "Controlling the false discovery rate" (1995).
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i], reverse=True)
    found, least = [1.0] * len(p_values), 1.0
    for place, index in enumerate(order):
        rank = len(p_values) - place
        least = min(least, p_values[index] * len(p_values) / rank)
        found[index] = least
    return found
