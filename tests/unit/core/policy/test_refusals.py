"""What targets are known not to take."""

from __future__ import annotations

from dataclasses import replace

from services.core.policy.documents import Capabilities
from services.core.policy.refusals import not_taken
from services.core.policy.snapshot import CompiledProvider, Target


def target(kind: str) -> Target:
    return Target("p/m", CompiledProvider("p", kind, "http://p", protocol=kind), "m")


def test_what_a_vendor_refuses_is_not_taken() -> None:
    assert not_taken(target("openai"), {"top_k", "temperature"}) == ["top_k"]
    assert not_taken(target("anthropic"), {"seed", "top_k", "temperature"}) == ["seed"]


def test_what_nobody_knows_may_be_taken() -> None:
    assert not_taken(target("openai_compatible"), {"top_k", "seed", "tools"}) == []


def test_either_limit_of_tokens_is_taken_by_all() -> None:
    for kind in ("openai", "anthropic", "openai_compatible", "groq"):
        assert not_taken(target(kind), {"max_tokens", "max_completion_tokens"}) == []


def test_what_a_model_cannot_do_needs_no_parameter() -> None:
    able = replace(target("openai_compatible"), capabilities=Capabilities(tools=False, reasoning=False))
    assert not_taken(able, {"tools", "tool_choice", "reasoning", "seed"}) == ["reasoning", "tool_choice", "tools"]
