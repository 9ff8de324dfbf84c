"""The attempt chain: the failover machine.

Rule 1: everything that decides what follows from what lives in this file, its table `verdicts.py`,
and `mend.py` for what follows a break after the commit; `moves.py` holds the state. The shell
(`dataplane/run.py`) performs effects and reports events.
Rule 2: this file does no I/O, reads no clock and draws no number: `now` is an argument and
chance comes from the plan's seed, so a chain can be replayed.
Rule 3: tokens do not pass through here. One `FirstContent` event commits; then the shell relays.

Theory of operation
    RUNNING ──FirstContent──► COMMITTED ──Completed──► DONE
       │ ▲                       │ ▲
       │ └──WaitElapsed──WAITING │ └──FirstContent── MENDING ──nothing left──► DONE
       └──AttemptFailed──► …     └──AttemptFailed──────┘
  In RUNNING up to two attempts are in flight: the second is a hedge. The first content of either
  commits and cancels the other; a failure of one leaves the other flying.
  Every chain ends in exactly one Finish. An attempt that begins is bounded by the request's deadline;
  a wait that would pass the deadline is not begun.
  A choice that is set aside is tried only when no other is left, one of them, and never before the
  time that its provider asked for. The shell may refuse to make an attempt; it then does not count.

WARNING: events of an attempt that is no longer in flight are ignored (they cross with its
cancellation); an event that cannot happen in the present phase raises.
"""

from __future__ import annotations

from services.core.attempts.backoff import backoff, pushback
from services.core.attempts.choices import choices_of
from services.core.attempts.effects import CancelAttempt, Commit, Finish, Kind, Outcome, Wait
from services.core.attempts.events import (
    BUDGET,
    QUEUE_FULL,
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
    drawn,
    end,
    free,
    give_up,
    heard,
    set_aside,
    shut,
)
from services.core.attempts.narrow import unhelpful
from services.core.attempts.verdicts import Verdict, disposition
from services.core.errors import Clock, Failure
from services.core.routing.health import HealthView
from services.core.routing.plan import Plan
from services.core.values import changed

_AFRESH = 0.01
"""Seconds for which any refusal holds: one that is over when it is read must not be asked for again at once."""


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
        for flight in chain.flights:
            if flight.number == event.attempt:
                return _of_flight(chain, flight, event, now)
        if chain.phase is not Phase.NEW:
            return _queue_full(chain, now) if _is_queue_full(chain, event) else (chain, ())
    if isinstance(event, CallerCancelled):
        return end(chain, Finish(Outcome.CANCELLED, attempt=chain.attempts))
    if isinstance(event, DeadlineReached):
        return _deadline(chain, now)
    if isinstance(event, Begin) and chain.phase is Phase.NEW:
        return advance(chain, Kind.FIRST, now)
    if isinstance(event, WaitElapsed) and chain.phase is Phase.WAITING:
        if chain.retries:
            return begin(chain, chain.at, Kind.RETRY, now, forced=True)
        return advance(chain, Kind.FAILOVER if chain.failures else Kind.FIRST, now)
    if isinstance(event, HedgeDue) and chain.phase is not Phase.NEW:
        return _hedge(chain, now)
    raise IllegalEvent(f"{type(event).__name__} in phase {chain.phase.value}")


def _of_flight(
    chain: Chain, flight: Flight, event: FirstContent | Completed | AttemptFailed | Refused, now: float
) -> Step:
    """An event of an attempt in flight."""
    if chain.phase is Phase.COMMITTED and isinstance(event, (FirstContent, Refused)):
        raise IllegalEvent(f"{type(event).__name__} in phase {chain.phase.value}")
    others = tuple([f for f in chain.flights if f is not flight])
    cancels = tuple([CancelAttempt(f.number) for f in others])
    if isinstance(event, FirstContent):
        retries, at = chain.retries if chain.phase is Phase.MENDING else 0, flight.choice
        chain = changed(chain, phase=Phase.COMMITTED, flights=(flight,), at=at, answered=at, retries=retries)
        return chain, (*cancels, Commit(flight.number))
    if isinstance(event, Completed):
        chain = changed(chain, phase=Phase.DONE, flights=())
        return chain, (*cancels, Finish(Outcome.OK, attempt=flight.number))
    chain = changed(chain, flights=others)
    if isinstance(event, Refused):
        return _refused(chain, flight, event, now)
    if chain.phase in {Phase.COMMITTED, Phase.MENDING}:
        return broken(chain, flight, event, now)
    return _failed(chain, flight, event.failure, now)


