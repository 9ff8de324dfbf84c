"""What a worker remembers of targets and credentials."""

from __future__ import annotations

from services.core.errors import Failure, FailureKind
from services.core.routing.health import HEALTHY
from services.dataplane.health_tracker import HealthTracker
from tests.unit.dataplane.build import candidate

TARGET = candidate().target
DOWN = Failure(FailureKind.SERVER_ERROR, "500", status=500)
NOW = 1_000.0


def test_nothing_known_is_healthy_and_costs_nothing() -> None:
    tracker = HealthTracker()
    tracker.succeeded(TARGET, "env:KEY")
    assert tracker.view() is HEALTHY


def test_a_target_is_benched_by_failures_in_a_row_and_not_before() -> None:
    tracker = HealthTracker()
    for _ in range(4):
        tracker.failed(TARGET, "env:KEY", DOWN, NOW)
    assert not tracker.view().benched(TARGET.model, NOW)
    tracker.failed(TARGET, "env:KEY", DOWN, NOW)
    assert tracker.view().benched(TARGET.model, NOW + 9.9)
    assert not tracker.view().benched(TARGET.model, NOW + 10.1)


def test_a_success_clears_the_account() -> None:
    tracker = HealthTracker()
    for _ in range(4):
        tracker.failed(TARGET, "env:KEY", DOWN, NOW)
    tracker.succeeded(TARGET, "env:KEY")
    for _ in range(4):
        tracker.failed(TARGET, "env:KEY", DOWN, NOW)
    assert tracker.view() is HEALTHY


def test_a_rejected_credential_benches_itself_and_leaves_its_target_alone() -> None:
    tracker = HealthTracker()
    tracker.failed(TARGET, "env:KEY", Failure(FailureKind.CREDENTIALS_REJECTED, "401"), NOW)
    view = tracker.view()
    assert view.benched("openai#env:KEY", NOW + 59)
    assert not view.benched("openai#env:OTHER", NOW)
    assert not view.benched(TARGET.model, NOW)
    tracker.succeeded(TARGET, "env:KEY")
    assert tracker.view() is HEALTHY


def test_a_pushback_benches_for_as_long_as_was_asked() -> None:
    tracker = HealthTracker()
    tracker.failed(TARGET, "env:KEY", Failure(FailureKind.RATE_LIMITED, "429", retry_after=30.0), NOW)
    assert tracker.view().benched(TARGET.model, NOW + 29)
    assert not tracker.view().benched(TARGET.model, NOW + 31)


def test_the_callers_fault_counts_against_nobody() -> None:
    tracker = HealthTracker()
    for kind in (FailureKind.INVALID_REQUEST, FailureKind.CONTENT_REFUSED, FailureKind.UNSUPPORTED):
        for _ in range(10):
            tracker.failed(TARGET, "env:KEY", Failure(kind, "400"), NOW)
    assert tracker.view() is HEALTHY


def test_a_view_does_not_change_under_its_reader() -> None:
    tracker = HealthTracker()
    before = tracker.view()
    for _ in range(5):
        tracker.failed(TARGET, "env:KEY", DOWN, NOW)
    assert not before.benched(TARGET.model, NOW)
    assert tracker.view().benched(TARGET.model, NOW)
