"""What an attempt cost: as its provider says, or, when it was cut short, as we reckon."""

from __future__ import annotations

from services.dataplane.attempt import Attempt
from services.dataplane.trail import AttemptTrail, cost
from services.dataplane.translation import TokenUsage, tokens_of


def settle(trail: AttemptTrail, attempt: Attempt | None, now: float) -> None:
    """Close the books of an attempt, once: its end, its tokens, its cost."""
    if trail.ended:
        return
    trail.ended = now
    if attempt is None:
        return
    trail.usage = _usage(attempt, whole=trail.success)
    trail.cost_usd = cost(trail.candidate.target.prices, trail.usage)


def _usage(attempt: Attempt, *, whole: bool) -> TokenUsage | None:
    """The provider's count; for an answer that was cut, at least what was seen of it, marked as estimated."""
    facts = attempt.translation.facts
    if whole or not facts.chars:
        return facts.usage
    known = facts.usage or TokenUsage(input_tokens=tokens_of(attempt.sent))
    return TokenUsage(
        input_tokens=known.input_tokens,
        output_tokens=max(known.output_tokens, tokens_of(facts.chars)),
        cache_read_tokens=known.cache_read_tokens,
        cache_write_tokens=known.cache_write_tokens,
        reasoning_tokens=known.reasoning_tokens,
        estimated=True,
    )
