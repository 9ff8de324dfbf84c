"""The learned choice under whatever was learned: exact probabilities, the same arm, the same plan again."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.policy.preferences import Preferences
from services.core.routing.assign import slot_of
from services.core.routing.context import RequestContext
from services.core.routing.decide import decide
from services.core.routing.health import HealthView
from services.core.routing.learned.choice import OBJECTIVES, drawn
from services.core.routing.learned.clusters import Clusters
from services.core.routing.learned.table import Cell, Table
from services.core.routing.learning import NO_TABLES, Tabled, Tables
from services.core.routing.plan import Plan, Undecided
from tests.support.policies import snapshot_of

MODELS = ("openai/gpt-5", "openai/gpt-5-mini", "anthropic/claude", "mistral/large")
KINDS = 3
POLICY = """
- {kind: Provider, name: openai, type: openai}
- {kind: Provider, name: anthropic, type: anthropic}
- {kind: Provider, name: mistral, type: openai_compatible, base_url: "https://api.mistral.example/v1"}
- kind: Router
  name: r
  default_route:
    route_id: d
    variants:
    - weight: 50
      variant: {variant_id: fixed, model_id: openai/gpt-5, model_selection: {models: [mistral/large]}}
    - weight: 50
      variant: {variant_id: v, model_id: openai/gpt-5, model_selection: {models: MODELS, learned: LEARNED}}
""".replace("MODELS", str(list(MODELS[1:])))
SNAPSHOTS = {
    (objective, explore): snapshot_of(POLICY.replace("LEARNED", f"{{objective: {objective}, explore: {explore}}}"))
    for objective in OBJECTIVES
    for explore in (0.0, 0.02, 0.2)
}

amounts = st.floats(0.0, 500.0)
cell = st.builds(
    lambda n, r, p, c, t, s: Cell(n, n * r, p, p * c, t, t * s),
    amounts, st.floats(0.0, 1.0), amounts, st.floats(0.0, 1.0), amounts, st.floats(0.0, 60.0),
)  # fmt: skip
cells = st.lists(cell, min_size=KINDS, max_size=KINDS)
learned = st.dictionaries(st.tuples(st.sampled_from(MODELS), st.sampled_from(["", "pro"])), cells)
phis = st.dictionaries(st.integers(0, KINDS - 1), st.floats(0.01, 1.0), min_size=1).map(
    lambda found: {kind: weight / sum(found.values()) for kind, weight in found.items()}
)
preferences = st.sampled_from(
    [Preferences(), Preferences(ignore=("anthropic",)), Preferences(order=("mistral",)), Preferences(only=("openai",))]
)


def tables_of(found: Any) -> Tables:
    return {("r", "d", "v"): Tabled("t", "k", Table(Clusters(KINDS), cells=found))}


@settings(max_examples=200, deadline=None)
@given(
    learned,
    phis,
    preferences,
    st.sampled_from(sorted(SNAPSHOTS)),
    st.integers(0, 2**64 - 1),
    st.text(max_size=5),
    st.sets(st.sampled_from(MODELS)),
)
def test_a_choice_is_exact_among_who_may_serve_and_never_changes_the_arm(
    found: Any, phi: Any, asked: Preferences, which: Any, seed: int, user: str, benched: set[str]
) -> None:
    snapshot, explore = SNAPSHOTS[which], which[1]
    context = RequestContext("inworld/r", user=user, phi=phi, kinds="k", preferences=asked, metadata={"plan": "pro"})
    tables, health = tables_of(found), HealthView(dict.fromkeys(benched, 9.0))
    plan = decide(snapshot, context, health, 0.0, seed, tables)
    assert not isinstance(plan, Undecided)
    assert plan == decide(snapshot, context, health, 0.0, seed, tables), "a plan can be made again"
    without = decide(snapshot, context, HealthView(), 5.0, seed, NO_TABLES)
    assert isinstance(without, Plan)
    assert (plan.variant_id, plan.slot, plan.exposed) == (without.variant_id, without.slot, without.exposed)
    assert {c.target.model for c in plan.candidates} == {c.target.model for c in without.candidates}
    if user:
        assert plan.variant_id == ("fixed" if slot_of("r/d", user) < 5_000 else "v")
    assert (plan.learned is not None) == (plan.variant_id == "v")
    if plan.learned is not None:
        choice = plan.learned.choice
        models = [one.model for one in choice.scored]
        assert set(models) <= {c.target.model for c in plan.candidates}
        assert abs(sum(choice.propensities) - 1.0) < 1e-9
        assert min(choice.propensities) >= min(explore, 1.0 / len(models)) - 1e-12
        first = plan.candidates[0].target.model
        chances = dict(zip((one.model for one in choice.scored), choice.propensities, strict=True))
        assert first == choice.models[0] == drawn(chances, seed)
        assert choice.propensity > 0.0
