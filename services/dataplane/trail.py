"""The trail of a request: what happened so far, kept as cheaply as it can be while the request runs.

A finished trail turns into a `RequestRecord` (the one evidence type behind
spans, log rows and metrics) off the hot path, and into the `metadata` object
of the caller's answer on it. It never holds prompts, answers or keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from services.core.attempts.effects import Effect, Kind, StartAttempt, Wait
from services.core.errors import Clock, Failure
from services.core.routing.assign import METADATA
from services.core.routing.plan import Candidate, Plan
from services.core.values import MutableValue, field
from services.dataplane.decision import decision_of
from services.dataplane.kept_facts import KeptFacts
from services.dataplane.translation import Evidence, TokenUsage
from services.runtime.trace_context import TraceContext


def new_generation_id(high: int, low: int) -> str:
    """The id of a request, in the form of a UUID, from twice 64 random bits."""
    text = f"{high & (1 << 64) - 1:016x}{low & (1 << 64) - 1:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class AttemptTrail(MutableValue):
    """One attempt. Instants are monotonic seconds; 0.0: not reached."""

    number: int
    candidate: Candidate
    credential: str
    span_id: str
    started: float
    headers_at: float = 0.0
    content_at: float = 0.0
    ended: float = 0.0
    phase: str = "connecting"
    status: int = 0
    success: bool = False
    failure: Failure | None = None
    kind: str = "first"
    address: str = ""
    verdict: str = ""
    fault: str = ""
    """Kind of the fault that policy injected into it; empty: none."""
    usage: TokenUsage | None = None
    cost_usd: float | None = None
    cost_is_providers: bool = False
    """True: the provider told the cost; else it is reckoned from the price list."""
    cost_is_estimated: bool = False
    """True: reckoned by the standard price, because that of the answer's service tier is not known."""


class Trail(MutableValue):
    """One request. `started` is monotonic, `started_wall` seconds since the Unix epoch."""

    generation_id: str
    trace: TraceContext
    api: str
    started: float
    started_wall: float
    stream: bool = False
    requested_model: str = ""
    fault: str = ""
    """Value of the caller's x-turnout-fault header."""
    explain: bool = False
    """The caller asked for the decision."""
    user_hash: str = ""
    api_key_name: str = ""
    plan: Plan | None = None
    facts: KeptFacts | None = None
    shadow_of: str = ""
    """Generation id of the request that this is a shadow of; empty: it is none."""
    answered: Trail | None = None
    """Of a shadow: that request's own trail."""
    policy_version: str = ""
    policy_revision: int = 0
    seed: int = 0
    attempts: list[AttemptTrail] = field(default_factory=list)
    outcome: str = ""
    status: int = 0
    error_reason: str = ""
    ended: float = 0.0
    content_at: float = 0.0
    audio_at: float = 0.0
    """Of an answer that is spoken: its first sound."""
    parent_generation_id: str = ""
    """Of speech: the request whose answer is spoken."""
    usage: TokenUsage | None = None
    cost_usd: float | None = None
    cost_is_providers: bool = False
    """True: the provider told the cost; else it is reckoned from the price list."""
    cost_is_estimated: bool = False
    """True: reckoned by the standard price, because that of the answer's service tier is not known."""
    model: str = ""
    provider: str = ""
    """Name of the provider that answered."""
    native_finish_reason: str = ""
    prompt_hash: int = 0
    """Of the body of a request in an experiment or decided by what was learned, to tell when the same comes again; leaves
    the worker never."""
    app_title: str = ""
    referer: str = ""
    user_agent: str = ""
    caller_trace: Mapping[str, str] = field(default_factory=dict)
    """What the caller calls the request in its own traces, bounded."""
    finish_reason: str = ""
    invalid_json: bool | None = None
    """JSON was asked for, and the answer's text is none; None: it was not, or nobody can say."""
    response_id: str = ""
    warnings: list[str] = field(default_factory=list)
    inbound_span: bool = False
    """True: no bridge made a SERVER span, so the record's spans begin with one."""
    frames_type: str = ""
    """Content type of the stream that the caller gets, where the answer says it."""

    def warn(self, warnings: Iterable[str]) -> None:
        """Note warnings of an attempt that the caller sees something of, each once."""
        for told in warnings:
            if told not in self.warnings:
                self.warnings.append(told)


def evidence_of(trail: Trail, now: float) -> Evidence:
    """What the caller is shown, at `now`."""
    plan = trail.plan
    metadata: dict[str, Any] = {
        "attempts": [_shown_attempt(attempt, now) for attempt in trail.attempts],
        "generation_id": trail.generation_id,
        "reasoning": reasoning_of(trail),
        "total_duration_ms": _ms(now - trail.started),
        "policy_version": trail.policy_version,
    }
    if plan is not None and plan.router_id:
        metadata["router_id"] = plan.router_id
        metadata["route_id"] = plan.route_id
        metadata["variant_id"] = plan.variant_id
    if plan is not None and trail.explain:
        metadata["decision"] = decision_of(plan)
    if trail.cost_is_providers:
        metadata["cost_source"] = "provider"
    elif trail.cost_is_estimated:
        metadata["cost_source"] = "estimated"
    if trail.warnings:
        metadata["warnings"] = list(trail.warnings)
    return Evidence(
        metadata,
        trail.cost_usd,
        trail.model,
        trail.generation_id,
        provider=trail.provider,
        requested=trail.requested_model,
        plan=plan,
    )


