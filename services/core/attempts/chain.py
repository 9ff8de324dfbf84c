"""The attempt chain: the failover machine.

Rule 1: everything that decides what follows from what lives in this file, its table `verdicts.py`,
and `mend.py` for what follows a break after the commit; `moves.py` holds the state. The shell (`dataplane/run.py`) performs
effects and reports events.
Rule 2: this file does no I/O, reads no clock and draws no number: `now` is an argument and
chance comes from the plan's seed, so a chain can be replayed.
Rule 3: tokens do not pass through here. One `FirstContent` event commits; then the shell relays.

Theory of operation
    RUNNING ──FirstContent──► COMMITTED ──Completed──► DONE
       │ ▲                       │ ▲
       │ └──WaitElapsed──WAITING │ └──FirstContent── MENDING ──nothing left──► DONE
       └──AttemptFailed──► …     └──AttemptFailed──────┘
  In RUNNING up to two attempts are in flight: the second is a hedge. The first content of either
  commits and cancels the other. Every chain ends in exactly one Finish. An attempt that begins is
  bounded by the request's deadline; a wait that would pass the deadline is not begun.
  A choice that is set aside is tried only when no other is left, once, and never before the time
  that its provider asked for.

WARNING: events of an attempt that is no longer in flight are ignored (they cross with its
cancellation); an event that cannot happen in the present phase raises.
"""

from __future__ import annotations

from dataclasses import replace

from services.core.attempts.backoff import backoff, pushback
from services.core.attempts.choices import choices_of
from services.core.attempts.effects import CancelAttempt, Commit, Finish, Kind, Outcome, Wait
from services.core.attempts.events import (
    AttemptFailed,
    Begin,
    CallerCancelled,
    Completed,
    DeadlineReached,
    Event,
    FirstContent,
    HedgeDue,
    Refused,
    WaitElapsed,
)
from services.core.attempts.mend import broken, mend
from services.core.attempts.moves import (
    DEADLINE,
    Chain,
    Flight,
    IllegalEvent,
    Phase,
    Step,
    advance,
    begin,
    end,
    free,
    give_up,
    set_aside,
)
from services.core.attempts.verdicts import (
    Verdict,
    disposition,
    other_address_may_help,
    other_credential_may_help,
)
from services.core.errors import Clock, Failure
from services.core.routing.draw import uniform
from services.core.routing.health import HealthView
from services.core.routing.plan import Plan

_BUDGET = "BUDGET"


def start(plan: Plan, now: float, health: HealthView, *, stream: bool = True) -> Chain:
    """A chain for `plan`, for a request that arrived at `now`."""
    return Chain(plan, choices_of(plan, now, health, stream=stream), now + plan.retry.deadline)


def step(chain: Chain, event: Event, now: float) -> Step:
    """The chain after `event`, and what to do about it, in order.

    Raises:
        IllegalEvent: The event cannot happen in this phase.
    """
    if chain.phase is Phase.DONE:
        return chain, ()
    if isinstance(event, (FirstContent, Completed, AttemptFailed, Refused)):
        flight = next((f for f in chain.flights if f.number == event.attempt), None)
        if flight is None and chain.phase is not Phase.NEW:
            return _refused_wait(chain, event, now) if _is_wait_refusal(chain, event) else (chain, ())
        if flight is not None:
            return _of_flight(chain, flight, event, now)
    if isinstance(event, CallerCancelled):
        return end(chain, Finish(Outcome.CANCELLED, attempt=chain.attempts))
    if isinstance(event, DeadlineReached):
        return _deadline(chain)
    if isinstance(event, Begin) and chain.phase is Phase.NEW:
        return advance(chain, Kind.FIRST, now)
    if isinstance(event, WaitElapsed) and chain.phase is Phase.WAITING:
        kind = Kind.RETRY if chain.retries else Kind.FAILOVER if chain.attempts else Kind.FIRST
        return begin(chain, chain.at, kind, now, forced=chain.retries > 0)
    if isinstance(event, HedgeDue):
        return _hedge(chain, now) if chain.phase is Phase.RUNNING and len(chain.flights) == 1 else (chain, ())
    raise IllegalEvent(f"{type(event).__name__} in phase {chain.phase.value}")


def _of_flight(
    chain: Chain, flight: Flight, event: FirstContent | Completed | AttemptFailed | Refused, now: float
) -> Step:
    """An event of an attempt in flight."""
    if isinstance(event, FirstContent):
        if chain.phase is Phase.COMMITTED:
            raise IllegalEvent("FirstContent in phase committed")
        others = tuple(CancelAttempt(f.number) for f in chain.flights if f is not flight)
        retries = chain.retries if chain.phase is Phase.MENDING else 0
        chain = replace(chain, phase=Phase.COMMITTED, flights=(flight,), at=flight.choice, retries=retries)
        return chain, (*others, Commit(flight.number))
    if isinstance(event, Completed):
        others = tuple(CancelAttempt(f.number) for f in chain.flights if f is not flight)
        chain = replace(chain, phase=Phase.DONE, flights=())
        return chain, (*others, Finish(Outcome.OK, attempt=flight.number))
    chain = replace(chain, flights=tuple(f for f in chain.flights if f is not flight))
    if isinstance(event, Refused):
        return _refused(chain, flight, event, now)
    if chain.phase in {Phase.COMMITTED, Phase.MENDING}:
        return broken(chain, event, now)
    return _failed(chain, flight, event.failure, now)


