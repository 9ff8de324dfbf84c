"""What candidates are compared by: prices from the policy, speeds and caches from what this worker has seen of late.

Every measurement that a decision reads is noted, and goes into the request's record: with them, the policy's
version and the seed the decision can be made again, whatever the worker has seen since.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.core.policy.preferences import LATENCY, PRICE, QUALITY, THROUGHPUT, Cutoff
from services.core.policy.snapshot import Target
from services.core.routing.health import HealthView, Measurement
from services.core.routing.prompt_cache import PROMPT_CACHE

INPUT_SHARE = 0.75
"""Of the tokens of a typical request; what the two prices of a model are weighed by."""
_MEDIAN = 0.5
_UNITS = {LATENCY: "{:.3g} s", THROUGHPUT: "{:.3g} tokens/s", PRICE: "${:.4g}/M tokens"} | {
    name: name + " {:.3g}" for name in QUALITY
}


def price_of(target: Target, cached: float = 0.0) -> float | None:
    """US dollars per million tokens, three of four of them input; None: not known.

    Args:
        cached: Share of the input that is read from the prompt cache, 0 to 1.
    """
    prices = target.prices
    if prices.input_per_million is None or prices.output_per_million is None:
        return None
    given, read = prices.input_per_million, prices.cache_read_per_million
    if cached and read is not None:
        given += cached * (read - given)
    return INPUT_SHARE * given + (1.0 - INPUT_SHARE) * prices.output_per_million


def told(metric: str, value: float | None) -> str:
    """A value of a metric in words."""
    return f"{metric} not known" if value is None else _UNITS.get(metric, "{:.3g}").format(value)


class Readings:
    """Reads the measurements of one decision, and keeps what it read."""

    def __init__(self, health: HealthView, cached: Mapping[str, float] = {}) -> None:
        self._health = health
        self._cached = cached
        self._taken: dict[tuple[str, str, float], Measurement] = {}

    def value(self, target: Target, metric: str) -> float | None:
        """The value of a metric: the median of a measured one; None: not known."""
        if metric == PRICE:
            return price_of(target, self.cached(target))
        if metric in QUALITY:
            score: float | None = getattr(target.scores, metric)
            return score
        return self.measured(target.model, metric, _MEDIAN)

    def measured(self, model: str, metric: str, p: float) -> float | None:
        """The percentile `p` (0 to 1) of a measured metric, as in `HealthView.measured`."""
        value = self._health.measured(model, metric, p)
        if value is not None:
            self._taken[model, metric, p] = Measurement(model, metric, p, value)
        return value

    def cached(self, target: Target) -> float:
        """Share of the prompt that `target` reads from its cache, 0 to 1; 0.0 also where that makes nothing cheaper."""
        share = self._cached.get(target.model, 0.0) if self._cached else 0.0
        if not share or target.prices.cache_read_per_million is None:
            return 0.0
        self._taken[target.model, PROMPT_CACHE, 0.0] = Measurement(target.model, PROMPT_CACHE, 0.0, share)
        return share

    def misses(self, target: Target, slowest: tuple[Cutoff, ...], least: tuple[Cutoff, ...]) -> bool:
        """Whether `target` is known to be slower than any of the cutoffs allows."""
        for cutoff in slowest:
            seconds = self.measured(target.model, LATENCY, cutoff.p)
            if seconds is not None and seconds > cutoff.value:
                return True
        for cutoff in least:
            rate = self.measured(target.model, THROUGHPUT, cutoff.p)
            if rate is not None and rate < cutoff.value:
                return True
        return False

    @property
    def taken(self) -> tuple[Measurement, ...]:
        """What was read, each measurement once."""
        return tuple(self._taken.values())
