"""Prices of genai-prices in our words: per million tokens and per other units, with tiers and times."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from genai_prices.types import StartDateConstraint, TieredPrices, TimeOfDateConstraint

_PER_MILLION = {
    "input_mtok": "input_per_million",
    "output_mtok": "output_per_million",
    "cache_read_mtok": "cache_read_per_million",
    "cache_write_mtok": "cache_write_per_million",
    "cache_write_1h_mtok": "cache_write_1h_per_million",
    "input_audio_mtok": "input_audio_per_million",
    "output_audio_mtok": "output_audio_per_million",
    "cache_audio_read_mtok": "cache_audio_read_per_million",
    "input_image_mtok": "input_image_per_million",
    "output_image_mtok": "output_image_per_million",
    "output_reasoning_mtok": "reasoning_per_million",
    "input_mchars": "per_million_characters",
    "audio_hours": "per_hour",
    "input_audio_hours": "per_hour",
}
_PER_THOUSAND = {"requests_kcount": "per_request", "web_searches_kcount": "per_search"}


def prices_of(prices: Any) -> dict[str, Any]:
    """The prices that hold when no other do."""
    return _prices(prices[0].prices if isinstance(prices, list) else prices)


def periods_of(prices: Any) -> list[dict[str, Any]]:
    """The prices that hold from a day on or at a time of day; the last one that holds counts, there as here."""
    found = []
    for conditional in prices[1:] if isinstance(prices, list) else ():
        constraint = conditional.constraint
        period: dict[str, Any] = {"prices": _prices(conditional.prices)}
        if isinstance(constraint, StartDateConstraint):
            period["since"] = constraint.start_date.isoformat()
        elif isinstance(constraint, TimeOfDateConstraint):
            period["daily_from"] = constraint.start_time.strftime("%H:%M")
            period["daily_until"] = constraint.end_time.strftime("%H:%M")
        found.append(period)
    return found


def _prices(prices: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    tiers: dict[int, dict[str, Any]] = {}
    for theirs, ours in {**_PER_MILLION, **_PER_THOUSAND}.items():
        price = getattr(prices, theirs, None)
        if isinstance(price, TieredPrices):
            for tier in price.tiers:
                tiers.setdefault(tier.start, {})[ours] = _number(tier.price)
            price = price.base
        if price is not None:
            found[ours] = _number(price / 1000 if theirs in _PER_THOUSAND else price)
    if tiers:
        # A class without a tier of its own keeps its price; the tiers of a price list are complete here.
        base = {name: found[name] for name in _TIERED if name in found}
        found["tiers"] = [{"above_tokens": start, **base, **tiers[start]} for start in sorted(tiers)]
    return found


_TIERED = (
    "input_per_million",
    "output_per_million",
    "cache_read_per_million",
    "cache_write_per_million",
    "cache_write_1h_per_million",
)


def _number(price: Decimal) -> float | int:
    return int(price) if price == price.to_integral_value() else float(price)
