"""What an answer costs: tokens and other units, the price list, and the sum. Pure, and on the way of every request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time

from services.core.policy.documents import PricePeriod, Prices, PriceTier
from services.core.values import Value

PER_MILLION = 1_000_000.0
_DAY = 86_400.0
_HOUR = 3_600.0
STANDARD_TIERS = frozenset({"", "auto", "default"})
"""What answers call the tier that a price list is of; "auto" is a request's word, and says no more than nothing."""


class TokenUsage(Value, frozen=True):
    """Tokens of one answer, in OpenAI's sense: input includes cached, audio and image tokens, output reasoning,
    audio and images.

    What is not counted in tokens has its own unit, beside or instead of them.

    Attributes:
        cache_write_1h_tokens: Those of `cache_write_tokens` that are kept for an hour.
        cache_audio_tokens: Those of `cache_read_tokens` that are sound.
        characters: Text that was spoken.
        seconds: Sound that was written down.
        images: Pictures that were made.
        searches: Web searches that the provider ran.
        billed: Input and output tokens that are paid for, of a provider that bills others than the model read and
            wrote (Cohere); None: those above.
        service_tier: The tier that the answer says it was served in, as OpenAI spells it ("default" is the standard
            one); empty: it names none.
        cost_usd: What the provider itself says that the answer costs, in US dollars; None: it does not say.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    cache_write_1h_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    characters: int = 0
    seconds: float = 0.0
    images: int = 0
    searches: int = 0
    input_image_tokens: int = 0
    output_image_tokens: int = 0
    cache_audio_tokens: int = 0
    billed: tuple[int, int] | None = None
    cost_usd: float | None = None
    service_tier: str = ""

    @property
    def fresh_tokens(self) -> int:
        """Input that came from no cache and went into none. Some providers read what they have just written."""
        read, write = self.cache_read_tokens, self.cache_write_tokens
        cached = read + write if read + write <= self.input_tokens else max(read, write)
        return max(0, self.input_tokens - cached)


@dataclass(frozen=True, slots=True)
class PriceSpan:
    """Prices and when they hold.

    Attributes:
        since: Seconds since the Unix epoch from which they hold.
        day_start: Second of the day (UTC) at which they begin to hold; equal to `day_end`: all day.
        day_end: Second of the day at which they end; before `day_start`: on the next day.
        service_tier: Tier that they are of, in small letters; empty: the standard one.
    """

    since: float
    day_start: float
    day_end: float
    prices: Prices
    service_tier: str = ""

    def holds(self, now: float) -> bool:
        """Whether they hold at `now`, seconds since the Unix epoch."""
        if now < self.since:
            return False
        start, end, second = self.day_start, self.day_end, now % _DAY
        if start == end:
            return True
        return start <= second < end if start < end else second >= start or second < end


def span_of(period: PricePeriod) -> PriceSpan:
    """The span of a period.

    Raises:
        ValueError: A date is not YYYY-MM-DD, or a time of day not HH:MM.
    """
    since = datetime.strptime(period.since, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() if period.since else 0.0
    start, end = _second(period.daily_from), _second(period.daily_until)
    return PriceSpan(since, start, end, period.prices or Prices(), period.service_tier)


def _second(clock: str) -> float:
    if not clock:
        return 0.0
    found = time.fromisoformat(clock)
    return found.hour * 3_600.0 + found.minute * 60.0


def prices_at(prices: Prices, spans: Sequence[PriceSpan], now: float) -> Prices:
    """The prices of the standard tier at `now`: those of its last span that holds, else `prices`."""
    return (_held(spans, now, "") if spans else None) or prices


def tier_prices(prices: Prices, spans: Sequence[PriceSpan], now: float, tier: str) -> Prices | None:
    """The prices of a service tier at `now`; None: they are not known."""
    return prices_at(prices, spans, now) if tier in STANDARD_TIERS else _held(spans, now, tier)


def tier_cost(
    prices: Prices, spans: Sequence[PriceSpan], now: float, usage: TokenUsage | None
) -> tuple[float | None, bool]:
    """As `cost`, by the prices of the service tier that `usage` names, and True; without them by the standard ones, and False."""
    found = tier_prices(prices, spans, now, usage.service_tier if usage is not None else "")
    return cost(found or prices_at(prices, spans, now), usage), found is not None


def _held(spans: Sequence[PriceSpan], now: float, tier: str) -> Prices | None:
    for span in reversed(spans):
        if span.service_tier == tier and span.holds(now):
            return span.prices
    return None


def cost(prices: Prices, usage: TokenUsage | None) -> float | None:
    """US dollars for `usage`; None when a price that it needs is not known.

    Tokens of a class without a price of its own cost what the class around it costs: cached
    input as input, an hour's cache as five minutes', audio and images as text.
    """
    if usage is None:
        return None
    if usage.billed is not None:
        usage = TokenUsage(*usage.billed, searches=usage.searches)
    given, made = usage.input_tokens, usage.output_tokens
    total = 0.0
    if given or made or (prices.input_per_million is not None and prices.output_per_million is not None):
        tokens = _tokens(prices, usage)
        if tokens is None:
            return None
        total = tokens / PER_MILLION
    elif not _has_units(usage):
        return None
    if usage.characters or usage.seconds or usage.images:
        units = _units(prices, usage)
        if units is None and not (given or made):
            return None
        total += units or 0.0
    if usage.searches:
        if prices.per_search is None:
            return None
        total += usage.searches * prices.per_search
    return total + prices.per_request if prices.per_request is not None else total


def _has_units(usage: TokenUsage) -> bool:
    return bool(usage.characters or usage.seconds or usage.images or usage.searches)


def _tokens(prices: Prices, usage: TokenUsage) -> float | None:
    """Dollars, times a million, for all tokens."""
    rates: Prices | PriceTier = prices
    if prices.tiers:
        rates = _tier(prices, usage.input_tokens)
    fresh_rate, made_rate = rates.input_per_million, rates.output_per_million
    if fresh_rate is None or (made_rate is None and usage.output_tokens):
        return None
    total = usage.fresh_tokens * fresh_rate
    if usage.output_tokens and made_rate is not None:
        total += usage.output_tokens * made_rate
        total += _made_apart(prices, usage, made_rate)
    read, write = usage.cache_read_tokens, usage.cache_write_tokens
    read_rate = fresh_rate if rates.cache_read_per_million is None else rates.cache_read_per_million
    if read:
        total += read * read_rate
    if write:
        write_rate = fresh_rate if rates.cache_write_per_million is None else rates.cache_write_per_million
        hour = min(usage.cache_write_1h_tokens, write)
        hour_rate = write_rate if rates.cache_write_1h_per_million is None else rates.cache_write_1h_per_million
        total += (write - hour) * write_rate + hour * hour_rate
    if usage.input_audio_tokens or usage.input_image_tokens:
        total += _given_apart(prices, usage, fresh_rate, read_rate)
    return total


def _tier(prices: Prices, given: int) -> Prices | PriceTier:
    """The rates of a prompt of `given` tokens: a tier holds for all tokens of the request, not only those above it."""
    found: PriceTier | None = None
    for tier in prices.tiers:
        if given > tier.above_tokens and (found is None or tier.above_tokens > found.above_tokens):
            found = tier
    return found or prices


def _given_apart(prices: Prices, usage: TokenUsage, fresh_rate: float, read_rate: float) -> float:
    """What sound and images of the prompt cost more (or less) than text."""
    total = 0.0
    cached = min(usage.cache_audio_tokens, usage.input_audio_tokens)
    if prices.input_audio_per_million is not None:
        total += (usage.input_audio_tokens - cached) * (prices.input_audio_per_million - fresh_rate)
    if prices.cache_audio_read_per_million is not None:
        total += cached * (prices.cache_audio_read_per_million - read_rate)
    if prices.input_image_per_million is not None:
        total += usage.input_image_tokens * (prices.input_image_per_million - fresh_rate)
    return total


def _made_apart(prices: Prices, usage: TokenUsage, made_rate: float) -> float:
    """What sound, images and reasoning of the answer cost more (or less) than text."""
    total = 0.0
    if usage.output_audio_tokens and prices.output_audio_per_million is not None:
        total += usage.output_audio_tokens * (prices.output_audio_per_million - made_rate)
    if usage.output_image_tokens and prices.output_image_per_million is not None:
        total += usage.output_image_tokens * (prices.output_image_per_million - made_rate)
    if usage.reasoning_tokens and prices.reasoning_per_million is not None:
        total += usage.reasoning_tokens * (prices.reasoning_per_million - made_rate)
    return total


def _units(prices: Prices, usage: TokenUsage) -> float | None:
    """Dollars for characters, seconds and images; None when a price is missing."""
    total = 0.0
    if usage.characters:
        if prices.per_million_characters is None:
            return None
        total += usage.characters * prices.per_million_characters / PER_MILLION
    if usage.seconds:
        if prices.per_hour is None:
            return None
        total += usage.seconds * prices.per_hour / _HOUR
    if usage.images:
        if prices.per_image is None:
            return None
        total += usage.images * prices.per_image
    return total
