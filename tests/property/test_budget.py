"""Windows and budgets against twins that keep every event in a list."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.attempts.budget import FULL, WINDOW_SECONDS, after_request, withdraw
from services.core.attempts.window import Window, counted, totals
from services.core.policy.rules import BudgetRule

SECONDS = 10.0
gaps = st.one_of(st.floats(0.0, 2.0), st.floats(0.0, 30.0), st.sampled_from([0.0, 10.0, 20.0]))
events = st.lists(st.tuples(gaps, st.booleans()), max_size=80)


class ListTwin:
    """Every event with its instant and its bucket. A bucket begins where the one before it ends, or, after
    two silent ones, with the event that breaks the silence."""

    def __init__(self) -> None:
        self.events: list[tuple[float, int, bool]] = []
        self.began, self.bucket = -math.inf, 0

    def bucket_at(self, now: float) -> tuple[float, int]:
        age = now - self.began
        if age < SECONDS:
            return self.began, self.bucket
        return (self.began + SECONDS, self.bucket + 1) if age < 2 * SECONDS else (now, self.bucket + 2)

    def count(self, now: float, good: bool) -> None:
        self.began, self.bucket = self.bucket_at(now)
        self.events.append((now, self.bucket, good))

    def total(self, now: float, *, good: bool) -> float:
        """All of the present bucket, and of the one before as much as reaches into the last `SECONDS`."""
        began, bucket = self.bucket_at(now)
        present = sum(g is good and b == bucket for _, b, g in self.events)
        before = sum(g is good and b == bucket - 1 for _, b, g in self.events)
        return present + before * (1.0 - (now - began) / SECONDS)

    def within(self, now: float, seconds: float, good: bool) -> int:
        return sum(g is good and now - seconds < at <= now for at, _, g in self.events)


@given(st.floats(0.0, 1e6), events, st.floats(0.0, 25.0))
def test_a_window_counts_as_its_list_twin_does(start: float, script: list[tuple[float, bool]], later: float) -> None:
    window, twin, now = Window(started=start - 100.0), ListTwin(), start
    for gap, good in script:
        now += gap
        window = counted(window, now, SECONDS, good=int(good), bad=int(not good))
        twin.count(now, good)
    now += later
    known, failed = totals(window, now, SECONDS)
    assert known == pytest.approx(twin.total(now, good=True), abs=1e-4)
    assert failed == pytest.approx(twin.total(now, good=False), abs=1e-4)
    # Never more than what came in two windows, and nothing of it later than that.
    assert known <= twin.within(now, 2 * SECONDS + 1e-6, True) + 1e-4


rules = st.builds(BudgetRule, st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.sampled_from([0.0, 0.3, 1.0, 5.0]))


@settings(max_examples=200, deadline=None)
@given(rules, st.lists(st.tuples(gaps, st.integers(0, 3), st.integers(0, 6)), max_size=60))
def test_extras_keep_to_the_budget(rule: BudgetRule, script: list[tuple[float, int, int]]) -> None:
    """In any bucket no more than the larger of ratio × requests of two windows and the floor, so that a
    sliding window, which may touch two buckets, sees at most twice that."""
    budget, now = FULL, 1_000.0
    requests: list[float] = []
    extras: list[float] = []
    for gap, arriving, wanted in script:
        now += gap
        for _ in range(arriving):
            budget = after_request(budget, now)
            requests.append(now)
        for _ in range(wanted):
            budget, allowed = withdraw(budget, rule, now)
            if allowed:
                extras.append(now)
    for end in extras:
        seen = sum(end - WINDOW_SECONDS < at <= end for at in extras)
        recent = sum(end - 3 * WINDOW_SECONDS - 1e-6 < at <= end for at in requests)
        assert seen <= 2 * max(rule.ratio * recent, rule.min_per_second * WINDOW_SECONDS)
    everything = now - 1_000.0 + WINDOW_SECONDS
    floors = (everything / WINDOW_SECONDS + 1) * rule.min_per_second * WINDOW_SECONDS
    assert len(extras) <= 2 * rule.ratio * len(requests) + floors


def test_in_steady_traffic_the_ratio_holds_exactly() -> None:
    budget, extras, now = FULL, 0, 0.0
    for tick in range(20_000):
        now = tick * 0.01
        budget = after_request(budget, now)
        budget, allowed = withdraw(budget, BudgetRule(0.1, 0.0), now)
        extras += allowed
    assert 0.09 * 20_000 <= extras <= 0.105 * 20_000


def test_of_ratio_and_floor_the_larger_holds_and_not_their_sum() -> None:
    budget, extras = FULL, 0
    for tick in range(10_000):
        now = 500.0 + tick * 0.02
        if tick % 5 == 0:
            budget = after_request(budget, now)
        budget, allowed = withdraw(budget, BudgetRule(0.1, 0.9), now)
        extras += allowed
    assert 150 <= extras <= 215, "one a second for two hundred seconds"


def test_a_quiet_worker_has_its_floor() -> None:
    budget, extras = FULL, 0
    for tick in range(1_000):
        budget, allowed = withdraw(budget, BudgetRule(0.1, 0.5), 50.0 + tick * 0.1)
        extras += allowed
    # Fractions of an attempt are not made, so that small floors give a little less.
    assert 40 <= extras <= 55


def test_what_was_not_used_is_not_saved() -> None:
    budget = FULL
    for tick in range(1_000):
        budget = after_request(budget, 100.0 + tick * 0.01)
    allowed = True
    extras = -1
    while allowed:
        budget, allowed = withdraw(budget, BudgetRule(0.1, 0.0), 200.0)
        extras += 1
    assert extras == 0
