"""Preferences among targets, as callers write them: OpenRouter's `provider` object, Inworld's `sort` and `ignore`.

What has the wrong type is refused; a word that is not known is told and ignored, as both services do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.core.errors import InvalidRequest
from services.core.numbers import amount_of, count_of
from services.core.policy.preferences import (
    BY_FALLBACKS,
    BY_MODEL,
    METRICS,
    TOGETHER,
    Cutoff,
    LabelDemand,
    Preferences,
    PriceLimit,
    SortKey,
    sort_key,
)

_READ = frozenset(
    [
        "order",
        "only",
        "ignore",
        "allow_fallbacks",
        "require_parameters",
        "data_collection",
        "zdr",
        "quantizations",
        "labels",
        "max_price",
        "sort",
        "preferred_min_throughput",
        "preferred_max_latency",
    ]
)
_EMPTY: tuple[Any, ...] = (None, False, "", [], {})
_PRICED = ("prompt", "completion", "request", "image")
TRUE = ("true", "yes", "1")


class PreferenceReader:
    """Reads the preferences of one request; what was not acted on is in `warnings`."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def read(self, provider: Mapping[str, Any], sort: Any, ignore: tuple[str, ...]) -> Preferences:
        """The preferences.

        Args:
            provider: The `provider` object.
            sort: Inworld's `sort`, a list; it is above `provider.sort`.
            ignore: What the request ignores beside `provider.ignore`.

        Raises:
            InvalidRequest: A field has the wrong type.
        """
        for name, value in provider.items():
            if name not in _READ and value not in _EMPTY:
                self.warnings.append(f"provider.{name} was dropped: it is not known here")
        keys, together = self._sort(sort, provider.get("sort"))
        return Preferences(
            only=words(provider.get("only"), "provider.only"),
            ignore=ignore + words(provider.get("ignore"), "provider.ignore"),
            order=words(provider.get("order"), "provider.order"),
            allow_fallbacks=_flag(provider, "allow_fallbacks") is not False,
            require_parameters=_flag(provider, "require_parameters") is True,
            labels=self._labels(provider),
            max_price=self._max_price(provider.get("max_price")),
            sort=keys,
            together=together,
            max_latency=_cutoffs(provider.get("preferred_max_latency"), "provider.preferred_max_latency"),
            min_throughput=_cutoffs(provider.get("preferred_min_throughput"), "provider.preferred_min_throughput"),
        )

    def _sort(self, listed: Any, preferred: Any) -> tuple[tuple[SortKey, ...], str]:
        if listed not in (None, "", []):
            names = [listed] if isinstance(listed, str) else words(listed, "sort")
            return self._keys(names, "sort"), BY_FALLBACKS
        together = BY_MODEL
        if isinstance(preferred, Mapping):
            together = TOGETHER if preferred.get("partition") == "none" else BY_MODEL
            preferred = preferred.get("by")
        if preferred in (None, ""):
            return (), BY_MODEL
        if not isinstance(preferred, str):
            raise InvalidRequest("`provider.sort` must be text, or an object with `by`", param="provider.sort")
        return self._keys([preferred], "provider.sort"), together

    def _keys(self, names: Sequence[str], path: str) -> tuple[SortKey, ...]:
        keys = []
        for name in names:
            key = sort_key(name)
            if key is not None:
                keys.append(key)
            else:
                self.warnings.append(f"{path} by {name[:32]!r} was dropped: expected some of {', '.join(METRICS)}")
        return tuple(keys)

    def _labels(self, provider: Mapping[str, Any]) -> tuple[LabelDemand, ...]:
        demands = []
        if _flag(provider, "zdr"):
            demands.append(LabelDemand("zdr", "zdr", TRUE))
        collection = provider.get("data_collection")
        if collection == "deny":
            demands.append(LabelDemand("data_collection: deny", "data_collection", ("deny",)))
        elif collection not in (None, "", "allow"):
            raise InvalidRequest(
                '`provider.data_collection` must be "allow" or "deny"', param="provider.data_collection"
            )
        levels = words(provider.get("quantizations"), "provider.quantizations")
        if levels:
            demands.append(LabelDemand("quantizations", "quantization", tuple(level.lower() for level in levels)))
        labels = provider.get("labels")
        if labels is not None and not isinstance(labels, Mapping):
            raise InvalidRequest("`provider.labels` must be an object", param="provider.labels")
        for name, value in (labels or {}).items():
            if not isinstance(value, str):
                raise InvalidRequest(f"`provider.labels.{name}` must be text", param=f"provider.labels.{name}")
            demands.append(LabelDemand(f"labels.{name}", name, (value.lower(),)))
        return tuple(demands)

    def _max_price(self, limits: Any) -> PriceLimit | None:
        if limits is None:
            return None
        if not isinstance(limits, Mapping):
            raise InvalidRequest("`provider.max_price` must be an object", param="provider.max_price")
        found = {name: _dollars(value, f"provider.max_price.{name}") for name, value in limits.items()}
        for name in sorted(found):
            if found[name] is not None and name not in _PRICED:
                self.warnings.append(f"provider.max_price.{name} was dropped: such prices are not known here")
        limit = PriceLimit(*(found.get(name) for name in _PRICED))
        return limit if limit != PriceLimit() else None


def words(value: Any, path: str) -> tuple[str, ...]:
    """A list of text; nothing for null.

    Raises:
        InvalidRequest: It is something else.
    """
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(v, str) for v in value):
        raise InvalidRequest(f"`{path}` must be a list of strings", param=path)
    return tuple(value)


def _flag(provider: Mapping[str, Any], name: str) -> bool | None:
    value = provider.get(name)
    if value is None or isinstance(value, bool):
        return value
    raise InvalidRequest(f"`provider.{name}` must be true or false", param=f"provider.{name}")


def _dollars(value: Any, path: str) -> float | None:
    """An amount, as a number or in text, as OpenRouter writes prices; None: none was given."""
    if value in (None, ""):
        return None
    try:
        amount = amount_of(float(value) if isinstance(value, str) else value)
    except ValueError:
        amount = None
    if amount is None:
        raise InvalidRequest(f"`{path}` must be an amount in US dollars", param=path)
    return amount


def _cutoffs(value: Any, path: str) -> tuple[Cutoff, ...]:
    """A number, for the median, or an object of percentiles such as {"p90": 3}."""
    if value is None:
        return ()
    given = value if isinstance(value, Mapping) else {"p50": value}
    found = []
    for name, limit in given.items():
        if limit is None:
            continue
        number = name[1:] if isinstance(name, str) and name[:1] == "p" else ""
        percentile, amount = count_of(number), amount_of(limit)
        if not 0 < percentile < 100 or amount is None:
            raise InvalidRequest(f'`{path}` must be a number, or an object such as {{"p90": 3}}', param=path)
        found.append(Cutoff(percentile / 100.0, amount))
    return tuple(found)
