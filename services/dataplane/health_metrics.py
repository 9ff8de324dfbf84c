"""Counts what the attempt engine does about failures: breakers, hedges, mended answers, budgets.

No label is chosen by a caller: providers come from policy, the other words are ours.
"""

from __future__ import annotations

from turnout.health.v1.health_pb2 import TargetHealth

from services.core.attempts.effects import Kind, Outcome, StartAttempt
from services.dataplane.health_report import HealthReports
from services.dataplane.health_tracker import HealthEvent
from services.dataplane.records import RecordSink
from services.dataplane.trail import AttemptTrail, Trail
from services.runtime.metrics import Metrics

_MENDING = (Kind.CONTINUE.value, Kind.RESUME.value, Kind.RESTART.value)


def resilience_sink(metrics: Metrics) -> RecordSink:
    """Counts the hedges and the mended answers of every trail."""

    def count(trail: Trail) -> None:
        for attempt in trail.attempts:
            if attempt.kind == Kind.HEDGE:
                metrics.hedge("started")
                if _was_shown(attempt):
                    metrics.hedge("won")
            elif attempt.kind in _MENDING and attempt.success and trail.outcome == Outcome.OK.value:
                metrics.mended(attempt.kind)

    return count


def _was_shown(attempt: AttemptTrail) -> bool:
    return attempt.success or attempt.phase == "committed"


class BreakerMetrics:
    """Counts breakers by provider."""

    def __init__(self, metrics: Metrics, reports: HealthReports) -> None:
        self._metrics = metrics
        self._reports = reports

    def changed(self, event: HealthEvent, target: TargetHealth) -> None:
        """A cell was set aside, or came back."""
        if event.opened:
            self._metrics.opened(target.provider)
        self.refresh()

    def refresh(self) -> None:
        """Count what is open anew."""
        self._metrics.open_breakers(self._reports.open_breakers())

    def refused(self, effect: StartAttempt) -> None:
        """An extra attempt was not allowed."""
        self._metrics.refused(effect.kind.value)
        if effect.kind is Kind.HEDGE:
            self._metrics.hedge("refused")
