"""What is good enough, and the cheapest of it: the floor under an automatic choice, and under a variant's models.

Good enough is a score close to the best one among the targets that may serve this request; a target whose score is
not known is not good enough, since nobody can say that it is. Nothing is left out: what is below the floor is tried
when everything above it has failed, the better first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.core.policy.preferences import PRICE, Floor, Preferences, SortKey, by
from services.core.policy.snapshot import Target
from services.core.routing.auto import DEFAULT_SORT, MAX_CANDIDATES, Score, ranked
from services.core.routing.measures import Readings

_ROUNDING = 1e-9
"""Scores are decimal fractions; one that is just at the floor is good enough, whatever the last bit says."""


@dataclass(frozen=True, slots=True)
class GoodEnough:
    """Targets in order, with what they were ordered by.

    Attributes:
        count: How many of the first ones are good enough.
        best: The best score; None: none is known.
    """

    floor: Floor
    sort: tuple[SortKey, ...]
    ranked: tuple[tuple[Target, Score], ...]
    count: int
    best: float | None

    def __str__(self) -> str:
        by_what = ", then ".join(map(str, self.sort))
        if self.best is None:
            return f"good enough ({self.floor}): no score is known, so by {by_what} only: {_listed(self.ranked)}"
        good, rest = self.ranked[: self.count], self.ranked[self.count :]
        below = f"; below it: {_listed(rest)}" if rest else ""
        return f"good enough ({self.floor}, {self.best:.3g}), by {by_what}: {_listed(good)}{below}"


def _listed(pairs: Sequence[tuple[Target, Score]]) -> str:
    return "; ".join(f"{target.model} {found}" for target, found in pairs) or "nothing"


def good_enough(targets: Iterable[Target], floor: Floor, sort: Sequence[SortKey], readings: Readings) -> GoodEnough:
    """The targets in the order in which they are tried; those at or above the floor by `sort`, or by price."""
    found = list(targets)
    sort = tuple(sort) or (by(PRICE),)
    scores = {t.model: readings.value(t, floor.metric) for t in found}
    best = max((score for score in scores.values() if score is not None), default=None)
    if best is None:
        return GoodEnough(floor, sort, tuple(ranked(found, sort, readings)), len(found), None)
    least = best - floor.delta - _ROUNDING
    good = [t for t in found if (scores[t.model] or 0.0) >= least and scores[t.model] is not None]
    rest = [t for t in found if t not in good]
    first = ranked(good, (*sort, by(floor.metric)), readings)
    return GoodEnough(floor, sort, (*first, *ranked(rest, (by(floor.metric), *sort), readings)), len(good), best)


def automatic(
    targets: Sequence[Target], preferences: Preferences, readings: Readings
) -> tuple[Sequence[tuple[Target, Score]], str]:
    """The best of `targets` that an automatic choice tries, and the line that says why these."""
    if preferences.floor is not None:
        chosen = good_enough(targets, preferences.floor, preferences.sort, readings)
        return chosen.ranked[:MAX_CANDIDATES], f"automatic choice of what is {chosen}"
    sort = preferences.sort or DEFAULT_SORT
    best = ranked(targets, sort, readings)[:MAX_CANDIDATES]
    few = f", of {len(targets)}" if len(targets) > len(best) else ""
    told = _listed(best) if best else "nothing is left"
    return best, f"automatic choice by {', then '.join(map(str, sort))}{few}: {told}"


def quality_sort(preferences: Preferences) -> tuple[SortKey, ...]:
    """Everything that `preferences` look at to put targets in order."""
    floor = (by(preferences.floor.metric),) if preferences.floor is not None else ()
    return (*floor, *preferences.sort)
