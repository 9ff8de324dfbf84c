"""What a decision knows of the targets' health: an immutable view, taken at the decision.

Cells (`core/attempts/breaker.py`) and this view are named alike: a target's
("openai/gpt-5", "openai/gpt-5@eu#env:KEY") or a credential's ("openai#env:KEY").
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.core.policy.preferences import LATENCY, THROUGHPUT
from services.core.values import Value, field

WHOLE = "/whole"
"""Suffix of the speed of answers that are not streamed: it measures all of the answer."""


class Speed(Value, frozen=True):
    """How fast a target was of late: its times to first content in seconds, or its rates; sorted."""

    samples: tuple[float, ...] = ()

    def percentile(self, p: float) -> float:
        """The percentile `p` (0 to 1) by nearest rank; 0.0 when nothing is known."""
        if not self.samples:
            return 0.0
        # The small number keeps a product such as 0.07 * 100 from being more than 7.
        return self.samples[max(0, math.ceil(p * len(self.samples) - 1e-9) - 1)]


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measured value that a decision read.

    Attributes:
        metric: "latency", seconds to the first content; "throughput", tokens per second after it; or "prompt_cache",
            the share of the prompt, 0 to 1, that was taken to be in the model's prompt cache.
        p: Share of requests, 0 to 1, that did as well as `value`; 0.0 of a prompt cache.
    """

    model: str
    metric: str
    p: float
    value: float


class HealthView(Value, frozen=True):
    """The health of targets and credentials at one instant. What is not named is healthy and unknown.

    Attributes:
        benched_until: Until when (monotonic seconds) a name is set aside.
        asked: Those of them whose provider asked for it; they are never called before.
        why: Kind of the failure behind it.
        shares: Share of traffic of names that come back or are overloaded, below 1.
        in_flight: Attempts that run now, by target name.
        speeds: By model, and by "model/whole" for answers that are not streamed.
        rates: By model: tokens per second after the first content, sorted.
        replayed: What an earlier decision measured; it takes the place of `speeds` and `rates`.
    """

    benched_until: Mapping[str, float] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()
    why: Mapping[str, str] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    in_flight: Mapping[str, int] = field(default_factory=dict)
    speeds: Mapping[str, Speed] = field(default_factory=dict)
    rates: Mapping[str, Speed] = field(default_factory=dict)
    replayed: Mapping[tuple[str, str, float], float] | None = None

    @classmethod
    def replaying(cls, measurements: Iterable[Measurement]) -> HealthView:
        """A view in which a decision reads what an earlier one read."""
        return cls(replayed={(m.model, m.metric, m.p): m.value for m in measurements})

    def measured(self, model: str, metric: str, p: float) -> float | None:
        """What the share `p` of a target's requests did as well as; None: nothing is known.

        Times to first content, for "latency", are those of streams; without any, those of whole answers.
        """
        if self.replayed is not None:
            return self.replayed.get((model, metric, p))
        if metric == LATENCY:
            speed = self.speeds.get(model) or self.speeds.get(model + WHOLE)
            return speed.percentile(p) if speed is not None else None
        rate = self.rates.get(model) if metric == THROUGHPUT else None
        return rate.percentile(1.0 - p) if rate is not None else None

    def benched(self, name: str, now: float) -> bool:
        """Whether `name` is set aside at `now`."""
        return self.benched_until.get(name, 0.0) > now


HEALTHY = HealthView()


def credential_name(provider: str, reference: str) -> str:
    """The name of a credential's cell."""
    return f"{provider}#{reference}"


def target_name(model: str, address: str, reference: str) -> str:
    """The name of a target's cell: the model, at an address (empty: the only one), with a credential (empty: none)."""
    name = f"{model}@{address}" if address else model
    return f"{name}#{reference}" if reference else name
