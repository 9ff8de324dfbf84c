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
DISCOUNT = 0.999
"""Of what a cluster knows, for each request that belongs to it: about the last thousand requests count."""
EVERYBODY = ""
"""The segment of all requests."""


class Cell(Tally):
    """Sums over observations: how many (`n`), rewards (0 to 1 each), US dollars, seconds."""

    n: float = 0.0
    reward: float = 0.0
    cost: float = 0.0
    seconds: float = 0.0

    def add(self, weight: float, reward: float, cost: float, seconds: float) -> None:
        """Count one more observation, by `weight`."""
        self.n += weight
        self.reward += weight * reward
        self.cost += weight * cost
        self.seconds += weight * seconds

    def fade(self, factor: float) -> None:
        """Make everything that was seen count less."""
        self.n *= factor
        self.reward *= factor
        self.cost *= factor
        self.seconds *= factor


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
        self, phi: Weights, model: str, reward: float, cost: float = 0.0, seconds: float = 0.0, segment: str = EVERYBODY
    ) -> None:
        """Learn from one request that `model` served.

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
        n = sum(cell.n for cell in everybody)
        mean = (sum(cell.reward for cell in everybody) + SHRINK * prior) / (n + SHRINK)
        own = self.cells.get((model, segment)) if segment else None
        reward = sum(a * _reward(everybody[c], own[c] if own is not None else None, mean) for c, a in phi.items())
        if n <= 0.0:
            return Estimate(reward, None, None)
        cost, seconds = (sum(getattr(cell, name) for cell in everybody) / n for name in ("cost", "seconds"))
        near = [(a, everybody[c]) for c, a in phi.items()]
        return Estimate(
            reward,
            sum(a * (cell.cost + SHRINK * cost) / (cell.n + SHRINK) for a, cell in near),
            sum(a * (cell.seconds + SHRINK * seconds) / (cell.n + SHRINK) for a, cell in near),
        )

    def seen(self, phi: Weights, models: Sequence[str]) -> float:
        """How many observations the estimates of a request rest on."""
        return sum(
            weight * cells[cluster].n
            for model in models
            if (cells := self.cells.get((model, EVERYBODY))) is not None
            for cluster, weight in phi.items()
        )


def _reward(everybody: Cell, segment: Cell | None, mean: float) -> float:
    found = (everybody.reward + SHRINK * mean) / (everybody.n + SHRINK)
    return found if segment is None else (segment.reward + SHRINK * found) / (segment.n + SHRINK)
