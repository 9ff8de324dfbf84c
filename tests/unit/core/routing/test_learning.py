"""The learned choice inside a decision: who is chosen among, what decides, and what the plan says of it."""

from __future__ import annotations

from typing import Any

import pytest

from services.core.policy.preferences import PRICE, TOGETHER, Cutoff, LabelDemand, Preferences, by
from services.core.policy.snapshot import Snapshot
from services.core.routing.context import RequestContext
from services.core.routing.decide import decide
from services.core.routing.health import HEALTHY, HealthView, Speed
from services.core.routing.learned.clusters import Clusters
from services.core.routing.learned.table import Cell, Table
from services.core.routing.learning import LONGEST_SEGMENT, NO_TABLES, Tabled, Tables, segment_of
from services.core.routing.plan import LearnedChoice, Plan, Undecided
from tests.support.policies import snapshot_of

KEY = ("r", "d", "v")
GPT, MINI, CLAUDE, LARGE = "openai/gpt-5", "openai/gpt-5-mini", "anthropic/claude", "mistral/large"
POLICY = """
- {kind: Provider, name: openai, type: openai, labels: {region: us}}
- {kind: Provider, name: anthropic, type: anthropic, labels: {region: eu}}
- {kind: Provider, name: mistral, type: openai_compatible, base_url: "https://api.mistral.example/v1", labels: {region: eu}}
- kind: Router
  name: r
  default_route:
    route_id: d
    variants:
    - weight: 100
      variant:
        variant_id: v
        model_id: openai/gpt-5
        model_selection:
          models: [openai/gpt-5-mini, anthropic/claude, mistral/large]
          learned: LEARNED
"""


def policy(learned: str = "{}", **more: str) -> Snapshot:
    text = POLICY.replace("LEARNED", learned)
    for key, value in more.items():
        text = text.replace("          learned:", f"          {key}: {value}\n          learned:")
    return snapshot_of(text)


def cells(reward: float, count: float = 100.0, cost: float = 0.0) -> list[Cell]:
    """What is known of a model for one kind: its mean reward and cost, of so many requests."""
    return [Cell(count, count * reward, count if cost else 0.0, count * cost, 0.0, 0.0)]


def tables(rewards: dict[str, list[list[Cell]]], kinds: str = "k", **more: Any) -> Tables:
    found = Table(Clusters(len(next(iter(rewards.values())))))
    for name, each in rewards.items():
        model, _, segment = name.partition("|")
        found.cells[model, segment] = [cell for (cell,) in each]
    return {KEY: Tabled("t1", kinds, found, decisions=1234, **more)}


BEST_CLAUDE = tables({GPT: [cells(0.5)], MINI: [cells(0.6)], CLAUDE: [cells(0.9)], LARGE: [cells(0.7)]})


def decided(
    snapshot: Snapshot, held: Tables = BEST_CLAUDE, seed: int = 1, health: HealthView = HEALTHY, **more: Any
) -> Plan:
    facts = {"phi": {0: 1.0}, "kinds": "k", **more}
    plan = decide(snapshot, RequestContext("inworld/r", **facts), health, 0.0, seed, held)
    assert isinstance(plan, Plan), plan
    return plan


def order(plan: Plan) -> list[str]:
    return [c.target.model for c in plan.candidates]


def learned(plan: Plan) -> LearnedChoice:
    assert plan.learned is not None
    return plan.learned


def told(plan: Plan) -> str:
    return next(reason for reason in plan.reasons if reason.startswith("learned choice"))


def test_the_best_for_the_kind_comes_first_and_the_others_by_score() -> None:
    plan = decided(policy())
    assert order(plan) == [CLAUDE, LARGE, MINI, GPT]
    assert learned(plan).choice.propensities == (1.0, 0.0, 0.0, 0.0)
    assert (learned(plan).table, learned(plan).kinds, learned(plan).phi) == ("t1", "k", {0: 1.0})
    assert told(plan).startswith(
        "learned choice by quality: anthropic/claude (table t1 of 1,234 decisions, kinds 0 1.00; "
    )
    assert "anthropic/claude 0.899 = 0.899 - 0.000 cost - 0.000 time, p 1.000" in told(plan)


def test_kinds_of_requests_get_different_models() -> None:
    held = tables({GPT: [cells(0.9), cells(0.1)], CLAUDE: [cells(0.1), cells(0.9)]})
    assert order(decided(policy(), held, phi={0: 1.0}))[0] == GPT
    assert order(decided(policy(), held, phi={1: 1.0}))[0] == CLAUDE


def test_exploring_is_logged_with_the_probability_that_it_had() -> None:
    snapshot = policy("{explore: 0.1, max_regret: 0}")
    plans = [decided(snapshot, seed=seed) for seed in range(400)]
    firsts = [order(plan)[0] for plan in plans]
    assert {learned(plan).choice.propensities for plan in plans} == {(0.7, 0.1, 0.1, 0.1)}
    assert 0.62 < firsts.count(CLAUDE) / 400 < 0.78
    assert all(0.05 < firsts.count(model) / 400 < 0.15 for model in (GPT, MINI, LARGE))
    for plan in plans:
        assert learned(plan).choice.models[0] == order(plan)[0]
        rest = [model for model in (CLAUDE, LARGE, MINI, GPT) if model != order(plan)[0]]
        assert order(plan)[1:] == rest


