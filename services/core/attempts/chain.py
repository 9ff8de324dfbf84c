"""The attempt chain: the failover machine.

Rule 1: everything that decides what follows from what lives in this file and its table,
`verdicts.py`. The shell (`dataplane/runner.py`) performs effects and reports events.
Rule 2: this file does no I/O, reads no clock and draws no number: `now` is an argument and
chance comes from the plan's seed, so a chain can be replayed.
Rule 3: tokens do not pass through here. One `FirstContent` event commits; then the shell relays.

Theory of operation
    RUNNING ──FirstContent──► COMMITTED ──Completed / AttemptFailed──► DONE
       │ ▲
       │ └──WaitElapsed── WAITING
       └──AttemptFailed──► next attempt, WAITING, or DONE
  Every chain ends in exactly one Finish. An attempt that begins is bounded by the request's
  deadline; a wait that would pass the deadline is not begun. Benched targets are tried last,
  never left out: health may order, only policy may exclude.

WARNING: events of an attempt that is no longer current are ignored (they cross with its
cancellation); an event that cannot happen in the present phase raises.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from services.core.attempts.accrual import credential_name
from services.core.attempts.backoff import backoff, pushback
from services.core.attempts.effects import CancelAttempt, Commit, Effect, Finish, Outcome, StartAttempt, Wait
from services.core.attempts.events import (
    AttemptFailed,
    Begin,
    CallerCancelled,
    Completed,
    DeadlineReached,
    Event,
    FirstContent,
    WaitElapsed,
)
from services.core.attempts.verdicts import Verdict, disposition, most_telling, other_credential_may_help
from services.core.errors import Clock, Failure, FailureKind
from services.core.routing.draw import uniform
from services.core.routing.health import HealthView
from services.core.routing.plan import Plan


class Phase(Enum):
    """Where a chain is."""

    NEW = "new"
    RUNNING = "running"
    WAITING = "waiting"
    COMMITTED = "committed"
    DONE = "done"


class IllegalEvent(Exception):
    """An event that cannot happen in the chain's phase: a fault of the shell."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to try: a candidate of the plan with one of its provider's credentials."""

    candidate: int
    credential: int
    window: int
    total: float


@dataclass(frozen=True, slots=True)
class Chain:
    """The machine's state.

    Attributes:
        choices: Every way to try, in order; `at` is the present one.
        deadline: Monotonic instant at which the request must end.
        attempts: Number of attempts begun.
        retries: Retries of the present choice.
        failures: Every failure so far.
    """

    plan: Plan
    choices: tuple[Choice, ...]
    deadline: float
    phase: Phase = Phase.NEW
    at: int = 0
    attempts: int = 0
    retries: int = 0
    failures: tuple[Failure, ...] = ()


Step = tuple[Chain, tuple[Effect, ...]]

_DEADLINE = Failure(FailureKind.TOTAL_TIMEOUT, "the request's deadline passed", clock=Clock.DEADLINE)


def start(plan: Plan, now: float, health: HealthView) -> Chain:
    """A chain for `plan`, for a request that arrived at `now`. Benched choices go last, the soonest free first."""
    choices = [
        Choice(index, credential, candidate.target.context_length, candidate.clocks.total)
        for index, candidate in enumerate(plan.candidates)
        for credential in range(max(1, len(candidate.target.provider.credentials)))
    ]
    if len(choices) > 1:
        choices = _pool_order(plan, choices)
        if health.benched_until:
            # Stable: among free choices the plan's order stays.
            choices.sort(key=lambda choice: _benched_until(plan, choice, health, now))
    return Chain(plan, tuple(choices), now + plan.retry.deadline)


def _pool_order(plan: Plan, choices: list[Choice]) -> list[Choice]:
    """Turn each candidate's credentials by a draw, so that a pool shares its load."""
    ordered: list[Choice] = []
    for index, candidate in enumerate(plan.candidates):
        size = len(candidate.target.provider.credentials)
        own = [c for c in choices if c.candidate == index]
        turn = int(uniform(plan.seed, f"credential/{candidate.target.model}") * size) if size > 1 else 0
        ordered += own[turn:] + own[:turn]
    return ordered


def _benched_until(plan: Plan, choice: Choice, health: HealthView, now: float) -> float:
    target = plan.candidates[choice.candidate].target
    until = health.benched_until.get(target.model, 0.0)
    if target.provider.credentials:
        name = credential_name(target.provider.name, target.provider.credentials[choice.credential])
        until = max(until, health.benched_until.get(name, 0.0))
    return until if until > now else 0.0


