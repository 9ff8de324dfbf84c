"""Bounds of shadows, with a clock of the test's own."""

from __future__ import annotations

from services.core.policy.snapshot import ShadowRule
from services.dataplane.shadows import _Budget, _Spent
from tests.unit.dataplane.build import candidate

TARGET = candidate().target


def _taken(budget: _Budget, rule: ShadowRule, expected: float | None, now: float) -> _Spent:
    found = budget.take(rule, expected, now)
    assert isinstance(found, _Spent), found
    return found


def test_a_rate_below_one_lets_one_through_and_then_waits() -> None:
    budget, rule = _Budget(), ShadowRule(TARGET, max_per_second=0.5, max_cost_per_hour=0.0)
    _taken(budget, rule, None, 1000.0)
    assert budget.take(rule, None, 1001.9) == "rate"
    _taken(budget, rule, None, 1002.0)


def test_a_rate_lets_a_second_of_it_through_at_once() -> None:
    budget, rule = _Budget(), ShadowRule(TARGET, max_per_second=3.0, max_cost_per_hour=0.0)
    found = [budget.take(rule, None, 1000.0) for _ in range(5)]
    assert [isinstance(one, _Spent) for one in found] == [True, True, True, False, False]


def test_an_hour_costs_no_more_than_its_bound_and_what_was_expected_gives_way_to_what_was_spent() -> None:
    budget, rule = _Budget(), ShadowRule(TARGET, max_per_second=100.0, max_cost_per_hour=1.0)
    first = _taken(budget, rule, 0.6, 1000.0)
    assert budget.take(rule, 0.6, 1001.0) == "cost"
    first.cost_usd = 0.1
    second = _taken(budget, rule, 0.6, 1002.0)
    second.cost_usd = 2.0
    assert budget.take(rule, 0.001, 4000.0) == "cost"
    _taken(budget, rule, 0.6, 1002.0 + 3600.0)


def test_a_bound_on_the_cost_lets_nothing_through_whose_price_is_not_known() -> None:
    budget = _Budget()
    assert budget.take(ShadowRule(TARGET), None, 1000.0) == "unpriced"
    _taken(budget, ShadowRule(TARGET, max_cost_per_hour=0.0), None, 1000.0)
