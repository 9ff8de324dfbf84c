"""The built-in settings, which users see when they set nothing."""

from __future__ import annotations

import dataclasses

from services.core.policy.documents import Clocks, Retry
from services.core.policy.rules import ClockRule, RetryRule


def test_the_built_in_clocks_and_bounds_are_the_documented_ones() -> None:
    assert dataclasses.asdict(ClockRule()) == {
        "connect": 2.0,
        "headers": 20.0,
        "first_event": 20.0,
        "first_content": 20.0,
        "idle": 30.0,
        "total": 600.0,
        "ttft": None,
        "min_tokens_per_second": 0.0,
        "pings_are_activity": True,
        "reasoning_is_content": True,
    }
    rule = RetryRule()
    assert (rule.max_retries, rule.max_attempts, rule.max_wait) == (1, 5, 3.0)


def test_every_clock_that_policy_can_set_is_one_that_an_attempt_has() -> None:
    assert [f.name for f in dataclasses.fields(Clocks)] == [f.name for f in dataclasses.fields(ClockRule)]


def test_every_bound_that_policy_can_set_is_one_that_a_request_has() -> None:
    assert {f.name for f in dataclasses.fields(Retry)} <= {f.name for f in dataclasses.fields(RetryRule)}
