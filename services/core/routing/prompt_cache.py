"""What of a session's next prompt is in a provider's prompt cache, as far as the last answers tell it.

A conversation is sent again with each turn, and whoever served the last one reads most of it from its cache, for a
fraction of the price. So the cheapest model of a list is not the cheapest for a session that another one serves.
The memory of it is an input of the decision (`RequestContext.cached`), and what was read of it goes into the record.

What is believed: a provider that tells what it wrote into its cache, or is paid for it, holds what it told; of others,
which cache by themselves and tell only what they read, the whole prompt is held, until they read nothing where there
should have been something.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.core.policy.documents import Prices
from services.core.pricing import TokenUsage
from services.core.values import Value

PROMPT_CACHE = "prompt_cache"
"""The term of a score, and the metric of a measurement: share of the prompt, 0 to 1."""
LIFETIME = 300.0
"""Seconds for which a cache keeps a prompt that nobody asks for: the least that providers promise."""
HOUR = 3_600.0
"""The same of what was written to be kept for an hour."""
LEAST_TOKENS = 1_024
"""Of a prompt that is cached unasked; shorter ones are not worth it to any provider."""


class Held(Value, frozen=True):
    """What the cache of one model holds of a session.

    Attributes:
        tokens: Of the prompt; 0: the model served the session, and its cache held nothing.
        turn: Tokens of the prompt and its answer, which the next prompt begins with.
        until: Monotonic seconds until which it is held.
    """

    tokens: int
    turn: int
    until: float


def held_after(usage: TokenUsage, prices: Prices, before: Held | None, at: float) -> Held | None:
    """What is held after an answer; None: nothing that would make the next prompt cheaper.

    Args:
        usage: As the provider told it.
        before: What was held of the session at the same model.
        at: Monotonic seconds at which the prompt was sent.
    """
    if prices.cache_read_per_million is None or not usage.input_tokens:
        return None
    written, read = usage.cache_write_tokens, usage.cache_read_tokens
    if written or prices.cache_write_per_million is not None:
        tokens = read + written
    elif read or before is None or before.until <= at:
        tokens = usage.input_tokens if usage.input_tokens >= LEAST_TOKENS else 0
    else:
        tokens = 0
    keeps = HOUR if usage.cache_write_1h_tokens else LIFETIME
    tokens = min(tokens, usage.input_tokens)
    return Held(tokens, usage.input_tokens + usage.output_tokens, at + keeps)


def cached_shares(held: Mapping[str, Held], least_tokens: int, now: float) -> Mapping[str, float]:
    """The share of the next prompt that is cached, above 0 to 1, by model.

    Args:
        held: By model, of one session.
        least_tokens: Tokens that the prompt has at least.
        now: Monotonic seconds.
    """
    prompt = max(least_tokens, *(one.turn for one in held.values())) if held else 0
    return {model: one.tokens / prompt for model, one in held.items() if one.tokens and one.until > now}
