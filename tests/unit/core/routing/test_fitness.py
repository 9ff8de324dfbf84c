"""What a target cannot do or hold leaves it out; what nobody knows does not."""

from __future__ import annotations

import dataclasses

import pytest

from services.core.policy.documents import Capabilities
from services.core.policy.snapshot import CompiledProvider, Snapshot, Target
from services.core.routing.context import RequestContext
from services.core.routing.decide import decide
from services.core.routing.fitness import CANNOT, roomy, too_small, unable
from services.core.routing.health import HEALTHY
from services.core.routing.plan import Plan
from tests.support.policies import snapshot_of

PROVIDER = CompiledProvider("p", "openai", "https://p.example")


def target(context: int = 0, **able: bool | None) -> Target:
    return Target(f"p/m{context}", PROVIDER, "m", context, Capabilities(**able))


def test_every_need_is_a_capability_and_every_capability_that_a_request_can_need_is_there() -> None:
    names = {field.name for field in dataclasses.fields(Capabilities)}
    assert names - CANNOT.keys() == {"prefill", "reasoning", "temperature"}, "answers stay true without these"
    assert CANNOT.keys() <= names


@pytest.mark.parametrize("need", CANNOT)
def test_only_what_is_known_to_be_missing_excludes(need: str) -> None:
    assert unable(target(**{need: False}), {need}) == CANNOT[need]
    assert unable(target(**{need: True}), {need}) == ""
    assert unable(target(**{need: None}), {need}) == ""
    assert unable(target(**{need: False}), set()) == ""


def test_a_prompt_that_surely_does_not_fit_leaves_a_target_out_unless_it_fits_none() -> None:
    small, large, unknown = target(8_000), target(100_000), target(0)
    assert too_small(small, 8_000) == ""
    assert "8,000 tokens is too short for a prompt of at least 8,001" in too_small(small, 8_001)
    assert too_small(unknown, 10**9) == ""
    assert list(roomy([small, large, unknown], 9_000)) == [large, unknown]
    assert list(roomy([small, large], 200_000)) == [small, large]


def snapshot() -> Snapshot:
    return snapshot_of("""
- {kind: Provider, name: openai, type: openai}
- {kind: Model, name: openai/small, context_length: 8000}
- {kind: Model, name: openai/large, context_length: 100000}
""")


def test_the_decision_tells_who_was_too_small() -> None:
    asked = RequestContext("openai/small", models=("openai/large",), least_tokens=20_000)
    plan = decide(snapshot(), asked, HEALTHY, 0.0, 1)
    assert isinstance(plan, Plan)
    assert [c.target.model for c in plan.candidates] == ["openai/large"]
    assert [(s.model, s.why) for s in plan.skipped] == [
        (
            "openai/small",
            "its context of 8,000 tokens is too short for a prompt of at least 20,000 tokens",
        )
    ]
    alone = decide(snapshot(), RequestContext("openai/small", least_tokens=20_000), HEALTHY, 0.0, 1)
    assert isinstance(alone, Plan)
    assert [c.target.model for c in alone.candidates] == ["openai/small"], "its provider shall say so"
