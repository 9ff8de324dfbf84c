"""Assignment and decision: deterministic, sticky, and as weighted."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.policy.compile import Problems, compile
from services.core.policy.snapshot import Snapshot
from services.core.routing.assign import slot_of
from services.core.routing.context import RequestContext
from services.core.routing.decide import NO_ROUTE, decide
from services.core.routing.health import HEALTHY
from services.core.routing.plan import Plan, Undecided
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.conditions import CelCompiler
from tests.support.inprocess import policy_set

CATALOGUE, CONDITIONS = ShippedCatalogue(), CelCompiler()
PROVIDERS: list[dict[str, Any]] = [
    {"kind": "Provider", "name": "openai", "type": "openai"},
    {"kind": "Provider", "name": "anthropic", "type": "anthropic"},
]


def route(name: str, **weights: int) -> dict[str, Any]:
    variants = [{"weight": w, "variant": {"variant_id": v, "model_id": f"openai/{v}"}} for v, w in weights.items()]
    return {"route_id": name, "variants": variants}


def snapshot_of(*forms: dict[str, Any]) -> Snapshot:
    documents = {k: e.document for k, e in policy_set(*PROVIDERS, *forms).entries.items()}
    compiled = compile(documents, CONDITIONS, CATALOGUE)
    assert not isinstance(compiled, Problems), compiled
    return compiled


SPLIT = {"kind": "Router", "name": "split", "default_route": route("d", a=90, b=10)}
RULES = {
    "kind": "Router",
    "name": "rules",
    "routes": [
        {"condition": {"cel_expression": 'tier == "premium"'}, "route": route("premium", p=100)},
        {
            "condition": {"cel_expression": 'messages.last().content.matches("(?i)refund")'},
            "route": route("refund", r=100),
        },
    ],
}


def test_slots_are_the_same_on_every_machine() -> None:
    assert [slot_of("r/d", u) for u in ("", "user-42", "Zoë", "a" * 1000)] == GOLDEN
    assert slot_of("r/d", "u") != slot_of("r/e", "u")


GOLDEN = [342, 5914, 1032, 6499]


def test_users_are_split_as_weighted_and_stay_where_they_are() -> None:
    snapshot = snapshot_of(SPLIT)
    changed = snapshot_of(SPLIT, RULES)
    counts: Counter[str] = Counter()
    for number in range(4_000):
        context = RequestContext("inworld/split", user=f"user-{number}")
        plan = decide(snapshot, context, HEALTHY, 0.0, number)
        again = decide(changed, context, HEALTHY, 5.0, number + 1)
        assert isinstance(plan, Plan)
        assert isinstance(again, Plan)
        assert plan.variant_id == again.variant_id
        counts[plan.variant_id] += 1
    assert 0.08 < counts["b"] / 4_000 < 0.12


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["inworld/split", "inworld/rules", "openai/gpt-5", "gpt-5", "no/such", "split", ""]),
    st.lists(st.sampled_from(["anthropic/claude-haiku-4-5", "openai/gpt-5", "x/y"]), max_size=3),
    st.dictionaries(st.sampled_from(["tier", "x"]), st.sampled_from(["premium", 3, None, True]), max_size=2),
    st.integers(0, 2**64 - 1),
)
def test_a_decision_is_determined_by_its_arguments(
    model: str, models: list[str], metadata: dict[str, Any], seed: int
) -> None:
    snapshot = snapshot_of(SPLIT, RULES)
    context = RequestContext(model, tuple(models), metadata=metadata)
    first = decide(snapshot, context, HEALTHY, 0.0, seed)
    assert decide(snapshot, context, HEALTHY, 0.0, seed) == first
    if isinstance(first, Plan):
        names = [c.target.model for c in first.candidates]
        assert names
        assert len(names) == len(set(names))


def test_conditions_choose_and_nothing_matching_is_said_in_inworlds_words() -> None:
    snapshot = snapshot_of(RULES)

    def route_of(metadata: dict[str, Any], text: str = "") -> str:
        messages = ({"role": "user", "content": text},)
        found = decide(snapshot, RequestContext("inworld/rules", metadata=metadata, messages=messages), HEALTHY, 0.0, 1)
        return found.message if isinstance(found, Undecided) else found.route_id

    assert route_of({"tier": "premium"}) == "premium"
    assert route_of({"tier": "free"}, "I want a REFUND") == "refund"
    assert route_of({}, "hello") == NO_ROUTE == "No route matched. Configure a default route or adjust conditions."
