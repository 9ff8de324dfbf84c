"""What an arm's sums say: the estimate, its variance, and the difference between two arms.

A plain mean is the ratio y/x with x = 1 everywhere, so there is one formula for both:

    R = mean(y) / mean(x),     z_i = (y_i - R x_i) / mean(x),     Var(R) = Var(z) / n

Var(z) is the delta method for a ratio of means (the unit, not the request, is what varies). CUPED takes out
what the time before the experiment explains: z' = z - theta (c - mean(c)), theta = Cov(z, c) / Var(c),
pooled over both arms, so that the difference stays unbiased; the variance shrinks by the square of the correlation.

Sources: Deng, Knoblich, Lu, "Applying the delta method in metric analytics" (KDD 2018);
Deng, Xu, Kohavi, Walker, "Improving the sensitivity of online controlled experiments" (WSDM 2013).
"""

from __future__ import annotations

from services.core.experiments.sums import Sums
from services.core.values import Value


class Estimate(Value, frozen=True):
    """One arm.

    Attributes:
        value: The mean over units, or the ratio of means.
        variance: Variance per unit; that of `value` is `variance / n`.
        n: Units.
    """

    value: float
    variance: float
    n: int


class Difference(Value, frozen=True):
    """Arm minus control.

    Attributes:
        value: The difference of the estimates.
        variance: Variance of `value` itself.
        n: Units in both arms together.
        control: The control's estimate.
        arm: The arm's.
        explained: Share of the variance that the covariate took out, 0 to 1.
    """

    value: float
    variance: float
    n: int
    control: Estimate
    arm: Estimate
    explained: float = 0.0

    @property
    def relative(self) -> float | None:
        """The difference as a share of the control's value; None when that is zero."""
        return self.value / self.control.value if self.control.value else None


class _Linear(Value, frozen=True):
    """An arm's metric as a mean of z: the estimate, Var(z), Cov(z, c), Var(c), and the covariate's mean."""

    value: float
    zz: float
    zc: float
    cc: float
    c: float
    n: int


def _linear(sums: Sums) -> _Linear:
    if not sums.n or not sums.x:
        return _Linear(0.0, 0.0, 0.0, 0.0, sums.c, sums.n)
    ratio = sums.y / sums.x
    yy, xx, cc, yx, yc, xc = sums.variance()
    zz = max(0.0, yy - 2.0 * ratio * yx + ratio * ratio * xx) / (sums.x * sums.x)
    return _Linear(ratio, zz, (yc - ratio * xc) / sums.x, cc, sums.c, sums.n)


def estimate(sums: Sums) -> Estimate:
    """The estimate of one arm; 0 for an arm without units, or a ratio whose denominators are all 0."""
    found = _linear(sums)
    return Estimate(found.value, found.zz, found.n)


def difference(control: Sums, arm: Sums) -> Difference:
    """The difference between two arms, adjusted by the covariate where that explains something."""
    a, b = _linear(control), _linear(arm)
    theta = _theta(a, b)
    value = (b.value - theta * b.c) - (a.value - theta * a.c)
    before = _variance(a, 0.0) + _variance(b, 0.0)
    after = _variance(a, theta) + _variance(b, theta)
    explained = 1.0 - after / before if before > 0.0 else 0.0
    if not after and value and a.n and b.n:
        # Nobody in one arm is like anybody in the other: every request of it fails. That no unit varies is no certainty;
        # the next one of each arm may be like the other's.
        after = value * value * (1.0 / (a.n * a.n) + 1.0 / (b.n * b.n))
    plain = (Estimate(a.value, a.zz, a.n), Estimate(b.value, b.zz, b.n))
    return Difference(value, after, a.n + b.n, *plain, max(0.0, explained))


def _theta(a: _Linear, b: _Linear) -> float:
    """The coefficient of the covariate, pooled: one for both arms, weighted by their units."""
    weight = (max(0, a.n - 1), max(0, b.n - 1))
    cc = weight[0] * a.cc + weight[1] * b.cc
    return (weight[0] * a.zc + weight[1] * b.zc) / cc if cc > 0.0 else 0.0


def _variance(arm: _Linear, theta: float) -> float:
    """Variance of the arm's adjusted estimate."""
    if arm.n < 2:
        return 0.0
    return max(0.0, arm.zz - 2.0 * theta * arm.zc + theta * theta * arm.cc) / arm.n
