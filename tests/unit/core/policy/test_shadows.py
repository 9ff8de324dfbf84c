"""The shadow of a route: what is refused, what is filled in, and which requests it gets."""

from __future__ import annotations

import pytest

from services.core.policy.compile import Problems
from services.core.policy.preferences import LabelDemand, Preferences
from services.core.policy.snapshot import ShadowRule, Snapshot
from services.core.routing.context import RequestContext
from services.core.routing.decide import decide
from services.core.routing.health import HEALTHY
from services.core.routing.plan import Plan
from tests.support.policies import compiled, snapshot_of

PROVIDERS = """
- {kind: Provider, name: openai, type: openai, labels: {region: eu}}
- {kind: Provider, name: mistral, type: mistral}
"""


def _policy(shadow: str, more: str = "") -> str:
    return f"""{PROVIDERS}
- kind: Router
  name: r
  default_route:
    shadow: {shadow}
    variants: [{{weight: 100, variant: {{variant_id: v, model_id: openai/gpt-5{more}}}}}]
"""


def _rule(shadow: str) -> ShadowRule | None:
    route = snapshot_of(_policy(shadow)).routers["r"].default_route
    assert route is not None
    return route.shadow


def test_bounds_are_small_unless_somebody_says_so() -> None:
    rule = _rule("{model_id: mistral/large}")
    assert rule is not None
    assert rule.target.model == "mistral/large"
    assert (rule.percent, rule.max_per_second, rule.max_cost_per_hour) == (1.0, 1.0, 1.0)
    said = _rule("{model_id: mistral/large, percent: 5, max_per_second: 2, max_cost_per_hour_usd: 0}")
    assert said is not None
    assert (said.percent, said.max_per_second, said.max_cost_per_hour) == (5.0, 2.0, 0.0)


@pytest.mark.parametrize(
    ("shadow", "more", "field", "told"),
    [
        ("{}", "", "model_id", "is missing"),
        ("{model_id: nobody/x}", "", "model_id", "nothing in this policy serves 'nobody/x'"),
        ("{model_id: inworld/r}", "", "model_id", "nothing in this policy serves"),
        ("{model_id: mistral/large, percent: 101}", "", "percent", "expected 0 to 100"),
        ("{model_id: mistral/large, percent: .nan}", "", "percent", "expected"),
        ("{model_id: mistral/large, max_per_second: 0}", "", "max_per_second", "above 0"),
        ("{model_id: mistral/large, max_cost_per_hour_usd: -1}", "", "max_cost_per_hour_usd", "not negative"),
        (
            "{model_id: mistral/large}",
            ", model_selection: {provider: {labels: {region: eu}}}",
            "model_id",
            "mistral/large: labels.region: the label 'region' of mistral is not set",
        ),
    ],
)
def test_what_cannot_be_shadowed_is_refused_with_its_path(shadow: str, more: str, field: str, told: str) -> None:
    found = compiled(_policy(shadow, more))
    assert isinstance(found, Problems)
    problems = {p.field: p.message for p in found.problems}
    assert told in problems[f"default_route.shadow.{field}"]


def test_a_demand_of_the_settings_holds_for_shadows() -> None:
    settings = "- {kind: Settings, name: default, require_labels: {region: eu}}"
    assert isinstance(compiled(_policy("{model_id: mistral/large}") + settings), Problems)
    assert isinstance(compiled(_policy("{model_id: openai/gpt-5-mini}") + settings), Snapshot)


def test_a_bound_that_needs_a_price_is_told() -> None:
    found = compiled(_policy("{model_id: mistral/unheard-of}"))
    assert isinstance(found, Snapshot)
    assert ["no price of mistral/unheard-of is known" in p.message for p in found.warnings] == [True]
    assert not snapshot_of(_policy("{model_id: mistral/unheard-of, max_cost_per_hour_usd: 0}")).warnings


def _plans(context: RequestContext, percent: int) -> list[Plan]:
    snapshot = snapshot_of(_policy(f"{{model_id: mistral/large, percent: {percent}}}"))
    plans = [decide(snapshot, context, HEALTHY, 0.0, seed) for seed in range(2_000)]
    return [plan for plan in plans if isinstance(plan, Plan)]


def test_the_share_is_drawn_by_the_seed() -> None:
    drawn = [plan.shadow is not None for plan in _plans(RequestContext("inworld/r"), 10)]
    assert len(drawn) == 2_000
    assert 150 < sum(drawn) < 250
    assert drawn == [plan.shadow is not None for plan in _plans(RequestContext("inworld/r"), 10)]


@pytest.mark.parametrize(
    "context",
    [
        RequestContext("inworld/r", needs=frozenset({"vision"})),
        RequestContext("inworld/r", preferences=Preferences(labels=(LabelDemand("zdr", "region", ("eu",)),))),
        RequestContext("inworld/r", preferences=Preferences(ignore=("mistral",))),
        RequestContext("openai/gpt-5"),
    ],
)
def test_a_request_that_may_not_go_there_has_no_shadow(context: RequestContext) -> None:
    assert [plan for plan in _plans(context, 100) if plan.shadow is not None] == []
