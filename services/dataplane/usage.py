"""What an attempt cost: as its provider says, or, when it was cut short, as we reckon."""

from __future__ import annotations

from operator import attrgetter

from services.core.numbers import MAX_COUNT
from services.core.pricing import TokenUsage, tier_cost
from services.core.values import changed
from services.dataplane.attempt import Attempt
from services.dataplane.trail import AttemptTrail
from services.dataplane.translation import tokens_of

_COUNTS = tuple(name for name, kind in TokenUsage.__annotations__.items() if kind == "int")
_counts = attrgetter(*_COUNTS)


def settle(trail: AttemptTrail, attempt: Attempt | None, now: float, wall: float) -> None:
    """Close the books of an attempt, once: its end, its tokens, its cost.

    Args:
        now: Monotonic instant.
        wall: Seconds since the Unix epoch, for prices that change.
    """
    if trail.ended:
        return
    trail.ended = now
    if attempt is None:
        return
    trail.usage = bounded(_usage(attempt, whole=trail.success))
    if trail.usage is not None and trail.usage.cost_usd is not None:
        trail.cost_usd, trail.cost_is_providers = trail.usage.cost_usd, True
    elif trail.usage is not None:
        _reckon(trail, attempt, trail.usage, wall)


def _reckon(trail: AttemptTrail, attempt: Attempt, usage: TokenUsage, wall: float) -> None:
    """The cost by the price list: by that of the answer's service tier if there is one, else by the standard one."""
    target = trail.candidate.target
    trail.cost_usd, known = tier_cost(target.prices, target.spans, wall, usage)
    if not known and trail.cost_usd is not None:
        trail.cost_is_estimated = True
        told = (
            f"the cost is estimated by the standard price: that of the service tier {usage.service_tier!r} is not known"
        )
        attempt.translation.facts.warnings.append(f"{told} for {target.model}")


def _usage(attempt: Attempt, *, whole: bool) -> TokenUsage | None:
    """The provider's count; for an answer that was cut, at least what was seen of it, marked as estimated."""
    facts = attempt.translation.facts
    if whole or not facts.chars:
        return facts.usage
    known = facts.usage or TokenUsage(input_tokens=tokens_of(attempt.sent))
    return changed(known, output_tokens=max(known.output_tokens, tokens_of(facts.chars)), cost_usd=None, estimated=True)


def bounded(usage: TokenUsage | None) -> TokenUsage | None:
    """Usage without counts that no answer can have: whatever a provider says, a record and a cost can be made of it."""
    if usage is None:
        return None
    counts = _counts(usage)
    if min(counts) >= 0 and max(counts) <= MAX_COUNT:
        return usage
    return changed(usage, **{name: min(max(n, 0), MAX_COUNT) for name, n in zip(_COUNTS, counts, strict=True)})
