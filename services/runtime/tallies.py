"""Counters and histograms that one thread writes: plain numbers, of which Prometheus' samples are made when somebody asks.

`prometheus_client` lets any thread write, so each of its amounts pays for a lock and for checks. A request counts nine of
them, always in the thread of the event loop. That thread only adds here; those that serve metrics only read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric

from services.runtime.clock import SystemClock


class Sum:
    """The series of a counter."""

    __slots__ = ("created", "value")

    def __init__(self) -> None:
        self.created = SystemClock.wall()
        self.value = 0.0

    def add(self, amount: float) -> None:
        """Count an amount, 0 or more."""
        self.value += amount


class Spread:
    """The series of a histogram: how many amounts each bucket has, of its own, and their sum."""

    __slots__ = ("bounds", "counts", "created", "value")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.created = SystemClock.wall()
        self.counts = [0] * (len(bounds) + 1)
        self.value = 0.0

    def add(self, amount: float) -> None:
        """Count an amount; a bound belongs to the bucket below it."""
        self.counts[bisect_left(self.bounds, amount)] += 1
        self.value += amount


Series = TypeVar("Series", Sum, Spread)
Family = TypeVar("Family", CounterMetricFamily, HistogramMetricFamily)


class _Tally(ABC, Generic[Series, Family]):
    """A metric and its series, by label values."""

    def __init__(self, name: str, meaning: str, labels: Sequence[str], registry: CollectorRegistry) -> None:
        self.name, self.meaning, self.labels = name, meaning, tuple(labels)
        self._series: dict[tuple[str, ...], Series] = {}
        registry.register(self)

    def of(self, *labels: str) -> Callable[[float], None]:
        """What takes the amounts of one series."""
        found = self._series.get(labels)
        if found is None:
            found = self._series[labels] = self._made()
        return found.add

    def describe(self) -> Iterable[Metric]:
        """The metric without its series; the registry asks for it."""
        return [self._family()]

    def collect(self) -> Iterable[Metric]:
        """The metric as it is now; the registry asks for it, in any thread."""
        family = self._family()
        # A copy made at once: a series may come while samples are made.
        for values, series in list(self._series.items()):
            self._tell(family, values, series)
            told = dict(zip(self.labels, values, strict=True))
            family.add_sample(f"{family.name}_created", told, series.created)
        return [family]

    @abstractmethod
    def _made(self) -> Series:
        """A new series."""

    @abstractmethod
    def _family(self) -> Family:
        """The metric without its series."""

    @abstractmethod
    def _tell(self, family: Family, values: Sequence[str], series: Series) -> None:
        """Make the samples of a series."""


class CounterTally(_Tally[Sum, CounterMetricFamily]):
    """A counter."""

    def _made(self) -> Sum:
        return Sum()

    def _family(self) -> CounterMetricFamily:
        return CounterMetricFamily(self.name, self.meaning, labels=self.labels)

    def _tell(self, family: CounterMetricFamily, values: Sequence[str], series: Sum) -> None:
        family.add_metric(values, series.value)


class HistogramTally(_Tally[Spread, HistogramMetricFamily]):
    """A histogram; `bounds` are the upper bounds of its buckets but the last, ascending, below 1e6."""

    def __init__(
        self, name: str, meaning: str, labels: Sequence[str], bounds: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._bounds = tuple(map(float, bounds))
        self._names = [*map(str, self._bounds), "+Inf"]
        super().__init__(name, meaning, labels, registry)

    def _made(self) -> Spread:
        return Spread(self._bounds)

    def _family(self) -> HistogramMetricFamily:
        return HistogramMetricFamily(self.name, self.meaning, labels=self.labels)

    def _tell(self, family: HistogramMetricFamily, values: Sequence[str], series: Spread) -> None:
        up_to = accumulate(series.counts)
        family.add_metric(values, list(zip(self._names, up_to, strict=True)), series.value)
