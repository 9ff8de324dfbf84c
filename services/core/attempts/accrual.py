"""Failure accrual: how failures of a target or a credential add up to benching it.

Consecutive failures bench a target for a while; a provider's pushback benches
it for as long as was asked; a rejected credential is benched at once. Values
and functions only; the worker's tracker keeps one value per name.
"""

from __future__ import annotations

from dataclasses import dataclass

from services.core.attempts.verdicts import Harm, disposition
from services.core.errors import Failure

CONSECUTIVE_FAILURES = 5
OPEN_SECONDS = 10.0
CREDENTIAL_SECONDS = 60.0
PUSHBACK_SECONDS = 1.0
"""How long a rate limit without Retry-After benches."""
MAX_PUSHBACK_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Accrual:
    """What is known of one target or credential. `benched_until` in monotonic seconds; 0.0: not benched."""

    consecutive: int = 0
    benched_until: float = 0.0


HEALTHY_STATE = Accrual()


def after_success(state: Accrual) -> Accrual:
    """Success clears the account."""
    return HEALTHY_STATE if state != HEALTHY_STATE else state


def after_failure(state: Accrual, failure: Failure, now: float) -> Accrual:
    """Book `failure` against the name that `harmed` gave."""
    harm = disposition(failure).harm
    asked = None if failure.retry_after is None else min(failure.retry_after, MAX_PUSHBACK_SECONDS)
    if harm is Harm.NOTHING:
        return state
    if harm is Harm.CREDENTIAL:
        until = now + (CREDENTIAL_SECONDS if asked is None else max(asked, CREDENTIAL_SECONDS))
        return Accrual(state.consecutive + 1, max(state.benched_until, until))
    if harm is Harm.PUSHBACK:
        until = now + (PUSHBACK_SECONDS if asked is None else asked)
        return Accrual(state.consecutive, max(state.benched_until, until))
    consecutive = state.consecutive + 1
    until = state.benched_until
    if consecutive >= CONSECUTIVE_FAILURES:
        until = max(until, now + OPEN_SECONDS)
    if asked is not None:
        until = max(until, now + asked)
    return Accrual(consecutive, until)


def credential_name(provider: str, reference: str) -> str:
    """The name under which a credential is benched."""
    return f"{provider}#{reference}"


def harmed(failure: Failure, model: str, provider: str, reference: str) -> str:
    """The name that `failure` counts against: the credential, or the target; empty: nothing.

    A rate limit counts against the credential when there is one: limits are per account.
    """
    harm = disposition(failure).harm
    if harm is Harm.NOTHING:
        return ""
    if harm is Harm.CREDENTIAL and reference:
        return credential_name(provider, reference)
    return model