def evidence_headers(trail: Trail) -> dict[str, str]:
    """What the caller is shown of an answer whose body has no place for it, as far as it is known by now."""
    headers = {"x-turnout-attempts": str(len(trail.attempts))}
    shown = next((a for a in reversed(trail.attempts) if a.success or a.phase == "committed"), None)
    if shown is not None:
        headers["x-turnout-model"] = _header(shown.candidate.target.model)
    if trail.cost_usd is not None:
        headers["x-turnout-cost"] = f"{trail.cost_usd:.10f}".rstrip("0").rstrip(".")
    if trail.warnings:
        headers["x-turnout-warnings"] = _header("; ".join(trail.warnings))
    return headers


_HEADER_CHARS = 1_000


def _header(text: str) -> str:
    """`text` as the value of a header: one line of visible ASCII, not too long for anybody."""
    plain = "".join(c if " " <= c <= "~" else "?" for c in text)
    return plain if len(plain) <= _HEADER_CHARS else f"{plain[: _HEADER_CHARS - 3]}..."


def _shown_attempt(attempt: AttemptTrail, now: float) -> dict[str, Any]:
    shown: dict[str, Any] = {"model": attempt.candidate.target.model, "success": attempt.success}
    if attempt.content_at:
        shown["time_to_first_token_ms"] = _ms(attempt.content_at - attempt.started)
    shown["duration_ms"] = _ms((attempt.ended or now) - attempt.started)
    if attempt.kind not in {"first", "failover"}:
        shown["kind"] = attempt.kind
    if attempt.verdict == "lost":
        shown["cancelled"] = True
    failure = attempt.failure
    if failure is not None:
        shown["error"] = failure.kind.value
        shown["error_message"] = failure.message
        if failure.status:
            shown["status"] = failure.status
        if failure.code:
            shown["error_code"] = failure.code
        if failure.clock is not None:
            shown["clock"] = failure.clock.value
    return shown


def reasoning_of(trail: Trail) -> str:
    """One sentence on the decision and its outcome."""
    plan = trail.plan
    if plan is None:
        return "No decision was made."
    if plan.router_id:
        chosen = _told_choice(plan)
    elif plan.automatic:
        chosen = f"Automatic choice among {len(plan.candidates)} models"
    else:
        chosen = f"Using specified model: '{trail.requested_model or plan.candidates[0].target.model}'"
    told = [f"'{a.candidate.target.model}' {_told_outcome(a)}" for a in trail.attempts]
    return f"{chosen} - {', then '.join(told)}" if told else chosen


_LONGEST_CONDITION = 80


@lru_cache(1_024)
def _told_route(router_id: str, route_id: str, condition: str, variant_id: str) -> str:
    """Route and variant, with the condition; the same for very many requests."""
    condition = " ".join(condition.split())
    if len(condition) > _LONGEST_CONDITION:
        condition = f"{condition[: _LONGEST_CONDITION - 3]}..."
    because = f" ({condition})" if condition else ""
    return f"Router '{router_id}' chose route '{route_id}'{because}, variant '{variant_id}'"


def _told_choice(plan: Plan) -> str:
    """Route and variant, with the condition and the slot that chose them."""
    told = _told_route(plan.router_id, plan.route_id, plan.condition, plan.variant_id)
    if plan.slot < 0:
        return told
    unit = f" of this {plan.unit_kind.removeprefix(METADATA)}" if plan.unit_kind else ", drawn"
    return f"{told} (slot {plan.slot:,}{unit})"


def _told_outcome(attempt: AttemptTrail) -> str:
    if attempt.success:
        return "success"
    failure = attempt.failure
    if failure is None:
        return "lost the race" if attempt.verdict == "lost" else "answering"
    if failure.clock is not None and failure.clock is not Clock.DEADLINE:
        return f"failed ({failure.kind.value}, clock {failure.clock.value})"
    return f"failed ({failure.kind.value}{f', status {failure.status}' if failure.status else ''})"


def _ms(seconds: float) -> float | int:
    """Milliseconds for people: whole from 10 ms on, else with one decimal."""
    ms = seconds * 1000.0
    return round(ms) if ms >= 10 else round(max(ms, 0.0), 1)


def told_verdict(effects: tuple[Effect, ...], *, running: bool) -> str:
    """What followed from a failure, in a record's word."""
    for effect in effects:
        if isinstance(effect, StartAttempt):
            return "retry" if effect.kind is Kind.RETRY else "next"
        if isinstance(effect, Wait):
            return "wait"
    return "race" if running else "stop"
