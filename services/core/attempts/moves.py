"""The moves of the attempt chain: its state, and what begins and ends attempts.

Used by `chain.py`, which says what follows from an event, and `mend.py`, which says what
follows from a break after the commit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from services.core.attempts.choices import Choice
from services.core.attempts.effects import ArmHedge, CancelAttempt, Effect, Finish, Kind, Outcome, StartAttempt, Wait
from services.core.attempts.events import Remains
from services.core.attempts.verdicts import most_telling
from services.core.errors import Clock, Failure, FailureKind
from services.core.routing.plan import Plan


class Phase(Enum):
    """Where a chain is."""

    NEW = "new"
    RUNNING = "running"
    WAITING = "waiting"
    COMMITTED = "committed"
    MENDING = "mending"
    DONE = "done"


class IllegalEvent(Exception):
    """An event that cannot happen in the chain's phase: a fault of the shell."""


@dataclass(frozen=True, slots=True)
class Flight:
    """An attempt in flight: its number, and which choice it tries."""

    number: int
    choice: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Chain:
    """The machine's state.

    Attributes:
        choices: Every way to try, in order.
        deadline: Monotonic instant at which the request must end.
        attempts: Number of attempts begun.
        flights: Attempts in flight, in the order in which they began.
        at: The choice tried last; what a retry or a wait is about.
        used: Choices that are not tried again, but by a retry.
        retries: Retries of the present choice.
        failures: Every failure so far.
        forced: A choice that is set aside was tried already.
        hedged: The request has had its hedge.
        queued_at: When the request began to wait for a target; 0.0: it did not.
        broken: The failure that broke the answer after its commit, while it is being mended.
        mended: Choices and the way in which each was asked to mend; none is asked twice in one way.
    """

    plan: Plan
    choices: tuple[Choice, ...]
    deadline: float
    phase: Phase = Phase.NEW
    attempts: int = 0
    flights: tuple[Flight, ...] = ()
    at: int = 0
    used: frozenset[int] = frozenset()
    retries: int = 0
    failures: tuple[Failure, ...] = ()
    forced: bool = False
    hedged: bool = False
    queued_at: float = 0.0
    broken: Failure | None = None
    mended: frozenset[tuple[int, Kind]] = frozenset()
    remains: Remains = Remains()


Step = tuple[Chain, tuple[Effect, ...]]

DEADLINE = Failure(FailureKind.TOTAL_TIMEOUT, "the request's deadline passed", clock=Clock.DEADLINE)


def begin(chain: Chain, index: int, kind: Kind, now: float, *, forced: bool = False) -> Step:
    """Begin an attempt at choice `index`, if the deadline leaves time for it."""
    left = chain.deadline - now
    if left <= 0.0:
        return give_up(chain, deadline=True)
    choice = chain.choices[index]
    number = chain.attempts + 1
    effect = StartAttempt(
        number=number,
        candidate=choice.candidate,
        address=choice.address,
        credential=choice.credential,
        kind=kind,
        target=choice.target,
        credential_cell=choice.credential_cell,
        total=min(choice.total, left),
        first_content=choice.first_content,
        forced=forced,
    )
    mending = chain.phase in {Phase.COMMITTED, Phase.MENDING}
    chain = replace(
        chain,
        phase=Phase.MENDING if mending else Phase.RUNNING,
        attempts=number,
        flights=(*chain.flights, Flight(number, index, kind)),
        at=index,
        used=chain.used | {index},
        forced=chain.forced or (forced and kind is not Kind.RETRY),
    )
    may_hedge = choice.hedge_after and not chain.hedged and kind in {Kind.FIRST, Kind.FAILOVER, Kind.RETRY}
    if may_hedge and chain.attempts < chain.plan.retry.max_attempts and free(chain, now) is not None:
        return chain, (effect, ArmHedge(now + choice.hedge_after))
    return chain, (effect,)


def advance(chain: Chain, kind: Kind, now: float) -> Step:
    """Begin the next choice that may be tried; when all that is left is set aside, do as policy says."""
    index = free(chain, now)
    if index is not None:
        return begin(replace(chain, retries=0), index, kind, now)
    left = [i for i in range(len(chain.choices)) if i not in chain.used]
    if not left:
        return give_up(chain)
    soonest = min(left, key=lambda i: chain.choices[i].until)
    rule = chain.plan.on_exhausted
    until = chain.choices[soonest].until
    queued_at = chain.queued_at or now
    if rule.mode == "queue" and until <= min(queued_at + rule.max_wait, chain.deadline):
        chain = replace(chain, phase=Phase.WAITING, at=soonest, retries=0, queued_at=queued_at)
        return chain, (Wait(until, queue=rule.max_len),)
    soft = [i for i in left if not chain.choices[i].asked]
    if rule.mode == "least_bad" and soft and not chain.forced:
        least_bad = min(soft, key=lambda i: chain.choices[i].until)
        return begin(replace(chain, retries=0), least_bad, kind, now, forced=True)
    return give_up(chain, nothing_free=set_aside(chain.choices[soonest], now))


def free(chain: Chain, now: float) -> int | None:
    """The first choice that was not tried and is not set aside."""
    for index, choice in enumerate(chain.choices):
        if index not in chain.used and choice.until <= now:
            return index
    return None


def set_aside(choice: Choice, now: float) -> Failure:
    """The failure of a request that no target may take now."""
    seconds = max(0.001, choice.until - now)
    kind = FailureKind.RATE_LIMITED if choice.asked else FailureKind.OVERLOADED
    why = f" ({choice.why})" if choice.why else ""
    told = f"every target of this request is set aside; the first one comes back in {seconds:.3g} s{why}"
    return Failure(kind, told, retry_after=seconds)


def give_up(chain: Chain, *, deadline: bool = False, nothing_free: Failure | None = None) -> Step:
    """End a chain that shows nothing: with the failure that tells most."""
    failures = chain.failures
    if deadline:
        real = tuple(f for f in failures if f.clock is not Clock.DEADLINE)
        shown = most_telling(real) if real else failures[-1] if failures else DEADLINE
    elif failures:
        shown = most_telling(failures)
    else:
        shown = nothing_free or Failure(FailureKind.OVERLOADED, "no attempt may be made now")
    return end(chain, Finish(Outcome.FAILED, shown, chain.attempts))


def end(chain: Chain, finish: Finish) -> Step:
    cancels = tuple(CancelAttempt(f.number) for f in chain.flights)
    return replace(chain, phase=Phase.DONE, flights=()), (*cancels, finish)
