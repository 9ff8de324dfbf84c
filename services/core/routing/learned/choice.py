"""Whom to ask: scores, the exact probability of each model, and the draw.

The probabilities follow inverse gap weighting (SquareCB; Foster and Rakhlin, "Beyond UCB", 2020): a model is asked the
less, the further it is behind the best, and the more surely so the more was seen. A floor is under every probability, so
that what was logged can be weighed later, and a model that has become better is found. What exploration may cost can be
bounded: then the probabilities of the others are scaled down to the floor, never below it.

The draw is a race: every model has a mark of its own, the more probable one runs faster, and the first one is chosen (the
exponential race behind weighted rendezvous hashing). Who comes back with the same marks, as a session does, is given another
model only as far as the probabilities have moved, in whatever order the models are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from services.core.routing.draw import uniform
from services.core.routing.learned.clusters import Weights
from services.core.routing.learned.table import EVERYBODY, Estimate, Table
from services.core.values import Value

FLOOR = 0.01
"""Least probability of every model that may serve, unless policy says otherwise."""
SHARPNESS = 10.0
"""How fast probability follows a gap; times the square root of what was seen."""
DRAW = "learned choice"

REWARD_ALONE = "quality"
"""The objective that counts nothing but rewards."""
OBJECTIVES: Mapping[str, tuple[float, float]] = {
    REWARD_ALONE: (0.0, 0.0),
    "balanced": (0.1, 0.05),
    "cost": (0.4, 0.0),
    "latency": (0.0, 0.4),
}
"""What reward is given up for a cost, and for a time, that is as large as the mean of the models; by objective."""


class Scored(Value, frozen=True):
    """A model with the terms of its score: `score` = reward - cost - seconds, each in units of reward."""

    model: str
    score: float
    reward: float
    cost: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.model} {self.score:.3f} = {self.reward:.3f} - {self.cost:.3f} cost - {self.seconds:.3f} time"


class Choice(Value, frozen=True):
    """A decision that can be made again and weighed.

    Attributes:
        models: Who may serve, the chosen one first, then by score.
        propensities: Probability of each of `scored` to be chosen; they sum to 1.
        scored: Every model, best first.
    """

    models: tuple[str, ...]
    propensities: tuple[float, ...]
    scored: tuple[Scored, ...]

    @property
    def propensity(self) -> float:
        """Probability of the one that was chosen."""
        return next(p for p, found in zip(self.propensities, self.scored, strict=True) if found.model == self.models[0])


def scored(estimates: Mapping[str, Estimate], objective: str) -> tuple[Scored, ...]:
    """The models by score, best first; equals as they came. What was never seen of a model costs the mean.

    Raises:
        KeyError: `objective` is none of `OBJECTIVES`.
    """
    scale = scale_of(estimates.values(), objective)
    found = [scale.score(m, e.reward, e.cost, e.seconds) for m, e in estimates.items()]
    return tuple(sorted(found, key=lambda one: -one.score))


class Scale(Value, frozen=True):
    """What costs and times are worth by an objective, in units of reward.

    Attributes:
        by_cost: Of a cost as large as `cost`, US dollars; 0.0: no cost is known. `by_time` of a time as `seconds`.
    """

    by_cost: float
    by_time: float
    cost: float
    seconds: float

    def score(self, model: str, reward: float, cost: float | None, seconds: float | None) -> Scored:
        """What is expected of a model, or what came of it; a cost or time that is not known (None) is as the mean."""
        lost = self.by_cost * _relative(cost, self.cost)
        late = self.by_time * _relative(seconds, self.seconds)
        return Scored(model, reward - lost - late, reward, lost, late)


def scale_of(estimates: Iterable[Estimate], objective: str) -> Scale:
    """The scale of an objective, by what the models are expected to cost and to take.

    Raises:
        KeyError: `objective` is none of `OBJECTIVES`.
    """
    by_cost, by_time = OBJECTIVES[objective]
    found = list(estimates)
    return Scale(by_cost, by_time, _mean([e.cost for e in found]), _mean([e.seconds for e in found]))


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0


def _relative(value: float | None, mean: float) -> float:
    return (1.0 if value is None else value / mean) if mean else 0.0


def propensities(
    scores: Sequence[float], *, seen: float, floor: float = FLOOR, max_regret: float | None = None
) -> tuple[float, ...]:
    """The probability of each model, by scores that fall.

    Args:
        scores: At least one, the best first.
        seen: Observations that the scores rest on.
        floor: Least probability, 0 to 1; at most an equal share each. 0.0: nothing is explored, the best one is certain.
        max_regret: Most that exploring may cost in expectation, in units of the score; the floor comes first.
    """
    count = len(scores)
    if floor <= 0.0:
        return (1.0, *(0.0 for _ in scores[1:]))
    floor = min(floor, 1.0 / count)
    free = 1.0 - floor * count
    gamma = SHARPNESS * max(seen, 0.0) ** 0.5
    gaps = [scores[0] - score for score in scores[1:]]
    extra = [free / (count + gamma * gap) for gap in gaps]
    if max_regret is not None:
        lost = sum(p * gap for p, gap in zip(extra, gaps, strict=True))
        allowed = max(0.0, max_regret - floor * sum(gaps))
        if lost > allowed:
            extra = [p * allowed / lost for p in extra]
    others = [floor + p for p in extra]
    return (max(floor, 1.0 - sum(others)), *others)


def drawn(chances: Mapping[str, float], seed: int | str) -> str:
    """The model that is drawn, each with its probability; the same on every machine.

    Args:
        chances: Probability of each model; at least one is above 0.0.
        seed: Of the draw: a number, or who draws, as a text that is not empty; the same one gets the same model while the
            probabilities allow it.
    """
    number, own = (0, f"{DRAW}/{seed}") if isinstance(seed, str) else (seed, DRAW)
    times = {m: -math.log1p(-uniform(number, f"{m}/{own}")) / p for m, p in chances.items() if p > 0.0}
    return min(times, key=lambda model: times[model])


def choose(
    table: Table,
    phi: Weights,
    models: Sequence[str],
    seed: int | str,
    *,
    objective: str = REWARD_ALONE,
    segment: str = EVERYBODY,
    floor: float = FLOOR,
    max_regret: float | None = None,
) -> Choice:
    """The choice among `models`; equal arguments give an equal one in every process.

    Args:
        models: Who may serve; at least one, none twice.
        seed: As of `drawn`.
    """
    found = scored({m: table.estimate(phi, m, segment) for m in models}, objective)
    probabilities = propensities(
        [one.score for one in found], seen=table.seen(phi, models), floor=floor, max_regret=max_regret
    )
    first = drawn({one.model: p for one, p in zip(found, probabilities, strict=True)}, seed)
    order = (first, *(one.model for one in found if one.model != first))
    return Choice(order, probabilities, found)
