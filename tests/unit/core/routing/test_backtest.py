"""Decisions of the past under another policy."""

from __future__ import annotations

from typing import Any

import pytest

from services.core.pricing import TokenUsage
from services.core.routing.backtest import LEARNED, Past, Place, replay
from services.core.routing.context import RequestContext
from services.core.routing.decide import decide
from services.core.routing.health import HEALTHY
from services.core.routing.plan import Plan
from services.core.values import changed
from tests.support.policies import snapshot_of

PROVIDERS = "\n".join(
    f"- {{kind: Provider, name: {name}, type: openai_compatible, base_url: 'http://x'}}"
    for name in ("openai", "anthropic", "mistral")
)


def _policy(expression: str, first: str, other: str = "mistral/large", experiment: str = "") -> str:
    return f"""{PROVIDERS}
- kind: Router
  name: r
  routes:
  - condition: {{cel_expression: '{expression}'}}
    route: {{route_id: es, variants: [{{weight: 100, variant: {{variant_id: v, model_id: {first}}}}}]}}
  default_route:
    route_id: rest
    {experiment}
    variants:
    - {{weight: 50, variant: {{variant_id: a, model_id: openai/gpt-5}}}}
    - {{weight: 50, variant: {{variant_id: b, model_id: {other}}}}}
"""


PRESENT = snapshot_of(_policy('language == "es"', "openai/gpt-5"))
DEARER = snapshot_of(_policy('language == "es"', "anthropic/claude"))
SALTED = snapshot_of(_policy('language == "es"', "openai/gpt-5", experiment="experiment: {salt: other}"))
READING = snapshot_of(_policy('messages[0].content == "x"', "openai/gpt-5"))


def _past(**more: Any) -> Past:
    base: dict[str, Any] = {
        "context": RequestContext("inworld/r", metadata={"language": "es"}),
        "place": Place("r", "es", "v", "openai/gpt-5"),
        "seed": 7,
        "known": frozenset({"language"}),
        "usage": TokenUsage(1_000_000, 100_000),
        "cost_usd": 2.25,
    }
    return Past(**{**base, **more})


def test_the_same_policy_changes_nothing_and_costs_what_it_did() -> None:
    again = replay(_past(cost_usd=9.99), PRESENT, PRESENT)
    assert (again.place, again.cost_usd, again.redrawn) == (Place("r", "es", "v", "openai/gpt-5"), 9.99, False)


def test_another_model_costs_its_own_price_for_the_same_tokens() -> None:
    again = replay(_past(), DEARER, PRESENT)
    assert again.place == Place("r", "es", "v", "anthropic/claude")
    assert again.cost_usd == pytest.approx(3.0 + 1.5)


def test_what_a_condition_reads_and_the_record_lacks_is_never_guessed() -> None:
    assert replay(_past(known=frozenset()), PRESENT).missing == ("language",)
    assert replay(_past(), READING).missing == ("messages",)
    # A key that is known to be absent is a fact as well.
    absent = replay(_past(context=RequestContext("inworld/r")), PRESENT)
    assert absent.place is not None
    assert absent.place.route == "rest"


def test_what_a_direct_model_does_needs_no_metadata() -> None:
    again = replay(_past(context=RequestContext("openai/gpt-5"), known=frozenset()), DEARER)
    assert again.place == Place(model="openai/gpt-5")


def test_a_slot_is_kept_where_it_means_the_same_and_redrawn_where_not() -> None:
    rest = RequestContext("inworld/r", user="5f0c")
    moved = 0
    for slot in range(0, 10_000, 500):
        past = _past(context=rest, place=Place("r", "rest", "a", "openai/gpt-5"), slot=slot)
        kept = replay(past, DEARER, PRESENT)
        assert kept.place is not None
        assert (kept.place.variant, kept.redrawn) == ("a" if slot < 5_000 else "b", False)
        other = replay(past, SALTED, PRESENT)
        assert other.redrawn
        moved += other.place != kept.place
    assert moved > 0


def test_a_request_that_drew_draws_the_same_again() -> None:
    for seed in range(20):
        plan = decide(PRESENT, RequestContext("inworld/r"), HEALTHY, 0.0, seed)
        assert isinstance(plan, Plan)
        again = replay(_past(context=RequestContext("inworld/r"), seed=seed), PRESENT, PRESENT)
        assert again.place is not None
        assert (again.place.variant, again.redrawn) == (plan.variant_id, False)


def test_what_nothing_serves_any_more_is_a_refusal() -> None:
    again = replay(_past(context=RequestContext("inworld/gone")), DEARER, PRESENT)
    assert again.place is None
    assert "there is no router 'gone'" in again.refusal


def test_an_unknown_price_is_no_price() -> None:
    moved = snapshot_of(_policy('language == "es"', "mistral/gpt-5"))
    assert replay(_past(), moved, PRESENT).cost_usd is None
    assert replay(changed(_past(), usage=None), DEARER, PRESENT).cost_usd is None


LEARNING = snapshot_of(
    _policy('language == "es"', "openai/gpt-5, model_selection: {models: [mistral/large], learned: {}}")
)


def test_what_would_be_chosen_by_what_was_learned_is_not_guessed() -> None:
    assert replay(_past(), LEARNING, PRESENT).missing == (LEARNED,)
    elsewhere = RequestContext("inworld/r", metadata={"language": "de"})
    assert replay(_past(context=elsewhere), LEARNING, PRESENT).missing == (), "another variant does not learn"
    direct = RequestContext("openai/gpt-5")
    assert replay(_past(context=direct), LEARNING, PRESENT).missing == ()
