"""The rules of attempts as workers read them: every value set, defaults that are right without reading the docs.

A document sets what it wants; `laid_over` puts that over the rule of the level below
(settings < provider < router < variant < request). All times are seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, TypeVar

from services.core.policy.documents import (
    Clocks,
    Fault,
    Hedge,
    Retry,
    Router,
    Settings,
    Variant,
)
from services.core.policy.durations import parse_duration

PERCENTILE = re.compile(r"\Ap(\d{1,2}(?:\.\d)?)\Z")


@dataclass(frozen=True, slots=True)
class TtftRule:
    """An adaptive limit on the time to first content: `factor` × the target's percentile `p`, within bounds.

    Attributes:
        max: Upper bound, and the limit while too little is known; 0.0: the fixed `first_content`.
    """

    p: float = 0.95
    factor: float = 2.0
    min: float = 0.5
    max: float = 0.0


@dataclass(frozen=True, slots=True)
class ClockRule:
    """The six clocks of an attempt and what counts for them.

    Attributes:
        ttft: Replaces `first_content` by a limit that follows the target's speed; None: fixed.
        min_tokens_per_second: Throughput floor after the first content; 0.0: none.
        pings_are_activity: Comments and pings count as movement for `idle`.
        reasoning_is_content: Reasoning counts as first content.
    """

    connect: float = 2.0
    headers: float = 20.0
    first_event: float = 20.0
    first_content: float = 20.0
    idle: float = 30.0
    total: float = 600.0
    ttft: TtftRule | None = None
    min_tokens_per_second: float = 0.0
    pings_are_activity: bool = True
    reasoning_is_content: bool = True


@dataclass(frozen=True, slots=True)
class BudgetRule:
    """Bound on extra attempts of a worker: the larger of `ratio` × requests and `min_per_second`.

    The floor is for workers with little traffic. In a fleet it counts once per worker, so a large one
    undoes the ratio: with ten a second, fifty workers made 1.4 times the load of a brown-out.
    """

    ratio: float = 0.1
    min_per_second: float = 0.5


@dataclass(frozen=True, slots=True)
class RetryRule:
    """Bounds of a request's attempts.

    Attributes:
        max_retries: Extra attempts on the same target, 0 to 10.
        max_attempts: Attempts in all, 1 to 20.
        max_wait: Longest wait between two attempts, seconds.
        deadline: Bound on the whole request, seconds from its arrival.
    """

    max_retries: int = 1
    max_attempts: int = 5
    max_wait: float = 3.0
    deadline: float = 600.0
    budget: BudgetRule = BudgetRule()


@dataclass(frozen=True, slots=True)
class BreakerRule:
    """When a target is set aside, and how it comes back; see `core/attempts/breaker.py`.

    Attributes:
        max_open_for: Each probe that fails doubles `open_for`, up to this. No more than that unless
            somebody says so: it bounds how long a target that is well again goes unused.
    """

    consecutive_failures: int = 5
    open_for: float = 6.0
    max_open_for: float = 6.0
    error_rate: float = 0.5
    min_requests: int = 20
    window: float = 10.0
    ramp: float = 3.0


@dataclass(frozen=True, slots=True)
class HedgeRule:
    """When a second attempt begins while the first is silent.

    Attributes:
        percentile: Of the target's recent times to first content; 0.0: `after` is fixed.
        after: Seconds, when `percentile` is 0.0.
        budget: Hedges per request at most.
    """

    enabled: bool = False
    percentile: float = 0.95
    after: float = 0.0
    budget: float = 0.05


@dataclass(frozen=True, slots=True)
class CommitRule:
    """How long an answer is held back after its first content; nothing set: not at all."""

    tokens: int = 0
    ms: int = 0
    sentence: bool = False

    @property
    def holds(self) -> bool:
        """Whether anything is held back."""
        return bool(self.tokens or self.ms or self.sentence)


class Recovery(StrEnum):
    """What follows when an answer breaks after its first content reached the caller."""

    HONEST_ERROR = "honest_error"
    """An error in the stream, and no terminal event."""
    CONTINUE = "continue"
    """Another target that declares prefill goes on from the text so far."""
    VERIFIED_RESUME = "verified_resume"
    """Another target answers anew; what the caller has is swallowed as long as it is equal."""
    RESTART = "restart"
    """Callers that ask for it get a restart event and a new answer."""
    SEAMLESS = "seamless"
    """Hold back, continue where a target can, else resume; the error only when all of that failed."""


SEAMLESS_COMMIT = CommitRule(tokens=16, ms=200)


@dataclass(frozen=True, slots=True)
class ExhaustedRule:
    """What follows when every target is set aside: "least_bad", "reject" or "queue"."""

    mode: str = "least_bad"
    max_wait: float = 5.0
    max_len: int = 100


@dataclass(frozen=True, slots=True)
class FaultRule:
    """A failure to rehearse; see `dataplane/transport/faults.py`."""

    kind: str
    status: int = 503
    delay: float = 2.0
    after_bytes: int = 400
    percent: float = 100.0
    header: str = ""
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resilience:
    """What a route says about attempts beyond their clocks."""

    retry: RetryRule = RetryRule()
    hedge: HedgeRule = HedgeRule()
    commit: CommitRule = CommitRule()
    recovery: Recovery = Recovery.HONEST_ERROR
    on_exhausted: ExhaustedRule = ExhaustedRule()


Rule = TypeVar("Rule", RetryRule, BudgetRule, BreakerRule, TtftRule, CommitRule, ExhaustedRule)


def _set(document: Any) -> dict[str, Any]:
    """The plain fields that `document` sets, by name."""
    values = {f.name: getattr(document, f.name) for f in fields(document)}
    return {name: value for name, value in values.items() if value is not None and value != ""}


def laid_over(rule: Rule, document: Any) -> Rule:
    """`rule` with what `document` sets; None: nothing."""
    return rule if document is None else replace(rule, **_set(document))


def set_clocks(clocks: Clocks | None) -> dict[str, Any]:
    """The clocks that are set, by the name that `ClockRule` has for them."""
    if clocks is None:
        return {}
    found = _set(clocks)
    if clocks.ttft is not None:
        found["ttft"] = laid_over(TtftRule(), clocks.ttft)
    return found


def retry_rule(base: RetryRule, retry: Retry | None) -> RetryRule:
    """`base` with what `retry` sets."""
    if retry is None:
        return base
    changed = _set(retry)
    changed["budget"] = laid_over(base.budget, retry.budget)
    return replace(base, **changed)


def hedge_rule(base: HedgeRule, hedge: Hedge | None) -> HedgeRule:
    """`base` with what `hedge` sets; an `after` that cannot be read changes nothing (the checks refuse it)."""
    if hedge is None:
        return base
    changed: dict[str, Any] = {"enabled": hedge.enabled, "budget": hedge.budget, **(read_after(hedge.after) or {})}
    return replace(base, **{name: value for name, value in changed.items() if value is not None})


def read_after(after: str) -> Mapping[str, float] | None:
    """What a hedge's `after` says; None: nothing, or nothing that can be read."""
    match = PERCENTILE.match(after)
    if match:
        return {"percentile": float(match[1]) / 100.0, "after": 0.0}
    seconds = parse_duration(after)
    return None if seconds is None else {"percentile": 0.0, "after": seconds}


def fault_rule(fault: Fault | None) -> FaultRule | None:
    """The rule of a document's fault; None: there is none."""
    return None if fault is None or not fault.kind else replace(FaultRule(fault.kind), **_set(fault))


def resilience(base: Resilience, document: Settings | Router | Variant) -> Resilience:
    """`base` with what `document` sets. `seamless` holds answers back unless the document says how long."""
    commit = document.commit_after
    recovery = Recovery(document.recovery) if document.recovery in set(Recovery) else base.recovery
    rule = base.commit if commit is None else laid_over(CommitRule(), commit)
    if recovery is Recovery.SEAMLESS and document.recovery and commit is None and not rule.holds:
        rule = SEAMLESS_COMMIT
    return Resilience(
        retry=retry_rule(base.retry, document.retry),
        hedge=hedge_rule(base.hedge, document.hedge),
        commit=rule,
        recovery=recovery,
        on_exhausted=laid_over(base.on_exhausted, document.on_exhausted),
    )
