"""What choosing by the table, and each model alone, would have brought: off-policy, from the decisions themselves.

Judged is what the choice goes by: the objective's score of what came of a request, reward less what its cost and its time
are worth, on the scale of what the models were expected to cost and take. Reward, cost and time are told beside it.

Each half of the decisions is judged by the table of the other one, so that no request says what was expected of itself:
without that the doubly robust estimate would praise whatever was learned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from services.core.experiments.off_policy import Estimated, Logged, OffPolicy, doubly_robust, evaluated
from services.core.routing.draw import uniform
from services.core.routing.learned.choice import REWARD_ALONE, scale_of, scored
from services.core.routing.learned.decision import Decision
from services.core.routing.learned.learner import learned_table
from services.core.routing.learned.table import Table
from services.core.values import Value

FOLDS = 2


class Judged(Value, frozen=True):
    """A way to choose.

    Attributes:
        utility: By the objective, in units of reward.
        reward: Doubly robust, as `cost` in US dollars and `seconds` to the first content; None: never known.
    """

    utility: OffPolicy
    reward: Estimated
    cost: Estimated | None
    seconds: Estimated | None


class Report(Value, frozen=True):
    """Candidates against what was done: `greedy` takes the best of the table, `singles` always the same model."""

    greedy: Judged
    singles: Mapping[str, Judged]


class _Seen(Value, frozen=True):
    """A decision with a reward; what came of it, and what was expected of each model without looking at it.

    Attributes:
        propensity: Probability of the chosen model.
        best: The best model by what was expected.
        came: Utility, reward, cost and time; None: not known.
        expected: Of each of these, by model.
    """

    decision: Decision
    propensity: float
    best: str
    came: tuple[float | None, ...]
    expected: tuple[Mapping[str, float], ...]


UTILITY, REWARD, COST, SECONDS = range(4)


def report_of(decisions: Sequence[Decision], count: int, objective: str = REWARD_ALONE) -> Report:
    """The report; each half is judged by the table of the other one.

    Args:
        decisions: In order of `at`.
        count: Number of the kinds of requests.
        objective: One of `choice.OBJECTIVES`.
    """
    seen = list(_seen(decisions, count, objective))
    models = sorted({model for one in decisions for model in one.models})
    singles = {m: _judged([(one, m) for one in seen if m in one.decision.models]) for m in models}
    return Report(_judged([(one, one.best) for one in seen]), singles)


def _seen(decisions: Sequence[Decision], count: int, objective: str) -> Iterator[_Seen]:
    # Drawn, so that no rhythm of the requests can be that of the folds; and no session is in both.
    folds = [int(uniform(0, f"fold {one.session or i}") * FOLDS) for i, one in enumerate(decisions)]
    for fold in range(FOLDS):
        table = learned_table((one for i, one in zip(folds, decisions, strict=True) if i != fold), count)
        for place, one in zip(folds, decisions, strict=True):
            if one.reward is not None and place == fold:
                yield _compared(one, one.reward, table, objective)


def _compared(one: Decision, reward: float, table: Table, objective: str) -> _Seen:
    estimates = {model: table.estimate(one.phi, model, one.segment) for model in sorted(one.models)}
    scores = scored(estimates, objective)
    chosen = estimates[one.chosen]
    came = scale_of(estimates.values(), objective).score(
        one.chosen,
        reward,
        # What is not known of it was as expected.
        chosen.cost if one.cost is None else one.cost,
        chosen.seconds if one.seconds is None else one.seconds,
    )
    return _Seen(
        one,
        one.propensities[one.models.index(one.chosen)],
        scores[0].model,
        (came.score, reward, one.cost, one.seconds),
        (
            {found.model: found.score for found in scores},
            {model: found.reward for model, found in estimates.items()},
            _filled({model: found.cost for model, found in estimates.items()}),
            _filled({model: found.seconds for model, found in estimates.items()}),
        ),
    )


def _filled(expected: Mapping[str, float | None]) -> Mapping[str, float]:
    """What is expected of each model; of one that was never seen the mean of the others."""
    known = [value for value in expected.values() if value is not None]
    mean = sum(known) / len(known) if known else 0.0
    return {model: mean if value is None else value for model, value in expected.items()}


def _judged(ways: Sequence[tuple[_Seen, str]]) -> Judged:
    """What a way to choose is worth; `ways` are decisions with the model that it would have chosen."""
    certain = {model: {model: 1.0} for _, model in ways}

    def log(what: int) -> list[Logged]:
        return [
            Logged(one.decision.chosen, one.propensity, value, certain[model], one.expected[what], one.decision.session)
            for one, model in ways
            if (value := one.came[what]) is not None
        ]

    costs, times = log(COST), log(SECONDS)
    return Judged(
        utility=evaluated(log(UTILITY)),
        reward=doubly_robust(log(REWARD)),
        cost=doubly_robust(costs) if costs else None,
        seconds=doubly_robust(times) if times else None,
    )
