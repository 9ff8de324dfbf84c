"""Clocks and retry rules: what is set is laid over what is below."""

from __future__ import annotations

from services.core.policy.documents import Clocks, Retry
from services.core.policy.rules import RetryRule, retry_rule, set_clocks

BASE = RetryRule(2, 6, 1.0, 60.0)


def test_only_clocks_that_are_set_are_named() -> None:
    assert set_clocks(None) == set_clocks(Clocks()) == {}
    assert set_clocks(Clocks(connect=1.0, idle=2.0)) == {"connect": 1.0, "idle": 2.0}


def test_a_retry_rule_sets_what_it_names() -> None:
    assert retry_rule(BASE, None) is BASE
    assert retry_rule(BASE, Retry()) == BASE
    assert retry_rule(BASE, Retry(max_attempts=3)) == RetryRule(2, 3, 1.0, 60.0)


def test_nought_is_a_setting_and_not_its_absence() -> None:
    assert retry_rule(BASE, Retry(max_retries=0, max_wait=0.0)) == RetryRule(0, 6, 0.0, 60.0)
