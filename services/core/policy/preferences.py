"""What a request or a policy prefers among targets: which of them may serve, and which comes first.

Values only. `selection.py` says what they rule out; the order is made in `core/routing/ordering.py`, where
live measurements are at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.core.values import Value

PRICE, LATENCY, THROUGHPUT = "price", "latency", "throughput"
MEASURED = (LATENCY, THROUGHPUT)
QUALITY = ("intelligence", "math", "coding")
METRICS: Mapping[str, bool] = {
    PRICE: True,
    LATENCY: True,
    THROUGHPUT: False,
    **dict.fromkeys(QUALITY, False),
}
"""What targets can be sorted by, and whether less of it is better."""

DEFAULT_DELTA = 0.05
"""How far below the best score is good enough unless policy says otherwise."""

BY_MODEL, BY_FALLBACKS, TOGETHER = "model", "fallbacks", "none"
"""What is sorted together: the targets of each model that was named; the first model's, and all fallbacks'; all."""


@dataclass(frozen=True, slots=True)
class SortKey:
    """One thing to sort by; `ascending`: less comes first."""

    metric: str
    ascending: bool

    def __str__(self) -> str:
        natural = METRICS[self.metric] is self.ascending
        return self.metric if natural else f"{self.metric} ({'ascending' if self.ascending else 'descending'})"


_PREFIXES = ("sort_metric_", "sort_direction_")
_DIRECTIONS: Mapping[str, bool | None] = {"": None, "unspecified": None, "ascending": True, "descending": False}


def _bare(word: str) -> str:
    found = word.strip().lower()
    for prefix in _PREFIXES:
        found = found.removeprefix(prefix)
    return found


def metric_of(word: str) -> str:
    """The metric that `word` means ("price", "SORT_METRIC_PRICE"); empty: none."""
    name = _bare(word)
    return name if name in METRICS else ""


def is_direction(word: str) -> bool:
    """Whether `word` is a direction, or empty."""
    return _bare(word) in _DIRECTIONS


def sort_key(metric: str, direction: str = "") -> SortKey | None:
    """The key of two words in either spelling; None: the first is no metric, or asks for nothing."""
    name = metric_of(metric)
    if not name:
        return None
    ascending = _DIRECTIONS.get(_bare(direction))
    return by(name) if ascending is None else SortKey(name, ascending)


def by(metric: str) -> SortKey:
    """A key for `metric` with the better first."""
    return SortKey(metric, METRICS[metric])


@dataclass(frozen=True, slots=True)
class PriceLimit:
    """The most that a target may cost, in US dollars; None: no limit.

    Attributes:
        prompt: Per million input tokens.
        completion: Per million output tokens.
        request: For each request, whatever its tokens.
        image: For each picture.
    """

    prompt: float | None = None
    completion: float | None = None
    request: float | None = None
    image: float | None = None


@dataclass(frozen=True, slots=True)
class LabelDemand:
    """A label that a target's provider must have. `option` is what the caller called it."""

    option: str
    label: str
    accepted: tuple[str, ...]


def label_demands(labels: Mapping[str, str], option: str) -> tuple[LabelDemand, ...]:
    """The demands of a document's `labels`, which it calls `option`."""
    return tuple(LabelDemand(f"{option}.{name}", name, (value.lower(),)) for name, value in sorted(labels.items()))


@dataclass(frozen=True, slots=True)
class Cutoff:
    """A limit on a percentile: of the share `p` (0 to 1) of requests, at least. Seconds, or tokens per second."""

    p: float
    value: float


@dataclass(frozen=True, slots=True)
class Floor:
    """What is good enough: a score of `metric` (one of `QUALITY`) at most `delta` (0 to 1) below the best."""

    metric: str
    delta: float

    def __str__(self) -> str:
        return f"{self.metric} at most {self.delta:g} below the best"


class LearnedRule(Value, frozen=True):
    """Choose by what was learned.

    Attributes:
        objective: One of `learned.choice.OBJECTIVES`.
        metric: Metric of feedback that is the reward; empty: how the answer ended.
        worst: Value of the metric that is worth 0, and `best`: that is worth 1.
        segment: Key of metadata whose values are told apart; empty: none.
        explore: Least probability of each model; 0.0: always the best one.
        max_regret: Most that exploring may cost in expectation, in units of reward; None: any.
    """

    objective: str = "quality"
    metric: str = ""
    worst: float = 0.0
    best: float = 1.0
    segment: str = ""
    explore: float = 0.0
    max_regret: float | None = None


class Preferences(Value, frozen=True):
    """Preferences among targets. Empty: none.

    Attributes:
        only: Providers that may serve, by name, slug or "slug/region".
        ignore: Providers or models that may not.
        order: Providers that come first, in this order.
        allow_fallbacks: False: only the providers of `order` are tried, or, without an order, the first candidate.
        require_parameters: Targets that are known not to take a parameter of the request are left out.
        labels: What the labels of providers must say.
        sort: What candidates are sorted by; later ones decide between equals.
        together: Which of them are sorted together: `BY_MODEL`, `BY_FALLBACKS` or `TOGETHER`.
        max_latency: Targets that are slower come behind the others; seconds to first content.
        min_throughput: As `max_latency`; tokens per second.
        floor: Targets that are good enough come first, whatever they are sorted by.
        learned: The first one is chosen by what was learned, the others follow by it.
    """

    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    allow_fallbacks: bool = True
    require_parameters: bool = False
    labels: tuple[LabelDemand, ...] = ()
    max_price: PriceLimit | None = None
    sort: tuple[SortKey, ...] = ()
    together: str = BY_MODEL
    max_latency: tuple[Cutoff, ...] = ()
    min_throughput: tuple[Cutoff, ...] = ()
    floor: Floor | None = None
    learned: LearnedRule | None = None


NO_PREFERENCES = Preferences()
