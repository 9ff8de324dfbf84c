"""What operators write about the choice among models: the part of the policy documents that a variant selects by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class MaxPrice:
    """The most that a model may cost, in US dollars per million tokens, request or picture; None: any price."""

    prompt: float | None = None
    completion: float | None = None
    request: float | None = None
    image: float | None = None


@dataclass(frozen=True, slots=True)
class ProviderPreference:
    """Preferences among the providers of a model."""

    order: tuple[str, ...] = ()
    allow_fallbacks: bool | None = None
    only: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    max_price: MaxPrice | None = None


@dataclass(frozen=True, slots=True)
class SortRule:
    """One thing to sort models by."""

    metric: str = ""
    direction: str = ""


@dataclass(frozen=True, slots=True)
class QualityFloor:
    """Models are good enough whose score is at most `delta` below the best one's."""

    metric: str = ""
    delta: float | None = None


@dataclass(frozen=True, slots=True)
class Learned:
    """Models are chosen by what was learned of them; see `policy.proto`."""

    objective: str = ""
    metric: str = ""
    worst: float | None = None
    best: float | None = None
    segment: str = ""
    explore: float | None = None
    max_regret: float | None = None


@dataclass(frozen=True, slots=True)
class ModelSelection:
    """Which models may serve a variant after its first one, and in which order."""

    models: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    provider: ProviderPreference | None = None
    sort: tuple[SortRule, ...] = ()
    quality_floor: QualityFloor | None = None
    learned: Learned | None = None
