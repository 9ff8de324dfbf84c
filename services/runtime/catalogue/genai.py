"""Prices of genai-prices in our words: per million tokens and per other units, with tiers and times."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from genai_prices.types import ConditionalPrice, StartDateConstraint, TieredPrices, TimeOfDateConstraint

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


_NO_TIERS = {"default", "fast"}
"""The standard tier, and a request's other word for priority, which no answer names."""


def prices_of(prices: Any) -> dict[str, Any]:
    """The prices that hold when no other do."""
    return _prices(prices[0].prices if isinstance(prices, list) else prices)


def periods_of(prices: Any, variants: Any = None) -> list[dict[str, Any]]:
    """The prices that hold from a day on, at a time of day or in a service tier; the last one that holds counts.

    Args:
        variants: What a model costs elsewhere than in the standard way; those of service tiers count here.
    """
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
    return found + _tier_periods(prices, variants or ())


def _tier_periods(prices: Any, variants: Any) -> list[dict[str, Any]]:
    """The prices of each service tier, from each day on that they or the standard ones change.

    There a tier tells only what differs from the standard prices of the day; here it has all of its own.
    """
    listed = prices if isinstance(prices, list) else [ConditionalPrice(constraint=None, prices=prices)]
    constraints = [each.constraint for each in (*listed, *variants)]
    if any(isinstance(constraint, TimeOfDateConstraint) for constraint in constraints):
        return []  # of a tier that changes in the course of a day nobody has a price yet
    days = sorted({each.start_date for each in constraints if each is not None} | {date.min})
    found: list[dict[str, Any]] = []
    for tier in sorted({told for v in variants if (told := v.when.get("service_tier"))} - _NO_TIERS):
        own = [v for v in variants if v.when == {"service_tier": tier}]
        for day in days:
            # Of the tier's, the first one that holds counts; of the standard ones, the last.
            told = [v.prices for v in own if _holds(v, day)]
            if told:
                standard = [each.prices for each in listed if _holds(each, day)]
                period = {"service_tier": tier, "prices": _prices(_laid_over(told, standard[-1:]))}
                if not found or any(found[-1].get(name) != value for name, value in period.items()):
                    found.append({**({"since": day.isoformat()} if day != date.min else {}), **period})
    return found


def _holds(conditional: Any, day: date) -> bool:
    return conditional.constraint is None or conditional.constraint.start_date <= day


def _laid_over(told: list[Any], standard: list[Any]) -> SimpleNamespace:
    """For each class its first price, of the tier's before the standard one."""
    found: dict[str, Any] = {}
    for prices in (*told, *standard):
        for name, price in vars(prices).items():
            if price is not None:
                found.setdefault(name, price)
    return SimpleNamespace(**found)


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