def step(chain: Chain, event: Event, now: float) -> Step:
    """The chain after `event`, and what to do about it, in order.

    Raises:
        IllegalEvent: The event cannot happen in this phase.
    """
    if chain.phase is Phase.DONE:
        return chain, ()
    if isinstance(event, (FirstContent, Completed, AttemptFailed)) and event.attempt != chain.attempts:
        return chain, ()
    if isinstance(event, CallerCancelled):
        return _end(chain, Finish(Outcome.CANCELLED, attempt=chain.attempts))
    if isinstance(event, DeadlineReached):
        return _deadline(chain)
    if isinstance(event, Begin) and chain.phase is Phase.NEW:
        return _try(chain, now)
    if isinstance(event, WaitElapsed) and chain.phase is Phase.WAITING:
        return _try(chain, now)
    if isinstance(event, FirstContent) and chain.phase is Phase.RUNNING:
        return replace(chain, phase=Phase.COMMITTED), (Commit(event.attempt),)
    if isinstance(event, Completed) and chain.phase in {Phase.RUNNING, Phase.COMMITTED}:
        return replace(chain, phase=Phase.DONE), (Finish(Outcome.OK, attempt=event.attempt),)
    if isinstance(event, AttemptFailed) and chain.phase in {Phase.RUNNING, Phase.COMMITTED}:
        return _failed(chain, event.failure, now)
    raise IllegalEvent(f"{type(event).__name__} in phase {chain.phase.value}")


def _try(chain: Chain, now: float) -> Step:
    """Begin the present choice, if the deadline leaves time for it."""
    left = chain.deadline - now
    if left <= 0.0:
        return _give_up(chain, deadline=True)
    choice = chain.choices[chain.at]
    number = chain.attempts + 1
    effect = StartAttempt(number, choice.candidate, choice.credential, chain.retries > 0, min(choice.total, left))
    return replace(chain, phase=Phase.RUNNING, attempts=number), (effect,)


def _failed(chain: Chain, failure: Failure, now: float) -> Step:
    if chain.phase is Phase.COMMITTED:
        return replace(chain, phase=Phase.DONE), (Finish(Outcome.BROKEN, failure, chain.attempts),)
    chain = replace(chain, failures=(*chain.failures, failure))
    verdict = disposition(failure).verdict
    if verdict is Verdict.STOP or failure.clock is Clock.DEADLINE:
        return _give_up(chain, deadline=failure.clock is Clock.DEADLINE)
    if chain.attempts >= chain.plan.retry.max_attempts:
        return _give_up(chain)
    if verdict is Verdict.WAIT_OR_NEXT and failure.retry_after is not None:
        wait = pushback(failure.retry_after, _draw(chain))
        if chain.retries < chain.plan.retry.max_retries and _fits(chain, wait, now):
            return _wait(chain, wait, now)
    following = _following(chain, failure)
    if following is not None:
        return _try(replace(chain, at=following, retries=0), now)
    if verdict in {Verdict.NEXT_OR_RETRY, Verdict.WAIT_OR_NEXT} and chain.retries < chain.plan.retry.max_retries:
        wait = backoff(chain.retries + 1, chain.plan.retry.max_wait, _draw(chain))
        # Without a word from the provider a short wait is right; with one that is too long, none is.
        if failure.retry_after is None and _fits(chain, wait, now):
            return _wait(chain, wait, now)
    return _give_up(chain)


def _fits(chain: Chain, wait: float, now: float) -> bool:
    return wait <= chain.plan.retry.max_wait and now + wait < chain.deadline


def _wait(chain: Chain, wait: float, now: float) -> Step:
    return replace(chain, phase=Phase.WAITING, retries=chain.retries + 1), (Wait(now + wait),)


def _following(chain: Chain, failure: Failure) -> int | None:
    """The next choice worth trying after `failure`; None: there is none."""
    present = chain.choices[chain.at]
    larger = disposition(failure).verdict is Verdict.LARGER
    same_target = other_credential_may_help(failure)
    for index in range(chain.at + 1, len(chain.choices)):
        choice = chain.choices[index]
        if choice.candidate == present.candidate and not same_target:
            continue
        # An unknown window (0) may be larger; one that is known to be no larger is not tried.
        if larger and choice.window and present.window and choice.window <= present.window:
            continue
        return index
    return None


def _give_up(chain: Chain, *, deadline: bool = False) -> Step:
    failures = chain.failures
    shown = most_telling(failures) if failures and not deadline else (failures[-1] if failures else _DEADLINE)
    if deadline and failures:
        real = [f for f in failures if f.clock is not Clock.DEADLINE]
        shown = most_telling(tuple(real)) if real else failures[-1]
    return replace(chain, phase=Phase.DONE), (Finish(Outcome.FAILED, shown, chain.attempts),)


def _deadline(chain: Chain) -> Step:
    if chain.phase is Phase.COMMITTED:
        return _end(chain, Finish(Outcome.BROKEN, _DEADLINE, chain.attempts))
    return _end(chain, Finish(Outcome.FAILED, _DEADLINE, chain.attempts))


def _end(chain: Chain, finish: Finish) -> Step:
    running = chain.phase in {Phase.RUNNING, Phase.COMMITTED}
    effects: tuple[Effect, ...] = (CancelAttempt(chain.attempts), finish) if running else (finish,)
    return replace(chain, phase=Phase.DONE), effects


def _draw(chain: Chain) -> float:
    return uniform(chain.plan.seed, f"wait/{chain.attempts}")
