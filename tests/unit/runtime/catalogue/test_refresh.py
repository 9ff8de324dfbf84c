"""The catalogue file is what its sources make of it, and what they say arrives in it."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from genai_prices.data import providers
from genai_prices.types import (
    ConditionalPrice,
    ModelPrice,
    PriceVariant,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from services.core.policy.models import PricePeriod, Prices
from services.core.pricing import span_of, tier_prices
from services.runtime.catalogue import knowledge
from services.runtime.catalogue.genai import periods_of, prices_of
from services.runtime.catalogue.refresh import made
from services.runtime.catalogue.shipped import PATH, Shipped


def test_the_shipped_file_is_what_the_pinned_sources_make() -> None:
    assert made() == PATH.read_text(encoding="utf-8"), "`make catalogue` makes it anew"


def test_tiers_and_times_arrive() -> None:
    early = ModelPrice(
        input_mtok=TieredPrices(base=Decimal(5), tiers=[Tier(start=200_000, price=Decimal(10))]),
        output_mtok=Decimal(25),
        web_searches_kcount=Decimal(10),
    )
    late, night = ModelPrice(input_mtok=Decimal("5.5")), ModelPrice(input_mtok=Decimal(1))
    prices = [
        ConditionalPrice(prices=early),
        ConditionalPrice(constraint=StartDateConstraint(start_date=date(2026, 3, 13)), prices=late),
        ConditionalPrice(constraint=TimeOfDateConstraint(start_time=time(16, 30), end_time=time(0, 30)), prices=night),
    ]
    assert prices_of(prices) == {
        "input_per_million": 5,
        "output_per_million": 25,
        "per_search": 0.01,
        "tiers": [{"above_tokens": 200_000, "input_per_million": 10, "output_per_million": 25}],
    }
    assert periods_of(prices) == [
        {"prices": {"input_per_million": 5.5}, "since": "2026-03-13"},
        {"prices": {"input_per_million": 1}, "daily_from": "16:30", "daily_until": "00:30"},
    ]
    assert periods_of(late) == []


def _variant(tier: str, day: date | None = None, **prices: Any) -> PriceVariant:
    since = StartDateConstraint(start_date=day) if day is not None else None
    priced = ModelPrice(**{f"{name}_mtok": Decimal(price) for name, price in prices.items()})
    return PriceVariant(when={"service_tier": tier}, prices=priced, constraint=since)


def test_a_tiers_prices_are_whole_and_change_when_it_or_the_standard_ones_do() -> None:
    prices = [
        ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(4), output_mtok=Decimal(8), cache_read_mtok=Decimal(1))),
        ConditionalPrice(
            constraint=StartDateConstraint(start_date=date(2026, 5, 1)),
            prices=ModelPrice(input_mtok=Decimal(6), output_mtok=Decimal(9), cache_read_mtok=Decimal(2)),
        ),
    ]
    variants = [
        _variant("default"),
        _variant("flex", date(2026, 3, 1), input=2, output=4),
        _variant("priority", date(2026, 6, 1), output=20),
        _variant("priority", input=8, output=16, cache_read=3),
        PriceVariant(when={"processing": "batch"}, prices=ModelPrice(input_mtok=Decimal(1)), constraint=None),
    ]
    assert [(p["service_tier"], p.get("since"), *p["prices"].values()) for p in periods_of(prices, variants)[1:]] == [
        ("flex", "2026-03-01", 2, 4, 1),
        ("flex", "2026-05-01", 2, 4, 2),
        ("priority", None, 8, 16, 3),
        ("priority", "2026-06-01", 8, 20, 3),
    ]


def test_tiers_of_the_source_cost_here_what_they_cost_there() -> None:
    now, seen = datetime(2026, 11, 25, tzinfo=UTC), 0
    for model in (m for p in providers for m in p.models if m.price_variants):
        spans = [span_of(msgspec.convert(p, PricePeriod)) for p in periods_of(model.prices, model.price_variants)]
        for tier in {t for v in model.price_variants if (t := v.when.get("service_tier")) in {"flex", "priority"}}:
            theirs = model.get_prices(now, {"service_tier": tier})
            ours = tier_prices(Prices(), spans, now.timestamp(), tier)
            if theirs == model.get_prices(now):
                assert ours in {None, msgspec.convert(prices_of(theirs), Prices)}
            else:
                assert ours == msgspec.convert(prices_of(theirs), Prices)
                seen += 1
    assert seen > 30


def _line(place: str, model: str) -> dict[str, Any]:
    lines = (msgspec.json.decode(line) for line in Shipped().sections[place].lines)
    return next(line for line in lines if line["id"] == model)


def test_a_line_holds_what_both_sources_say() -> None:
    line = _line("google", "gemini-2.5-pro")
    assert line["context_length"] == 1_048_576
    assert line["capabilities"]["audio"] is True
    assert line["prices"]["tiers"][0]["above_tokens"] == 200_000
    assert _line("deepseek", "deepseek-chat")["price_periods"]


def test_plans_without_a_price_per_token_are_left_out() -> None:
    assert not [name for name in Shipped().sections if "plan" in name]


@pytest.mark.parametrize("line", [{"id": "claude-x", "capabilities": {"tools": True}}, {"id": "gpt-5-pro"}])
def test_what_people_know_keeps_what_the_sources_say(line: dict[str, Any]) -> None:
    told = knowledge.told("openai", dict(line))
    assert told["id"] == line["id"]
    assert told.get("capabilities", {}).items() >= line.get("capabilities", {}).items()
