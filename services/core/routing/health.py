"""What a decision knows of the targets' health: an immutable view, taken at the decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HealthView:
    """Until when (monotonic seconds) targets and credentials are benched.

    Attributes:
        benched_until: By target ("provider/model") or credential ("provider#env:NAME").
    """

    benched_until: Mapping[str, float] = field(default_factory=dict)

    def benched(self, name: str, now: float) -> bool:
        """Whether `name` is benched at `now`."""
        return self.benched_until.get(name, 0.0) > now


HEALTHY = HealthView()
