"""What policy says of the learned choice: what is refused, what is only odd, and what it compiles to."""

from __future__ import annotations

import math

import pytest

from services.core.policy.choosing import Learned, ModelSelection, QualityFloor, SortRule
from services.core.policy.compile import Problems
from services.core.policy.learned_rules import check_learned, learned_rule
from services.core.policy.preferences import LearnedRule
from services.core.policy.snapshot import Snapshot
from tests.support.policies import compiled, snapshot_of

PROVIDERS = """
- {kind: Provider, name: openai, type: openai}
- {kind: Provider, name: anthropic, type: anthropic}
"""


def router(selection: str, model: str = "openai/gpt-5") -> str:
    variant = f"{{variant_id: v, model_id: {model}, model_selection: {selection}}}"
    route = f"{{route_id: d, variants: [{{weight: 100, variant: {variant}}}]}}"
    return f"{PROVIDERS}- {{kind: Router, name: r, default_route: {route}}}\n"


@pytest.mark.parametrize(
    ("learned", "fields"),
    [
        (Learned(), []),
        (Learned("cost", "thumbs", -1.0, 1.0, "plan", 0.2, 0.0), []),
        (Learned("balanced", "errors", worst=3.0, best=0.0, explore=0.0, max_regret=2.0), []),
        (Learned(objective="speed"), ["objective"]),
        (Learned(metric="two words"), ["metric"]),
        (Learned(segment="messages"), ["segment"]),
        (Learned(segment="user.plan"), ["segment"]),
        (Learned(explore=0.21), ["explore"]),
        (Learned(explore=-0.01), ["explore"]),
        (Learned(explore=math.nan), ["explore"]),
        (Learned(max_regret=-0.1), ["max_regret"]),
        (Learned(max_regret=math.inf), ["max_regret"]),
        (Learned(metric="m", worst=1.0), ["best"]),
        (Learned(metric="m", worst=2.0, best=2.0), ["best"]),
        (Learned(metric="m", worst=math.nan, best=math.inf), ["worst", "best"]),
        (Learned(worst=-1.0), ["worst"]),
        (Learned(best=5.0), ["best"]),
    ],
)
def test_a_learned_choice_has_bounds(learned: Learned, fields: list[str]) -> None:
    found = list(check_learned(ModelSelection(learned=learned), "s"))
    assert [path for path, _ in found] == [f"s.learned.{field}" for field in fields]


def test_one_thing_puts_models_in_order() -> None:
    both = ModelSelection(sort=(SortRule("price"),), quality_floor=QualityFloor("math"), learned=Learned())
    told = "would both put the models in order; expected one of them"
    assert list(check_learned(both, "s")) == [
        ("s.learned", f"and sort {told}"),
        ("s.learned", f"and quality_floor {told}"),
    ]
    refused = compiled(router("{models: [anthropic/claude], sort: [{metric: price}], learned: {}}"))
    assert isinstance(refused, Problems)
    assert [p.field for p in refused.problems] == ["default_route.variants[0].variant.model_selection.learned"]


def test_what_is_not_written_has_the_defaults_of_the_rule() -> None:
    assert learned_rule(None) is None
    assert learned_rule(Learned()) == LearnedRule()
    written = Learned("latency", "thumbs", -1.0, 2.0, "plan", 0.1, 0.05)
    assert learned_rule(written) == LearnedRule("latency", "thumbs", -1.0, 2.0, "plan", 0.1, 0.05)


def test_only_a_router_with_a_variant_that_learns_asks_what_requests_are_like() -> None:
    learning = snapshot_of(router("{models: [anthropic/claude], learned: {explore: 0.1}}"))
    plain = snapshot_of(router("{models: [anthropic/claude]}"))
    assert (learning.routers["r"].learns, plain.routers["r"].learns) == (True, False)
    route = learning.routers["r"].default_route
    assert route is not None
    assert route.variants[0].preferences.learned == LearnedRule(explore=0.1)


def test_a_variant_with_one_model_is_told_that_there_is_no_choice() -> None:
    found = compiled(router("{learned: {}}"))
    assert isinstance(found, Snapshot)
    assert [(p.field, p.message) for p in found.warnings] == [
        (
            "default_route.variants[0].variant.model_selection.learned",
            "has no choice: the variant has one model; name more of them in models",
        )
    ]
    automatic = compiled(router("{learned: {}}", model="auto"))
    assert isinstance(automatic, Snapshot)
    assert automatic.warnings == ()


def test_without_fallbacks_all_models_stay_for_the_choice() -> None:
    snapshot = snapshot_of(router("{models: [anthropic/claude], provider: {allow_fallbacks: false}, learned: {}}"))
    route = snapshot.routers["r"].default_route
    assert route is not None
    assert [t.model for t in route.variants[0].targets] == ["openai/gpt-5", "anthropic/claude"]