def test_without_a_table_priors_decide_and_no_more_is_explored_than_has_to_be() -> None:
    plan = decided(policy("{explore: 0.05}"), NO_TABLES, seed=3)
    assert "no table yet, so priors decide" in told(plan)
    assert [one.model for one in learned(plan).choice.scored] == [CLAUDE, LARGE, GPT, MINI], "equals as policy has them"
    assert [one.reward for one in learned(plan).choice.scored] == [0.8, 0.6, 0.5, 0.5]
    assert learned(plan).choice.propensities == pytest.approx((0.85, 0.05, 0.05, 0.05))
    assert learned(plan).table == ""


@pytest.mark.parametrize("held", [tables({GPT: [cells(1.0)]}, kinds="old"), {KEY: Tabled("t1", "old")}])
def test_a_table_of_other_kinds_does_not_decide(held: Tables) -> None:
    plan = decided(policy(), held)
    assert order(plan)[0] == CLAUDE
    assert "table t1 is about other kinds of requests, so priors decide" in told(plan)
    assert learned(plan).table == ""


def test_a_table_of_another_variant_does_not_decide() -> None:
    held = {("r", "d", "other"): BEST_CLAUDE[KEY], ("other", "d", "v"): BEST_CLAUDE[KEY]}
    assert "no table yet" in told(decided(policy(), held))


def test_a_model_that_the_table_does_not_know_has_its_prior() -> None:
    plan = decided(policy(), tables({GPT: [cells(0.7)], MINI: [cells(0.1)]}))
    assert {one.model: round(one.reward, 2) for one in learned(plan).choice.scored} == {
        GPT: 0.7, MINI: 0.1, CLAUDE: 0.8, LARGE: 0.6,
    }  # fmt: skip


def test_a_request_without_a_text_gets_the_prior_order_and_leaves_no_decision_to_learn_from() -> None:
    plan = decided(policy("{explore: 0.2}"), phi={}, kinds="")
    assert plan.learned is None
    assert "no text of the request is known, so priors decide" in told(plan)
    assert {tuple(order(decided(policy("{explore: 0.2}"), seed=n, phi={}, kinds=""))) for n in range(50)} == {
        (CLAUDE, LARGE, GPT, MINI)
    }


def test_a_segment_with_evidence_of_its_own_gets_its_own_choice() -> None:
    held = tables({GPT: [cells(0.8)], CLAUDE: [cells(0.7)], f"{CLAUDE}|pro": [cells(0.95)], f"{GPT}|pro": [cells(0.4)]})
    snapshot = policy("{segment: plan}")
    assert order(decided(snapshot, held))[0] == GPT
    assert order(decided(snapshot, held, metadata={"plan": "free"}))[0] == GPT
    pro = decided(snapshot, held, metadata={"plan": "pro"})
    assert (order(pro)[0], learned(pro).segment) == (CLAUDE, "pro")
    assert "segment 'pro'" in told(pro)


@pytest.mark.parametrize(
    ("value", "segment"),
    [("pro", "pro"), (True, "true"), (7, "7"), (1.5, ""), (None, ""), (["pro"], ""), ("x" * (LONGEST_SEGMENT + 1), "")],
)
def test_segments_are_short_plain_values(value: Any, segment: str) -> None:
    rule = policy("{segment: plan}").routers["r"].default_route
    assert rule is not None
    found = rule.variants[0].preferences.learned
    assert found is not None
    assert segment_of(found, {"plan": value}) == segment


def test_a_cheap_model_wins_where_cost_counts() -> None:
    held = tables({GPT: [cells(0.8, cost=0.1)], MINI: [cells(0.75, cost=0.001)]})
    only = Preferences(only=("openai",))
    assert order(decided(policy(), held, preferences=only))[0] == GPT
    assert order(decided(policy("{objective: cost}"), held, preferences=only))[0] == MINI


# who is chosen among --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "left"),
    [
        ({"needs": frozenset({"vision"})}, {GPT, MINI, CLAUDE}),
        ({"preferences": Preferences(ignore=("anthropic",))}, {GPT, MINI, LARGE}),
        ({"preferences": Preferences(only=("openai",))}, {GPT, MINI}),
        ({"preferences": Preferences(labels=(LabelDemand("region", "region", ("eu",)),))}, {CLAUDE, LARGE}),
        ({"least_tokens": 150_000}, {GPT, MINI, CLAUDE}),
    ],
)
def test_only_who_may_serve_is_chosen_among(facts: dict[str, Any], left: set[str]) -> None:
    plan = decided(policy("{explore: 0.1}"), **facts)
    assert set(order(plan)) == left
    assert {one.model for one in learned(plan).choice.scored} == left
    assert sum(learned(plan).choice.propensities) == pytest.approx(1.0)


