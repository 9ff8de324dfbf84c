"""What choosing by the table, and each model alone, would have brought: off-policy, from the decisions themselves.

Each half of the decisions is judged by the table of the other one, so that no request says what was expected of itself:
without that the doubly robust estimate would praise whatever was learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.core.experiments.off_policy import Logged, OffPolicy, evaluated
from services.core.routing.draw import uniform
from services.core.routing.learned.decision import Decision
from services.core.routing.learned.learner import learned_table
from services.core.values import Value

FOLDS = 2


class Report(Value, frozen=True):
    """Candidates against what was done: `greedy` takes the best of the table, `singles` always the same model."""

    greedy: OffPolicy
    singles: Mapping[str, OffPolicy]


def report_of(decisions: Sequence[Decision], count: int) -> Report:
    """The report; each half is judged by the table of the other one.

    Args:
        decisions: In order of `at`.
        count: Number of the kinds of requests.
    """
    greedy: list[Logged] = []
    singles: dict[str, list[Logged]] = {model: [] for one in decisions for model in one.models}
    # Drawn, so that no rhythm of the requests can be that of the folds; and no session is in both.
    folds = [int(uniform(0, f"fold {one.session or i}") * FOLDS) for i, one in enumerate(decisions)]
    for fold in range(FOLDS):
        table = learned_table((one for i, one in zip(folds, decisions, strict=True) if i != fold), count)
        for place, one in zip(folds, decisions, strict=True):
            if one.reward is None or place != fold:
                continue
            expected = {model: table.estimate(one.phi, model, one.segment).reward for model in one.models}
            best = max(sorted(expected), key=lambda model: expected[model])
            greedy.append(_logged(one, best, expected))
            for model in one.models:
                singles[model].append(_logged(one, model, expected))
    return Report(evaluated(greedy), {model: evaluated(log) for model, log in singles.items()})


def _logged(one: Decision, candidate: str, expected: Mapping[str, float]) -> Logged:
    assert one.reward is not None, "only decisions with a reward are judged"
    return Logged(
        one.chosen, one.propensities[one.models.index(one.chosen)], one.reward, {candidate: 1.0}, expected, one.session
    )
