"""What is known of models, by kind of request: sums of rewards, costs and times, and the estimates made of them.

An estimate is a shrunken mean, level by level: a model's mean is held near its prior, a cluster's near the model's, a
segment's (users of one plan, one country) near the cluster's. So a model that nobody has tried has its prior, and a
segment without evidence gets the choice that everybody gets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.core.routing.learned.clusters import ONE, Clusters, Weights
from services.core.values import Tally, field

SHRINK = 10.0
"""Observations that a level above counts for."""
PRIOR = 0.5
"""Reward that is expected of a model of which nothing is known."""
DISCOUNT = 0.9997
"""Of what a cluster knows, for each request that belongs to it: about the last three thousand count. It is for slow drift;
what changes at once is seen by `changes`."""
EVERYBODY = ""
"""The segment of all requests."""


class Cell(Tally):
    """Sums over observations. What is not known of a request counts in none of its sums.

    Attributes:
        rewarded: Requests whose reward is known; `reward` is the sum, from 0 to 1 each.
        priced: Requests whose cost is known; `cost` in US dollars.
        timed: Requests whose time is known; `seconds` to the first content.
    """

    rewarded: float = 0.0
    reward: float = 0.0
    priced: float = 0.0
    cost: float = 0.0
    timed: float = 0.0
    seconds: float = 0.0

    def add(self, weight: float, reward: float | None, cost: float | None, seconds: float | None) -> None:
        """Count one more observation, by `weight`."""
        if reward is not None:
            self.rewarded += weight
            self.reward += weight * reward
        if cost is not None:
            self.priced += weight
            self.cost += weight * cost
        if seconds is not None:
            self.timed += weight
            self.seconds += weight * seconds

    def fade(self, factor: float) -> None:
        """Make everything that was seen count less."""
        for name in self.__struct_fields__:
            setattr(self, name, factor * getattr(self, name))


@dataclass(frozen=True, slots=True)
class Estimate:
    """What to expect of a model for a request: reward from 0 to 1, US dollars, seconds; None: never seen."""

    reward: float
    cost: float | None
    seconds: float | None


Cells = dict[tuple[str, str], list[Cell]]
"""By model and segment, one cell per cluster."""


class Table(Tally):
    """Everything that was learned. Its size does not grow with traffic: models x segments x clusters.

    Attributes:
        priors: Reward expected of a model before any was seen, 0 to 1.
    """

    clusters: Clusters = ONE
    priors: Mapping[str, float] = {}
    cells: Cells = field(default_factory=dict)
    discount: float = DISCOUNT

    def observe(
        self,
        phi: Weights,
        model: str,
        reward: float | None,
        cost: float | None = None,
        seconds: float | None = None,
        segment: str = EVERYBODY,
    ) -> None:
        """Learn from one request that `model` served; None: that is not known of it.

        Everything that is known of the request's clusters fades, whichever model it is about: evidence grows old by
        requests, and a model that is asked rarely must not keep an old reputation for ever.
        """
        for home in {EVERYBODY, segment}:
            self.cells.setdefault((model, home), [Cell() for _ in range(self.clusters.count)])
        if self.discount < 1.0:
            for (_, home), cells in self.cells.items():
                if home in {EVERYBODY, segment}:
                    for cluster, weight in phi.items():
                        cells[cluster].fade(self.discount**weight)
        for home in {EVERYBODY, segment}:
            cells = self.cells[model, home]
            for cluster, weight in phi.items():
                cells[cluster].add(weight, reward, cost, seconds)

    def estimate(self, phi: Weights, model: str, segment: str = EVERYBODY) -> Estimate:
        """What to expect of `model` for a request of these clusters."""
        everybody = self.cells.get((model, EVERYBODY))
        prior = self.priors.get(model, PRIOR)
        if everybody is None:
            return Estimate(prior, None, None)
        n = sum(cell.rewarded for cell in everybody)
        mean = (sum(cell.reward for cell in everybody) + SHRINK * prior) / (n + SHRINK)
        own = self.cells.get((model, segment)) if segment else None
        reward = sum(a * _reward(everybody[c], own[c] if own is not None else None, mean) for c, a in phi.items())
        # What is left of a reward when other kinds are accounted for may lie outside.
        reward = min(1.0, max(0.0, reward))
        return Estimate(reward, _mean(everybody, phi, "cost", "priced"), _mean(everybody, phi, "seconds", "timed"))

    def seen(self, phi: Weights, models: Sequence[str]) -> float:
        """How many observations the estimates of a request rest on."""
        return sum(
            weight * cells[cluster].rewarded
            for model in models
            if (cells := self.cells.get((model, EVERYBODY))) is not None
            for cluster, weight in phi.items()
        )


def _reward(everybody: Cell, segment: Cell | None, mean: float) -> float:
    found = (everybody.reward + SHRINK * mean) / (everybody.rewarded + SHRINK)
    return found if segment is None else (segment.reward + SHRINK * found) / (segment.rewarded + SHRINK)


def _mean(cells: Sequence[Cell], phi: Weights, total: str, count: str) -> float | None:
    """The mean of `total` for a request of these clusters, near the mean of all; None: never seen."""
    sums: list[tuple[float, float]] = [(getattr(cell, total), getattr(cell, count)) for cell in cells]
    n = sum(seen for _, seen in sums)
    if n <= 0.0:
        return None
    mean = sum(value for value, _ in sums) / n
    return sum(weight * (sums[c][0] + SHRINK * mean) / (sums[c][1] + SHRINK) for c, weight in phi.items())
