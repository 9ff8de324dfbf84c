"""Which variants learn."""

from __future__ import annotations

from typing import Any

import pytest

from services.controlplane.board import Board
from services.controlplane.learning.variants import Variants
from services.controlplane.policy import PolicyAdmin
from services.controlplane.store.memory import MemoryStore
from services.core.discovery.canary import Canary
from services.core.discovery.messages import PolicySet, documents_of
from services.core.policy.compile import Problems
from services.core.policy.snapshot import Snapshot
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.conditions import CelCompiler
from tests.support.inprocess import policy_set

PROVIDER = {"kind": "Provider", "name": "a", "type": "openai"}


def router(*selections: dict[str, Any], name: str = "r") -> dict[str, Any]:
    """A router without any ids: a route with a condition for each selection but the last one."""
    routes = [{"variants": [{"weight": 100, "variant": {"model_id": "a/m", "model_selection": s}}]} for s in selections]
    rules = [{"condition": {"cel_expression": "plan == 'x'"}, "route": route} for route in routes[:-1]]
    return {"kind": "Router", "name": name, "routes": rules, "default_route": routes[-1]}


def learns(**rule: Any) -> dict[str, Any]:
    return {"models": ["a/n"], "learned": rule}


class Compiler:
    def __init__(self) -> None:
        self._admin = PolicyAdmin(MemoryStore(), CelCompiler(), ShippedCatalogue())
        self.calls = 0

    def __call__(self, documents: Any, revision: int) -> Snapshot | Problems:
        self.calls += 1
        return self._admin.compile(documents, revision)


def shown(policy: PolicySet, canary: Canary | None = None) -> tuple[Variants, Compiler, Board]:
    board, compiler = Board(), Compiler()
    board.show(policy, canary)
    return Variants(board, compiler), compiler, board


def test_a_variant_without_ids_is_known_by_those_that_requests_have_it_under() -> None:
    variants, _, _ = shown(policy_set(PROVIDER, router(learns(metric="x"), {"models": ["a/n"]}, learns())))
    found = variants.learning()
    assert [str(name) for name in found] == ["r/default/default", "r/route-1/default"]
    assert [rule.metric for rule in found.values()] == ["", "x"]


def test_a_policy_is_compiled_once_and_only_if_something_learns() -> None:
    variants, compiler, board = shown(policy_set(PROVIDER, router({"models": ["a/n"]})))
    assert variants.learning() == {}
    assert compiler.calls == 0
    board.show(policy_set(PROVIDER, router(learns())))
    for _ in range(3):
        assert len(variants.learning()) == 1
    assert compiler.calls == 1


def test_what_learns_at_the_workers_of_the_canary_learns_too_and_policy_counts() -> None:
    policy = policy_set(PROVIDER, router(learns(metric="stars")), router({"models": ["a/n"]}, name="s"))
    draft = policy_set(router(learns(metric="thumbs")), router(learns(metric="thumbs"), name="s"))
    canary = Canary("next", 50.0, (), puts=documents_of(draft))
    variants, _, board = shown(policy, canary)
    assert {str(name): rule.metric for name, rule in variants.learning().items()} == {
        "r/default/default": "stars",
        "s/default/default": "thumbs",
    }
    board.show(policy)
    assert [str(name) for name in variants.learning()] == ["r/default/default"]


def test_a_policy_that_does_not_compile_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    variants, _, board = shown(policy_set(PROVIDER, router(learns())))
    assert [str(name) for name in variants.learning()] == ["r/default/default"]
    board.show(policy_set(router(learns(), learns())))
    assert [str(name) for name in variants.learning()] == ["r/default/default"]
    assert "does not compile" in caplog.text
