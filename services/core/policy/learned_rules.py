"""What policy says of choosing by what was learned: what is wrong with it, and the rule that it stands for."""

from __future__ import annotations

import math
from collections.abc import Iterator

from services.core.policy.choosing import Learned, ModelSelection
from services.core.policy.names import ID, VARIABLE
from services.core.policy.preferences import LearnedRule
from services.core.routing.learned.choice import OBJECTIVES

MAX_EXPLORE = 0.2
"""Above this a deployment would be a trial of models, for which there are experiments."""
_DEFAULT = LearnedRule()


def check_learned(selection: ModelSelection, path: str) -> Iterator[tuple[str, str]]:
    """What is wrong with the `learned` of a selection at `path`: field path and message."""
    learned = selection.learned
    if learned is None:
        return
    if learned.objective and learned.objective not in OBJECTIVES:
        yield f"{path}.learned.objective", f"expected one of {', '.join(OBJECTIVES)}, got {learned.objective!r}"
    if learned.metric and not ID.match(learned.metric):
        yield f"{path}.learned.metric", "expected letters, digits, dots, dashes or underscores"
    if learned.segment and (not VARIABLE.match(learned.segment) or learned.segment == "messages"):
        yield f"{path}.learned.segment", "expected a key of metadata: letters, digits and underscores"
    yield from _numbers(learned, f"{path}.learned")
    for name, other in (("sort", selection.sort), ("quality_floor", selection.quality_floor)):
        if other:
            yield f"{path}.learned", f"and {name} would both put the models in order; expected one of them"


def _numbers(learned: Learned, path: str) -> Iterator[tuple[str, str]]:
    # Written so that NaN is refused.
    if learned.explore is not None and not 0.0 <= learned.explore <= MAX_EXPLORE:
        yield f"{path}.explore", f"expected 0 to {MAX_EXPLORE:g}"
    if learned.max_regret is not None and not 0.0 <= learned.max_regret < math.inf:
        yield f"{path}.max_regret", "expected a number that is not negative"
    finite = True
    for name in ("worst", "best"):
        value = getattr(learned, name)
        if value is not None and not math.isfinite(value):
            finite = False
            yield f"{path}.{name}", "expected a number"
    rule = learned_rule(learned)
    if finite and rule is not None and rule.worst == rule.best:
        yield f"{path}.best", f"expected another value than worst, got {rule.best:g} for both"
    if not learned.metric and (learned.worst is not None or learned.best is not None):
        named = "worst" if learned.worst is not None else "best"
        yield f"{path}.{named}", "is a value of metric, which is missing"


def learned_rule(written: Learned | None) -> LearnedRule | None:
    """The rule of a document; None: nothing is learned."""
    if written is None:
        return None
    return LearnedRule(
        objective=written.objective or _DEFAULT.objective,
        metric=written.metric,
        worst=_DEFAULT.worst if written.worst is None else written.worst,
        best=_DEFAULT.best if written.best is None else written.best,
        segment=written.segment,
        explore=_DEFAULT.explore if written.explore is None else written.explore,
        max_regret=written.max_regret,
    )
