"""The words of a decision, line by line."""

from __future__ import annotations

from services.core.policy.rules import ClockRule, RetryRule
from services.core.policy.snapshot import CompiledProvider, Target
from services.core.routing.plan import Candidate, Plan, Skipped, Undecided
from tests.support.explain import explain

PROVIDER = CompiledProvider("p", "openai", "http://provider")


def candidate(model: str) -> Candidate:
    return Candidate(Target(f"p/{model}", PROVIDER, model), ClockRule())


def test_a_plan_is_its_reasons_then_what_was_skipped_then_the_order() -> None:
    plan = Plan(
        (candidate("a"), candidate("b")),
        RetryRule(),
        "v",
        1,
        1,
        reasons=("because",),
        skipped=(Skipped("p/c", "it cannot"),),
    )
    assert explain(plan) == ["because", "skipped p/c: it cannot", "1. p/a", "2. p/b"]


def test_no_plan_is_its_reasons_then_what_the_caller_sees() -> None:
    assert explain(Undecided("NO_ROUTE", "none matched", ("because",))) == ["because", "NO_ROUTE: none matched"]
