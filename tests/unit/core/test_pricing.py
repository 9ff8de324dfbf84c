"""What an answer costs: every class of tokens, every other unit, tiers and times."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.policy.documents import PricePeriod, Prices, PriceTier
from services.core.pricing import TokenUsage, cost, prices_at, span_of, tier_prices

PRICES = Prices(2.5, 10.0, 1.25, 3.125)


@pytest.mark.parametrize(
    ("prices", "usage", "dollars"),
    [
        (PRICES, TokenUsage(1_000_000, 0), 2.5),
        (PRICES, TokenUsage(0, 1_000_000), 10.0),
        (PRICES, TokenUsage(1_200, 50, cache_read_tokens=1_024, cache_write_tokens=100), 0.0022825),
        (PRICES, TokenUsage(9, 40, reasoning_tokens=32), 0.0004225),
        (PRICES, TokenUsage(0, 0), 0.0),
        # Without a price of its own, cached input costs what input costs.
        (Prices(2.5, 10.0), TokenUsage(1_200, 50, cache_read_tokens=1_024, cache_write_tokens=100), 0.0035),
        (Prices(0.0, 0.0), TokenUsage(1_000, 1_000), 0.0),
        # A provider that counts more cached tokens than input never makes a request cheaper than its cache.
        (PRICES, TokenUsage(100, 0, cache_read_tokens=200), 0.00025),
        (PRICES, None, None),
        (Prices(), TokenUsage(1, 1), None),
        (Prices(2.5), TokenUsage(1, 1), None),
        (Prices(None, 10.0), TokenUsage(1, 1), None),
    ],
)
def test_a_cost_is_right_to_a_billionth(prices: Prices, usage: TokenUsage | None, dollars: float | None) -> None:
    found = cost(prices, usage)
    assert found == (dollars if dollars is None else pytest.approx(dollars, abs=1e-9, rel=0))


@given(
    st.integers(0, 2_000_000),
    st.integers(0, 2_000_000),
    st.integers(0, 2_000_000),
    st.integers(0, 200_000),
    st.tuples(*[st.integers(0, 100_000)] * 4),
)
def test_a_cost_agrees_with_exact_arithmetic(
    fresh: int, read: int, write: int, output: int, prices: tuple[int, int, int, int]
) -> None:
    usage = TokenUsage(fresh + read + write, output, cache_read_tokens=read, cache_write_tokens=write)
    exact = sum(
        Fraction(tokens) * Fraction(price, 1_000) / 1_000_000
        for tokens, price in zip((fresh, output, read, write), prices, strict=True)
    )
    per_million = [price / 1_000 for price in prices]
    assert cost(Prices(*per_million), usage) == pytest.approx(float(exact), abs=1e-9, rel=1e-12)


ALL = Prices(
    input_per_million=2.0,
    output_per_million=8.0,
    cache_read_per_million=0.5,
    cache_write_per_million=2.5,
    cache_write_1h_per_million=4.0,
    input_audio_per_million=20.0,
    output_audio_per_million=80.0,
    cache_audio_read_per_million=5.0,
    input_image_per_million=6.0,
    output_image_per_million=40.0,
    reasoning_per_million=3.0,
    per_request=0.001,
    per_image=0.04,
    per_million_characters=15.0,
    per_hour=0.36,
    per_search=0.01,
)
M = 1_000_000


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        (TokenUsage(M, M), 10.001),
        (TokenUsage(M, 0, cache_read_tokens=M), 0.501),
        (TokenUsage(M, 0, cache_write_tokens=M), 2.501),
        (TokenUsage(M, 0, cache_write_tokens=M, cache_write_1h_tokens=M), 4.001),
        (TokenUsage(M, 0, cache_write_tokens=M, cache_write_1h_tokens=M // 2), 3.251),
        # More for an hour than was written at all is not believed.
        (TokenUsage(M, 0, cache_write_tokens=M, cache_write_1h_tokens=2 * M), 4.001),
        (TokenUsage(M, 0, input_audio_tokens=M), 20.001),
        (TokenUsage(2 * M, 0, input_audio_tokens=M), 22.001),
        (TokenUsage(M, 0, cache_read_tokens=M, input_audio_tokens=M, cache_audio_tokens=M), 5.001),
        (TokenUsage(M, 0, input_image_tokens=M), 6.001),
        (TokenUsage(0, M, output_audio_tokens=M), 80.001),
        (TokenUsage(0, M, output_image_tokens=M), 40.001),
        (TokenUsage(0, M, reasoning_tokens=M), 3.001),
        (TokenUsage(characters=M), 15.001),
        (TokenUsage(seconds=3600.0), 0.361),
        (TokenUsage(images=2), 0.081),
        (TokenUsage(M, 0, searches=3), 2.031),
    ],
)
def test_every_class_has_its_price(usage: TokenUsage, dollars: float) -> None:
    assert cost(ALL, usage) == pytest.approx(dollars, abs=1e-12)


@pytest.mark.parametrize(
    ("prices", "usage", "dollars"),
    [
        (Prices(2.0, 8.0), TokenUsage(M, 0, input_audio_tokens=M, input_image_tokens=0), 2.0),
        (Prices(2.0, 8.0), TokenUsage(0, M, output_audio_tokens=M, output_image_tokens=M, reasoning_tokens=M), 8.0),
        (Prices(2.0, 8.0, cache_write_per_million=2.5), TokenUsage(M, 0, 0, M, cache_write_1h_tokens=M), 2.5),
        # A model that only reads has no price for what it says, and needs none.
        (Prices(0.02), TokenUsage(M, 0), 0.02),
        # Images that were paid in tokens have no price of their own.
        (Prices(5.0, 40.0), TokenUsage(M, M, images=1), 45.0),
        (Prices(), TokenUsage(characters=5), None),
        (Prices(), TokenUsage(seconds=5.0), None),
        (Prices(), TokenUsage(images=1), None),
        (Prices(), TokenUsage(), None),
        # What a search costs is not known, and not nothing.
        (Prices(2.0, 8.0), TokenUsage(M, 0, searches=1), None),
    ],
)
def test_what_has_no_price_costs_what_is_around_it_or_is_not_known(
    prices: Prices, usage: TokenUsage, dollars: float | None
) -> None:
    assert cost(prices, usage) == dollars


def test_the_highest_tier_that_is_reached_holds_for_all_tokens() -> None:
    tiers = (PriceTier(200_000, 4.0, 16.0, 1.0), PriceTier(500_000, 8.0, 32.0), PriceTier(300_000, 6.0, 24.0))
    prices = Prices(2.0, 8.0, 0.5, tiers=tiers)
    assert cost(prices, TokenUsage(200_000, 0)) == pytest.approx(0.4)
    assert cost(prices, TokenUsage(200_001, 0)) == pytest.approx(0.800004)
    assert cost(prices, TokenUsage(400_000, 1_000)) == pytest.approx(2.424)
    assert cost(prices, TokenUsage(1_000_000, 0)) == pytest.approx(8.0)
    assert cost(prices, TokenUsage(250_000, 0, cache_read_tokens=250_000)) == pytest.approx(0.25)


DAY = 86_400.0
MARCH_13 = 1_773_360_000.0
"""2026-03-13, midnight UTC."""


def test_prices_change_on_their_day_and_the_last_that_holds_counts() -> None:
    base, march, night = Prices(1.0, 1.0), Prices(2.0, 2.0), Prices(0.5, 0.5)
    spans = [
        span_of(PricePeriod(since="2026-03-13", prices=march)),
        span_of(PricePeriod(daily_from="16:30", daily_until="00:30", prices=night)),
    ]
    assert prices_at(base, spans, MARCH_13 - DAY / 2) == base
    assert prices_at(base, spans, MARCH_13 + DAY / 2) == march
    assert prices_at(base, spans, MARCH_13 + 16.5 * 3600) == night
    assert prices_at(base, spans, MARCH_13 + 16.5 * 3600 - 1) == march
    assert prices_at(base, spans, MARCH_13 + DAY + 1) == night
    assert prices_at(base, spans, MARCH_13 + DAY + 1800) == march
    assert prices_at(base, [span_of(PricePeriod(daily_from="01:00", daily_until="04:00"))], 4 * 3600.0) == base
    assert prices_at(base, (), MARCH_13) == base


@pytest.mark.parametrize(
    "period", [PricePeriod("13.3.2026"), PricePeriod(daily_from="25:00"), PricePeriod("2026-13-01")]
)
def test_a_period_that_is_no_time_is_refused(period: PricePeriod) -> None:
    with pytest.raises(ValueError, match=r"."):
        span_of(period)


def test_a_tier_has_its_own_prices_or_none_and_is_never_the_standard_one() -> None:
    base, march, flex, later = Prices(1.0, 1.0), Prices(2.0, 2.0), Prices(0.5, 0.5), Prices(0.7, 0.7)
    spans = [
        span_of(PricePeriod(since="2026-03-13", prices=march)),
        span_of(PricePeriod(service_tier="flex", prices=flex)),
        span_of(PricePeriod(service_tier="flex", since="2026-03-13", prices=later)),
    ]
    for tier in ("", "auto", "default"):
        assert tier_prices(base, spans, MARCH_13 - 1, tier) == base
        assert tier_prices(base, spans, MARCH_13, tier) == march
    assert tier_prices(base, spans, MARCH_13 - 1, "flex") == flex
    assert tier_prices(base, spans, MARCH_13, "flex") == later
    assert tier_prices(base, spans, MARCH_13, "priority") is None
    assert prices_at(base, spans[1:], MARCH_13) == base