def test_what_policy_rules_out_is_not_chosen() -> None:
    plan = decided(policy("{explore: 0.1}", ignore="[anthropic/claude]"))
    assert {one.model for one in learned(plan).choice.scored} == {GPT, MINI, LARGE}
    assert [s.model for s in plan.skipped] == [CLAUDE]


def test_without_fallbacks_only_the_chosen_one_is_tried() -> None:
    plan = decided(policy(provider="{allow_fallbacks: false}"))
    assert order(plan) == [CLAUDE]
    assert len(learned(plan).choice.scored) == 4


def test_the_order_of_providers_comes_first_and_the_choice_is_among_its_first() -> None:
    plan = decided(policy("{explore: 0.1}"), preferences=Preferences(order=("openai",)))
    assert {one.model for one in learned(plan).choice.scored} == {GPT, MINI}
    assert order(plan)[0] == learned(plan).choice.models[0]
    assert order(plan)[2:] == [CLAUDE, LARGE]


def test_what_is_slower_than_preferred_is_not_chosen() -> None:
    slow = HealthView(speeds={CLAUDE: Speed((9.0,)), GPT: Speed((0.1,))})
    plan = decided(policy(), health=slow, preferences=Preferences(max_latency=(Cutoff(0.5, 1.0),)))
    assert order(plan) == [LARGE, MINI, GPT, CLAUDE]
    assert CLAUDE not in {one.model for one in learned(plan).choice.scored}


def test_models_that_the_request_names_stay_behind_the_variants_own() -> None:
    plan = decided(policy(), models=("mistral/gpt-5",))
    assert order(plan) == [CLAUDE, LARGE, MINI, GPT, "mistral/gpt-5"]
    assert "mistral/gpt-5" not in {one.model for one in learned(plan).choice.scored}


def test_a_request_that_puts_its_own_model_first_was_not_decided_by_what_was_learned() -> None:
    snapshot = policy(ignore="[mistral]")
    plan = decided(snapshot, models=("mistral/gpt-5",), preferences=Preferences(order=("mistral",)))
    assert order(plan)[0] == "mistral/gpt-5"
    assert plan.learned is None
    assert "not by the learned choice: the request puts its own models first" in plan.reasons


def test_a_request_that_sorts_by_itself_is_sorted_as_it_asks() -> None:
    plan = decided(policy("{explore: 0.2}"), preferences=Preferences(sort=(by(PRICE),), together=TOGETHER))
    assert order(plan)[0] == MINI
    assert plan.learned is None
    assert not any(reason.startswith("learned") for reason in plan.reasons)


def test_an_automatic_choice_is_among_the_best_that_it_would_try() -> None:
    text = POLICY.replace("LEARNED", "{}").replace("model_id: openai/gpt-5", "model_id: auto")
    plan = decided(snapshot_of(text))
    assert plan.automatic
    assert order(plan) == [CLAUDE, LARGE, MINI]
    own = decided(snapshot_of(text), preferences=Preferences(sort=(by(PRICE),), together=TOGETHER))
    assert (order(own)[0], own.learned) == (MINI, None)


def test_a_benched_model_is_chosen_all_the_same_and_the_plan_says_so() -> None:
    plan = decided(policy(), health=HealthView({CLAUDE: 60.0}))
    assert order(plan)[0] == CLAUDE
    assert f"benched, so tried last: {CLAUDE}" in plan.reasons


def test_where_nothing_may_serve_there_is_no_choice() -> None:
    context = RequestContext("inworld/r", phi={0: 1.0}, kinds="k", preferences=Preferences(only=("nobody",)))
    found = decide(policy(), context, HEALTHY, 0.0, 1, BEST_CLAUDE)
    assert isinstance(found, Undecided)


def test_a_session_keeps_its_model_whatever_the_seed_and_every_session_draws_with_the_logged_probability() -> None:
    snapshot, chosen = policy("{explore: 0.2}"), []
    for number in range(600):
        plans = [decided(snapshot, seed=seed, session=f"s{number}") for seed in (number, number + 1)]
        assert order(plans[0]) == order(plans[1])
        assert learned(plans[0]).session == f"s{number}"
        chosen.append(order(plans[0])[0])
    choice = learned(plans[0]).choice
    for one, p in zip(choice.scored, choice.propensities, strict=True):
        assert chosen.count(one.model) / 600 == pytest.approx(p, abs=0.06)
    assert learned(decided(snapshot)).session == ""


def test_a_session_draws_anew_at_another_variant() -> None:
    snapshot = policy("{explore: 0.2}")
    other = snapshot_of(POLICY.replace("LEARNED", "{explore: 0.2}").replace("variant_id: v", "variant_id: w"))
    firsts = [
        (order(decided(snapshot, NO_TABLES, session=f"s{n}"))[0], order(decided(other, NO_TABLES, session=f"s{n}"))[0])
        for n in range(40)
    ]
    assert len({one for one, _ in firsts}) == 4
    assert any(one != another for one, another in firsts)
