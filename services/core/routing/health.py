"""What a decision knows of the targets' health: an immutable view, taken at the decision.

Cells (`core/attempts/breaker.py`) and this view are named alike: a target's
("openai/gpt-5", "openai/gpt-5@eu#env:KEY") or a credential's ("openai#env:KEY").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a target was of late: its times to first content, sorted, in seconds."""

    samples: tuple[float, ...] = ()

    def percentile(self, p: float) -> float:
        """The percentile `p` (0 to 1) by nearest rank; 0.0 when nothing is known."""
        if not self.samples:
            return 0.0
        # The small number keeps a product such as 0.07 * 100 from being more than 7.
        return self.samples[max(0, math.ceil(p * len(self.samples) - 1e-9) - 1)]


@dataclass(frozen=True, slots=True)
class HealthView:
    """The health of targets and credentials at one instant. What is not named is healthy and unknown.

    Attributes:
        benched_until: Until when (monotonic seconds) a name is set aside.
        asked: Those of them whose provider asked for it; they are never called before.
        why: Kind of the failure behind it.
        shares: Share of traffic of names that come back or are overloaded, below 1.
        in_flight: Attempts that run now, by target name.
        speeds: By model, and by "model/whole" for answers that are not streamed.
    """

    benched_until: Mapping[str, float] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()
    why: Mapping[str, str] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    in_flight: Mapping[str, int] = field(default_factory=dict)
    speeds: Mapping[str, Speed] = field(default_factory=dict)

    def benched(self, name: str, now: float) -> bool:
        """Whether `name` is set aside at `now`."""
        return self.benched_until.get(name, 0.0) > now


HEALTHY = HealthView()

WHOLE = "/whole"
"""Suffix of the speed of answers that are not streamed: it measures all of the answer."""


def credential_name(provider: str, reference: str) -> str:
    """The name of a credential's cell."""
    return f"{provider}#{reference}"


def target_name(model: str, address: str, reference: str) -> str:
    """The name of a target's cell: the model, at an address (empty: the only one), with a credential (empty: none)."""
    name = f"{model}@{address}" if address else model
    return f"{name}#{reference}" if reference else name
