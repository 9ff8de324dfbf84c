"""The shadow of a route: its checks, and its compiled form."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from services.core.policy.documents import Shadow
from services.core.policy.preferences import LabelDemand
from services.core.policy.resolve import resolve
from services.core.policy.selection import unlabelled
from services.core.policy.snapshot import ShadowRule, Snapshot


def check_shadow(shadow: Shadow | None, path: str) -> Iterator[tuple[str, str]]:
    """What is wrong with a shadow by itself, as (field path, message)."""
    if shadow is None:
        return
    if not shadow.model_id:
        yield f"{path}.model_id", "is missing; expected a model id such as openai/gpt-5"
    # Written so that NaN is refused.
    if shadow.percent is not None and not 0 <= shadow.percent <= 100:
        yield f"{path}.percent", f"expected 0 to 100, got {shadow.percent:g}"
    if shadow.max_per_second is not None and not 0 < shadow.max_per_second < math.inf:
        yield f"{path}.max_per_second", "expected a number above 0"
    if shadow.max_cost_per_hour_usd is not None and not 0 <= shadow.max_cost_per_hour_usd < math.inf:
        yield f"{path}.max_cost_per_hour_usd", "expected a number that is not negative"


def shadow_rule(shadow: Shadow, base: Snapshot, demands: Iterable[LabelDemand]) -> ShadowRule | str:
    """The rule of a shadow, or why there can be none; `demands` are those of the settings and of all variants."""
    targets = resolve(base, shadow.model_id)
    if not targets:
        return f"nothing in this policy serves {shadow.model_id!r}"
    target = targets[0]
    why = unlabelled(target.provider, demands)
    if why:
        return f"{target.model}: {why}"
    rule = ShadowRule(target)
    said = (shadow.percent, shadow.max_per_second, shadow.max_cost_per_hour_usd)
    usual = (rule.percent, rule.max_per_second, rule.max_cost_per_hour)
    return ShadowRule(
        target, *(default if value is None else value for value, default in zip(said, usual, strict=True))
    )
