"""What this worker has seen of targets and credentials: the state behind `HealthView`.

State is local to the worker; the rules are `core/attempts/accrual.py`. The view
is rebuilt only when something changed, so healthy traffic pays nothing for it.
"""

from __future__ import annotations

from services.core.attempts.accrual import HEALTHY_STATE, Accrual, after_failure, after_success, names_of
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
