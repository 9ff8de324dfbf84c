"""Checks of what is said of a model: limits and prices, whether an operator says it or the catalogue."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import fields

from services.core.policy.documents import Model, Prices, PriceTier
from services.core.pricing import STANDARD_TIERS, span_of

_TIER = re.compile(r"\A[a-z][a-z0-9_-]{0,39}\Z")
Found = Iterator[tuple[str, str]]
"""(field path, message) pairs."""


def check_facts(document: Model) -> Found:
    """Everything that is wrong with the numbers of `document`."""
    if document.context_length < 0:
        yield "context_length", "must not be negative"
    if document.max_output_tokens < 0:
        yield "max_output_tokens", "must not be negative"
    if document.prices is not None:
        yield from _prices(document.prices, "prices")
    for index, period in enumerate(document.price_periods):
        path = f"price_periods[{index}]"
        try:
            span_of(period)
        except ValueError:
            yield path, "expected a day such as 2026-03-13 in `since`, and times such as 16:30 in the others"
        if period.service_tier and not _TIER.match(period.service_tier):
            yield f"{path}.service_tier", f"expected a tier in small letters, such as flex, got {period.service_tier!r}"
        if period.service_tier in STANDARD_TIERS - {""}:
            yield f"{path}.service_tier", "is the standard tier: leave it out"
        if period.prices is None:
            yield f"{path}.prices", "is missing"
        else:
            yield from _prices(period.prices, f"{path}.prices")
    for name in ("intelligence", "math", "coding") if document.scores is not None else ():
        score = getattr(document.scores, name)
        if score is not None and not 0 <= score <= 1:
            yield f"scores.{name}", "expected a number from 0 to 1"


def _prices(prices: Prices, path: str) -> Found:
    yield from _rates(prices, path)
    for index, tier in enumerate(prices.tiers):
        where = f"{path}.tiers[{index}]"
        if tier.above_tokens <= 0:
            yield f"{where}.above_tokens", "expected at least 1"
        yield from _rates(tier, where)


def _rates(prices: Prices | PriceTier, path: str) -> Found:
    for field in fields(prices):
        value = getattr(prices, field.name)
        if isinstance(value, float | int) and field.name != "above_tokens" and not 0 <= value < math.inf:
            yield f"{path}.{field.name}", "expected a number that is not negative"
