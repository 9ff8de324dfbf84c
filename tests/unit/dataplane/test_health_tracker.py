"""What a worker remembers of targets and credentials; the rules themselves are proven with `core/attempts/breaker.py`."""

from __future__ import annotations

import pytest

from services.core.attempts.effects import Kind, StartAttempt
from services.core.errors import Failure, FailureKind
from services.core.policy.rules import BreakerRule, BudgetRule, HedgeRule, RetryRule
from services.core.routing.health import HealthView
from services.core.routing.plan import Plan
from services.core.values import changed
from services.dataplane.health_tracker import MAX_NAMES, HealthEvent, HealthTracker
from tests.unit.dataplane.build import candidate

CANDIDATE = candidate()
MODEL = CANDIDATE.target.model
KEY = "openai#env:KEY"
DOWN = Failure(FailureKind.SERVER_ERROR, "500", status=500)
RULE = BreakerRule()
NOW = 1_000.0


def plan(*, retries: float = 10.0, hedges: float = 1.0) -> Plan:
    retry = RetryRule(budget=BudgetRule(0.0, retries))
    return Plan((CANDIDATE,), retry, "v", 1, 1, hedge=HedgeRule(enabled=True, budget=hedges))


def start(number: int = 1, kind: Kind = Kind.FIRST, name: str = MODEL, at: float = NOW) -> StartAttempt:
    return StartAttempt(number, 0, 0, 0, kind, name, KEY, total=10.0, first_content=5.0, at=at)


def fail(tracker: HealthTracker, times: int, failure: Failure = DOWN, name: str = MODEL) -> None:
    for _ in range(times):
        begun = start(name=name)
        assert tracker.admit(begun, plan(), NOW) is None
        tracker.failed(begun, failure, RULE, NOW)


def test_nothing_known_is_healthy_and_costs_nothing() -> None:
    tracker = HealthTracker()
    begun = start()
    assert tracker.admit(begun, plan(), NOW) is None
    tracker.succeeded(begun, RULE, NOW)
    assert tracker.view(NOW) == HealthView()
    assert tracker.report(NOW) == []


def test_a_target_is_set_aside_by_failures_in_a_row_and_not_before() -> None:
    tracker = HealthTracker()
    fail(tracker, 4)
    assert not tracker.view(NOW).benched(MODEL, NOW)
    fail(tracker, 1)
    assert tracker.view(NOW).benched(MODEL, NOW + RULE.open_for - 0.1)
    assert not tracker.view(NOW).benched(MODEL, NOW + RULE.open_for + 0.1)
    refused = tracker.admit(start(), plan(), NOW + 1.0)
    assert refused is not None
    assert (refused.until, refused.hard, refused.why) == (NOW + RULE.open_for, False, "SERVER_ERROR")


def test_an_attempt_that_is_forced_goes_through_unless_the_provider_asked() -> None:
    tracker = HealthTracker()
    fail(tracker, 5)
    assert tracker.admit(changed(start(), forced=True), plan(), NOW) is None
    tracker = HealthTracker()
    fail(tracker, 1, Failure(FailureKind.RATE_LIMITED, "429", status=429, retry_after=30.0))
    refused = tracker.admit(changed(start(), forced=True), plan(), NOW + 1.0)
    assert refused is not None
    assert (refused.until, refused.hard) == (NOW + 30.0, True)


def test_a_rejected_credential_is_set_aside_and_its_target_left_alone() -> None:
    tracker = HealthTracker()
    fail(tracker, 1, Failure(FailureKind.CREDENTIALS_REJECTED, "401"))
    view = tracker.view(NOW)
    assert view.benched(KEY, NOW + 59)
    assert not view.benched("openai#env:OTHER", NOW)
    assert not view.benched(MODEL, NOW)


def test_a_probe_that_ends_without_a_word_gives_its_place_back() -> None:
    tracker = HealthTracker()
    fail(tracker, 5)
    later = NOW + 11.0
    probe = start(at=later)
    assert tracker.admit(probe, plan(), later) is None
    assert tracker.admit(start(2), plan(), later) is not None
    tracker.released(probe, RULE, later)
    assert tracker.admit(start(3), plan(), later) is None


def test_retries_and_hedges_are_paid_for_and_failovers_to_healthy_targets_are_not() -> None:
    tracker = HealthTracker()
    spent = plan(retries=0.0, hedges=0.0)
    assert tracker.admit(start(kind=Kind.FAILOVER), spent, NOW) is None
    for kind in (Kind.RETRY, Kind.HEDGE):
        refused = tracker.admit(start(kind=kind), plan(retries=0.0), NOW)
        assert refused is not None
        assert refused.why == "BUDGET"


def test_what_is_kept_of_names_that_callers_choose_is_bounded() -> None:
    tracker = HealthTracker()
    for number in range(3 * MAX_NAMES):
        fail(tracker, 1, name=f"openai/{number}")
        tracker.seen_content(f"openai/{number}", 0.1, stream=True)
    assert len(tracker.report(NOW)) <= MAX_NAMES
    assert len(tracker.view(NOW).speeds) <= MAX_NAMES


def test_speeds_are_those_of_late_and_apart_for_whole_answers() -> None:
    tracker = HealthTracker()
    for number in range(200):
        tracker.seen_content(MODEL, number / 100.0, stream=True)
    tracker.seen_content(MODEL, 7.0, stream=False)
    speeds = tracker.view(NOW).speeds
    assert speeds[MODEL].percentile(0.5) == pytest.approx(1.35, abs=0.1)
    assert speeds[f"{MODEL}/whole"].samples == (7.0,)


def test_the_queue_has_as_many_places_as_policy_says() -> None:
    tracker = HealthTracker()
    assert tracker.enter_queue(1)
    assert not tracker.enter_queue(1)
    tracker.leave_queue()
    assert tracker.enter_queue(1)


def test_events_tell_when_a_target_is_set_aside_and_when_it_is_back() -> None:
    tracker = HealthTracker()
    seen: list[HealthEvent] = []
    tracker.on_event = seen.append
    fail(tracker, 5)
    later = NOW + 11.0
    probe = start(at=later)
    assert tracker.admit(probe, plan(), later) is None
    tracker.succeeded(probe, RULE, later)
    assert [(e.name, e.until) for e in seen] == [(MODEL, NOW + RULE.open_for), (MODEL, 0.0)]
