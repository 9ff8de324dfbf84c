"""Sums over the units of one arm: all that the estimates need, whatever the number of units.

A unit is what was assigned (a user, a session), not a request: requests of one user are alike, and
counted one by one they would promise more certainty than there is. Per unit there are three values:

    y   the metric, or the numerator of a ratio (cost, errors, clicks)
    x   the denominator of a ratio (requests); 1 for a plain mean over units
    c   the covariate: the same metric of the same unit before the experiment; 0 when there is none

Kept are means and products of deviations from them, which stay exact where values are large and differ
little. Sums of disjoint sets of units are put together by `merged`.
"""

from __future__ import annotations

from collections.abc import Iterable

from services.core.values import Value


class Sums(Value, frozen=True):
    """The units of one arm: how many, the means of y, x and c, and the sums of products of deviations from them."""

    n: int = 0
    y: float = 0.0
    x: float = 0.0
    c: float = 0.0
    yy: float = 0.0
    xx: float = 0.0
    cc: float = 0.0
    yx: float = 0.0
    yc: float = 0.0
    xc: float = 0.0

    def variance(self) -> tuple[float, float, float, float, float, float]:
        """Sample variances and covariances (yy, xx, cc, yx, yc, xc); zeros for fewer than two units."""
        if self.n < 2:
            return (0.0,) * 6
        k = self.n - 1
        return self.yy / k, self.xx / k, self.cc / k, self.yx / k, self.yc / k, self.xc / k


NOTHING = Sums()


def of_unit(y: float, x: float = 1.0, c: float = 0.0) -> Sums:
    """The sums of a single unit."""
    return Sums(n=1, y=y, x=x, c=c)


def merged(a: Sums, b: Sums) -> Sums:
    """The sums of two disjoint sets of units.

    Source: Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
    """
    if not a.n:
        return b
    if not b.n:
        return a
    n = a.n + b.n
    share, both = b.n / n, a.n * b.n / n
    y, x, c = b.y - a.y, b.x - a.x, b.c - a.c
    return Sums(
        n=n,
        y=a.y + y * share,
        x=a.x + x * share,
        c=a.c + c * share,
        yy=a.yy + b.yy + y * y * both,
        xx=a.xx + b.xx + x * x * both,
        cc=a.cc + b.cc + c * c * both,
        yx=a.yx + b.yx + y * x * both,
        yc=a.yc + b.yc + y * c * both,
        xc=a.xc + b.xc + x * c * both,
    )


def over(units: Iterable[tuple[float, float, float]]) -> Sums:
    """The sums over units given as (y, x, c)."""
    found = NOTHING
    for y, x, c in units:
        found = merged(found, of_unit(y, x, c))
    return found