def _hedge(chain: Chain, now: float) -> Step:
    """Begin a hedge at the next free choice, if there is one."""
    index = free(chain, now)
    if index is None or chain.attempts >= chain.plan.retry.max_attempts or chain.deadline <= now:
        return chain, ()
    present = chain.at
    chain, effects = begin(replace(chain, hedged=True), index, Kind.HEDGE, now)
    return replace(chain, at=present), effects


def _refused(chain: Chain, flight: Flight, event: Refused, now: float) -> Step:
    """An attempt was not made: its number is given back, and its choice is set aside or left out."""
    index, used = flight.choice, chain.used
    if event.until > now:
        choice = replace(chain.choices[index], until=event.until, asked=event.hard, why=event.why)
        choices = (*chain.choices[:index], choice, *chain.choices[index + 1 :])
        chain = replace(chain, choices=choices)
        used = used - {index} if flight.kind not in {Kind.RETRY} else used
    elif flight.kind is Kind.HEDGE:
        used -= {index}
    chain = replace(chain, attempts=chain.attempts - 1, used=used)
    if flight.kind is Kind.HEDGE:
        return chain, ()
    if chain.phase is Phase.MENDING:
        return mend(replace(chain, used=chain.used | {index}), now)
    if event.until <= now and event.why != _BUDGET:
        return give_up(chain)
    kind = Kind.FAILOVER if chain.failures else Kind.FIRST
    return advance(chain, kind, now)


def _is_wait_refusal(chain: Chain, event: Event) -> bool:
    return isinstance(event, Refused) and chain.phase is Phase.WAITING


def _refused_wait(chain: Chain, event: Event, now: float) -> Step:
    """The queue is full."""
    del event
    return give_up(chain, nothing_free=set_aside(chain.choices[chain.at], now))


def _failed(chain: Chain, flight: Flight, failure: Failure, now: float) -> Step:
    """An attempt failed before the commit."""
    chain = replace(chain, failures=(*chain.failures, failure))
    verdict = disposition(failure).verdict
    if verdict is Verdict.STOP or failure.clock is Clock.DEADLINE:
        return give_up(chain, deadline=failure.clock is Clock.DEADLINE)
    chain = replace(chain, used=chain.used | _unhelpful(chain, flight, failure))
    if chain.flights:
        return chain, ()
    if chain.attempts >= chain.plan.retry.max_attempts:
        return give_up(chain)
    chain = replace(chain, at=flight.choice)
    may_retry = chain.retries < chain.plan.retry.max_retries
    if verdict is Verdict.WAIT_OR_NEXT and failure.retry_after is not None:
        wait = pushback(failure.retry_after, _draw(chain))
        if may_retry and _fits(chain, wait, now):
            return _wait(chain, wait, now)
    if free(chain, now) is not None:
        return advance(chain, Kind.FAILOVER, now)
    if verdict in {Verdict.NEXT_OR_RETRY, Verdict.WAIT_OR_NEXT} and may_retry:
        wait = backoff(chain.retries + 1, chain.plan.retry.max_wait, _draw(chain))
        # Without a word from the provider a short wait is right; with one that is too long, none is.
        if failure.retry_after is None and _fits(chain, wait, now):
            return _wait(chain, wait, now)
    return advance(chain, Kind.FAILOVER, now)


def _unhelpful(chain: Chain, flight: Flight, failure: Failure) -> set[int]:
    """Choices that cannot do better after `failure`: the same model, or a window that is no larger."""
    present = chain.choices[flight.choice]
    larger = disposition(failure).verdict is Verdict.LARGER
    found = set()
    for index, choice in enumerate(chain.choices):
        if choice.candidate == present.candidate:
            moved = choice.address != present.address and other_address_may_help(failure)
            changed = choice.credential_cell != present.credential_cell and other_credential_may_help(failure)
            if not moved and not changed:
                found.add(index)
        # An unknown window (0) may be larger; one that is known to be no larger is not tried.
        elif larger and choice.window and present.window and choice.window <= present.window:
            found.add(index)
    return found


def _fits(chain: Chain, wait: float, now: float) -> bool:
    return wait <= chain.plan.retry.max_wait and now + wait < chain.deadline


def _wait(chain: Chain, wait: float, now: float) -> Step:
    return replace(chain, phase=Phase.WAITING, retries=chain.retries + 1), (Wait(now + wait),)


def _deadline(chain: Chain) -> Step:
    if chain.phase in {Phase.COMMITTED, Phase.MENDING}:
        return end(chain, Finish(Outcome.BROKEN, chain.broken or DEADLINE, chain.attempts))
    return end(chain, Finish(Outcome.FAILED, DEADLINE, chain.attempts))


def _draw(chain: Chain) -> float:
    return uniform(chain.plan.seed, f"wait/{chain.attempts}")