def _hedge(chain: Chain, now: float) -> Step:
    """Begin a hedge at the next free choice, if one attempt is silent and there is such a choice."""
    if chain.phase is not Phase.RUNNING or len(chain.flights) != 1 or not chain.hedge_at:
        return chain, ()
    index = free(chain, now)
    if index is None or chain.attempts >= chain.plan.retry.max_attempts or chain.deadline <= now:
        return chain, ()
    present = chain.at
    chain, effects = begin(changed(chain, hedged=True), index, Kind.HEDGE, now)
    return changed(chain, at=present), effects


def _refused(chain: Chain, flight: Flight, event: Refused, now: float) -> Step:
    """An attempt was not made: it does not count, and its choice is set aside or left out."""
    index = flight.choice
    chain = changed(chain, attempts=chain.attempts - 1, at=flight.after)
    if event.why != BUDGET:
        chain = shut(chain, index, max(event.until, now + _AFRESH), event.why, asked=event.hard)
        if not flight.forced or event.hard:
            # It may be waited for. One that was refused although it was forced is not forced again.
            forced = chain.forced and not flight.forced
            chain = changed(chain, used=chain.used - {index}, forced=forced)
    elif flight.kind is Kind.HEDGE:
        chain = changed(chain, used=chain.used - {index})
    if flight.kind is Kind.HEDGE:
        return chain, ()
    if chain.phase is Phase.MENDING:
        return mend(changed(chain, used=chain.used | {index}), now)
    if flight.kind is Kind.RETRY:
        chain = changed(chain, used=chain.used | {index})
    return advance(chain, Kind.FAILOVER if chain.failures else Kind.FIRST, now)


def _is_queue_full(chain: Chain, event: Event) -> bool:
    return isinstance(event, Refused) and event.why == QUEUE_FULL and chain.phase is Phase.WAITING


def _queue_full(chain: Chain, now: float) -> Step:
    return give_up(chain, now, nothing_free=set_aside(chain.choices[chain.at], now))


def _failed(chain: Chain, flight: Flight, failure: Failure, now: float) -> Step:
    """An attempt failed before the commit."""
    chain = heard(changed(chain, failures=(*chain.failures, failure)), flight.choice, failure, now)
    verdict = disposition(failure).verdict
    if failure.clock is Clock.DEADLINE:
        return give_up(chain, now, deadline=True)
    if verdict is Verdict.STOP and flight.kind is not Kind.HEDGE:
        return give_up(chain, now)
    chain = changed(chain, used=chain.used | unhelpful(chain.choices, flight.choice, failure))
    if chain.flights:
        # A hedge must never make things worse: whatever it says, the first attempt may still answer.
        return chain, ()
    if chain.attempts >= chain.plan.retry.max_attempts or _stopped(chain):
        return give_up(chain, now)
    return _next(changed(chain, at=flight.choice), flight, failure, now)


def _next(chain: Chain, flight: Flight, failure: Failure, now: float) -> Step:
    """Go on after `failure`, when nothing is in flight any more: wait, or try another choice."""
    verdict, retry = disposition(failure).verdict, chain.plan.retry
    if flight.kind is Kind.HEDGE:
        chain = changed(chain, retries=0)
    asked = failure.retry_after
    draw = drawn(chain)
    wait = backoff(chain.retries + 1, retry.max_wait, draw) if asked is None else pushback(asked, draw)
    # A wait that is longer than policy allows is not cut short: another choice, or none.
    may_wait = chain.retries < retry.max_retries and wait <= retry.max_wait and now + wait < chain.deadline
    same_first = verdict is Verdict.WAIT_OR_NEXT and asked is not None
    same_last = verdict in {Verdict.NEXT_OR_RETRY, Verdict.WAIT_OR_NEXT} and free(chain, now) is None
    if may_wait and (same_first or same_last):
        return changed(chain, phase=Phase.WAITING, retries=chain.retries + 1), (Wait(now + wait),)
    return advance(chain, Kind.FAILOVER, now)


def _stopped(chain: Chain) -> bool:
    """Whether some failure says that no other target is to be tried."""
    return any(disposition(failure).verdict is Verdict.STOP for failure in chain.failures)


def _deadline(chain: Chain, now: float) -> Step:
    if chain.phase in {Phase.COMMITTED, Phase.MENDING}:
        return end(chain, Finish(Outcome.BROKEN, chain.broken or DEADLINE, chain.attempts))
    return give_up(chain, now, deadline=True)
