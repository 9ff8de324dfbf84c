"""When a model became another one: the point in its rewards before which nothing counts any more.

A mean that fades is slow to see that a good model has become bad: most of what it is made of is old. Two cumulative sums
(CUSUM; Page, "Continuous inspection schemes", 1954) see it after some fifty rewards: each adds how far a reward is below
(above) what was expected, less an allowance, and never falls under zero. When one passes its limit, the model's mean has
moved, and it moved about where the sum last was zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.core.routing.learned.clusters import Weights
from services.core.values import Tally, field

ALLOWANCE = 0.1
"""Reward that a model may be off without being another one; what is seen best is a change of twice as much."""
LIMIT = 11.0
"""Of a cumulative sum. Rewards of 0 and 1 that are even pass it by chance once in some 100,000."""
WARM = 30.0
"""Rewards of which an expectation is made before anything is compared with it."""
ALL = -1
"""In place of a kind: all of them."""

Changes = Mapping[tuple[str, int], int]
"""Place of the first reward that counts, by model and kind (or `ALL`)."""


class Watch(Tally):
    """What is expected of a model since it last changed, and how far its rewards are off.

    Attributes:
        n: Rewards, and `total` their sum.
        sums: How far rewards were below what was expected, and above.
        since: Place where each of `sums` was last zero.
    """

    n: float = 0.0
    total: float = 0.0
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0])
    since: list[int] = field(default_factory=lambda: [0, 0])

    def seen(self, place: int, weight: float, reward: float, expected: float) -> int | None:
        """Count a reward; where the model changed, if this reward makes that certain."""
        found = None
        if self.n >= WARM:
            for side, off in enumerate((expected - reward, reward - expected)):
                before = self.sums[side]
                self.sums[side] = max(0.0, before + weight * (off - ALLOWANCE))
                if not before:
                    self.since[side] = place
                if self.sums[side] > LIMIT:
                    found = self.since[side]
        self.n += weight
        self.total += weight * reward
        return found

    @property
    def mean(self) -> float:
        """Mean reward; a half before there is any."""
        return (self.total + 0.5) / (self.n + 1.0)


def changes(rewards: Iterable[tuple[Weights, str, float]]) -> Changes:
    """Where models changed last; equal arguments give equal places.

    Args:
        rewards: By place: kinds of the request, the model that answered, and its reward, 0 to 1; oldest first.
    """
    watches: dict[tuple[str, int], Watch] = {}
    found: dict[tuple[str, int], int] = {}
    for place, (phi, model, reward) in enumerate(rewards):
        whole = watches.setdefault((model, ALL), Watch())
        parts = [(watches.setdefault((model, kind), Watch()), kind, weight) for kind, weight in phi.items()]
        expected = _expected(whole, parts)
        # A kind that has just changed is known badly: what is off there says nothing about the others.
        settling = any((model, kind) in found and watch.n < WARM for watch, kind, _ in parts)
        changed = whole.seen(place, 0.0 if settling else 1.0, reward, expected)
        if changed is not None:
            found[model, ALL] = changed
            watches = {key: watch for key, watch in watches.items() if key[0] != model}
            continue
        for watch, kind, weight in parts:
            changed = watch.seen(place, weight, reward, expected)
            if changed is not None:
                found[model, kind] = changed
                del watches[model, kind]
                whole.sums = [0.0, 0.0]
    return found


def _expected(whole: Watch, parts: Iterable[tuple[Watch, int, float]]) -> float:
    """The mean of the request's kinds, each held near the mean of all."""
    mean = whole.mean
    return sum(weight * (watch.total + 10.0 * mean) / (watch.n + 10.0) for watch, _, weight in parts)
