"""The output of a decision: what to try, in which order, within which bounds, and why."""

from __future__ import annotations

from dataclasses import dataclass

from services.core.policy.documents import MessageTemplate, TextGenerationConfig
from services.core.policy.snapshot import ClockRule, RetryRule, Target


@dataclass(frozen=True, slots=True)
class Candidate:
    """One target of a plan with everything its attempts need.

    Attributes:
        clocks: All six clocks, merged from settings, provider, router, variant and request.
        named_clocks: Which of them anybody set, as against the built-in defaults.
    """

    target: Target
    clocks: ClockRule
    named_clocks: frozenset[str] = frozenset()
    generation: TextGenerationConfig | None = None
    templates: tuple[MessageTemplate, ...] = ()


@dataclass(frozen=True, slots=True)
class Skipped:
    """A target that was not considered, and why."""

    model: str
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """An ordered list of candidates (never empty, no target twice) and the bounds on trying them.

    Attributes:
        seed: The draw's seed; the same snapshot, context, health, now and seed give the same plan.
        reasons: One line per step of the decision, for people.
    """

    candidates: tuple[Candidate, ...]
    retry: RetryRule
    policy_version: str
    policy_revision: int
    seed: int
    router_id: str = ""
    route_id: str = ""
    variant_id: str = ""
    reasons: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    condition_errors: tuple[str, ...] = ()
    """Conditions that failed at run time and so did not match; counted by the worker."""


@dataclass(frozen=True, slots=True)
class Undecided:
    """No plan. `reason` is UPPER_SNAKE: NO_ROUTE or UNKNOWN_MODEL; `message` is what the caller sees."""

    reason: str
    message: str
    reasons: tuple[str, ...] = ()
