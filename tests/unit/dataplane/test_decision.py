"""What a caller is shown of a decision that it asked for, and the sentence that everybody gets."""

from __future__ import annotations

import pytest

from services.core.policy.preferences import LATENCY, PRICE, by
from services.core.routing.auto import Score, Term
from services.core.routing.plan import Scored, Skipped
from services.dataplane.decision import MAX_LISTED, asks_explanation, decision_of
from services.dataplane.trail import evidence_of, reasoning_of
from tests.unit.dataplane.build import candidate, plan, trail


def test_a_decision_has_the_route_its_condition_the_slot_the_terms_and_what_was_skipped() -> None:
    cheap = Scored("a/x", Score((Term(by(LATENCY), None), Term(by(PRICE), 1.5))))
    shown = decision_of(
        plan(
            candidate("a/x"),
            candidate("b/y"),
            router_id="r",
            route_id="spanish",
            variant_id="v",
            condition='language == "es"',
            slot=1234,
            unit="user-42",
            unit_kind="user",
            exposed=True,
            scores=(cheap,),
            skipped=(Skipped("c/z", "it cannot call tools"),),
        )
    )
    assert shown == {
        "router": "r",
        "route": "spanish",
        "variant": "v",
        "condition": 'language == "es"',
        "slot": 1234,
        "unit": "user",
        "exposed": True,
        "candidates": [{"model": "a/x", "terms": {"latency": None, "price": 1.5}}, {"model": "b/y"}],
        "skipped": [{"model": "c/z", "why": "it cannot call tools"}],
    }
    assert "user-42" not in str(shown)


def test_a_direct_model_is_its_candidates() -> None:
    assert decision_of(plan()) == {"candidates": [{"model": "openai/gpt-5"}], "skipped": []}


def test_a_long_list_is_cut_and_counted() -> None:
    skipped = tuple(Skipped(f"p/{n}", "no") for n in range(MAX_LISTED + 3))
    shown = decision_of(plan(skipped=skipped, automatic=True))
    assert (len(shown["skipped"]), shown["more_skipped"], shown["automatic"]) == (MAX_LISTED, 3, True)
    assert "more_candidates" not in shown


@pytest.mark.parametrize(("value", "asked"), [("true", True), ("True", True), ("1", False), ("", False)])
def test_only_true_asks(value: str, asked: bool) -> None:
    assert asks_explanation({"x-turnout-explain": value}) is asked


def test_a_decision_is_shown_only_to_who_asked() -> None:
    assert "decision" in evidence_of(trail(plan=plan(), explain=True), 100.0).metadata
    assert "decision" not in evidence_of(trail(plan=plan()), 100.0).metadata
    assert "decision" not in evidence_of(trail(explain=True), 100.0).metadata


def test_the_sentence_names_the_condition_and_the_slot() -> None:
    routed = plan(
        router_id="r", route_id="a", variant_id="b", condition="x\n  == 1", slot=1234, unit_kind="metadata.team"
    )
    assert reasoning_of(trail(plan=routed)) == (
        "Router 'r' chose route 'a' (x == 1), variant 'b' (slot 1,234 of this team)"
    )
    drawn = plan(router_id="r", route_id="a", variant_id="b", slot=7, condition="x" * 200)
    told = reasoning_of(trail(plan=drawn))
    assert told.endswith("x...), variant 'b' (slot 7, drawn)")
    assert len(told) < 140
