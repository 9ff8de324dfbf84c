"""What this worker has seen of targets and credentials: the state behind `HealthView`.

State is local to the worker; the rules are `core/attempts/accrual.py`. The view
is rebuilt only when something changed, so healthy traffic pays nothing for it.
"""

from __future__ import annotations

from services.core.attempts.accrual import (
    HEALTHY_STATE,
    Accrual,
    after_failure,
    after_success,
    credential_name,
    harmed,
)
from services.core.errors import Failure
from services.core.policy.snapshot import Target
from services.core.routing.health import HEALTHY, HealthView


class HealthTracker:
    """Tracks failures by target and by credential."""

    def __init__(self) -> None:
        self._states: dict[str, Accrual] = {}
        self._view: HealthView = HEALTHY

    def view(self) -> HealthView:
        """The present health; immutable."""
        return self._view

    def failed(self, target: Target, credential: str, failure: Failure, now: float) -> None:
        """Book a failed attempt."""
        name = harmed(failure, target.model, target.provider.name, credential)
        if name:
            self._put(name, after_failure(self._states.get(name, HEALTHY_STATE), failure, now))

    def succeeded(self, target: Target, credential: str) -> None:
        """Book a successful attempt: target and credential are healthy."""
        if self._states:
            for name in (target.model, credential_name(target.provider.name, credential)):
                state = self._states.get(name)
                if state is not None:
                    self._put(name, after_success(state))

    def _put(self, name: str, state: Accrual) -> None:
        if state == HEALTHY_STATE:
            self._states.pop(name, None)
        else:
            self._states[name] = state
        benched = {n: s.benched_until for n, s in self._states.items() if s.benched_until}
        self._view = HealthView(benched) if benched else HEALTHY
