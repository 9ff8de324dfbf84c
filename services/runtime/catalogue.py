"""The shipped model catalogue: genai-prices' data, which travels inside its wheel.

Prices are resolved once per model, at policy load, to plain numbers; nothing of
the library runs while a request does. Tiered prices are taken at their base.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from genai_prices.data_snapshot import get_snapshot

from services.core.policy.documents import Capabilities, Prices
from services.core.policy.ports import CatalogueEntry

_KNOWN_AS = {"openai": "openai", "anthropic": "anthropic", "xai": "x-ai", "bedrock": "aws", "zai": "zai"}
"""Names of our providers that the catalogue spells differently, and the two that types stand for."""
_FIRST = ("openai", "anthropic", "google", "mistral", "x-ai", "deepseek", "groq")


MAX_REMEMBERED = 4_096
"""Answers that are remembered; callers may name any model, so there must be a bound."""


class GenaiPricesCatalogue:
    """Looks models up in genai-prices; remembers what it found. Made once, at start: the data takes a moment to load."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str, str], CatalogueEntry | None] = {}
        self._providers: dict[str, tuple[str, ...]] = {}
        get_snapshot()

    def look_up(self, provider_type: str, provider_name: str, base_url: str, model: str) -> CatalogueEntry | None:
        key = (provider_type, provider_name, base_url, model)
        if key not in self._found:
            _bound(self._found)
            self._found[key] = self._search(provider_type, provider_name, base_url, model)
        return self._found[key]

    def _search(self, provider_type: str, provider_name: str, base_url: str, model: str) -> CatalogueEntry | None:
        for name, url in ((_KNOWN_AS.get(provider_name, provider_name), None), (None, base_url or None)):
            if name is None and url is None:
                continue
            try:
                _, info = get_snapshot().find_provider_model(model, None, name, url)
            except LookupError:
                continue
            return _entry(info)
        del provider_type
        return None

    def providers_of(self, model: str) -> tuple[str, ...]:
        if model not in self._providers:
            _bound(self._providers)
            ours = {theirs: name for name, theirs in _KNOWN_AS.items()}
            found = [p.id for p in get_snapshot().providers if any(m.is_match(model) for m in p.models)]
            found.sort(key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
            self._providers[model] = tuple(ours.get(name, name) for name in found)
        return self._providers[model]


def _bound(remembered: dict[Any, Any]) -> None:
    while len(remembered) >= MAX_REMEMBERED:
        del remembered[next(iter(remembered))]


def _entry(info: Any) -> CatalogueEntry:
    prices = info.get_prices(datetime.now(UTC))
    return CatalogueEntry(
        context_length=info.context_window or 0,
        capabilities=Capabilities(),
        prices=Prices(
            input_per_million=_number(getattr(prices, "input_mtok", None)),
            output_per_million=_number(getattr(prices, "output_mtok", None)),
            cache_read_per_million=_number(getattr(prices, "cache_read_mtok", None)),
            cache_write_per_million=_number(getattr(prices, "cache_write_mtok", None)),
        ),
    )


def _number(price: Any) -> float | None:
    if price is None:
        return None
    if isinstance(price, Decimal):
        return float(price)
    base = getattr(price, "base", None)
    return float(base) if base is not None else None
