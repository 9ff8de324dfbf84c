"""The moves of the attempt chain: its state, and what begins and ends attempts.

Used by `chain.py`, which says what follows from an event, and `mend.py`, which says what
follows from a break after the commit.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from services.core.attempts.backoff import pushback
from services.core.attempts.choices import Choice
from services.core.attempts.effects import ArmHedge, CancelAttempt, Effect, Finish, Kind, Outcome, StartAttempt, Wait
from services.core.attempts.events import Remains
from services.core.attempts.verdicts import most_telling
from services.core.errors import Clock, Failure, FailureKind
from services.core.routing.draw import uniform
from services.core.routing.plan import Plan
from services.core.values import Value, changed


class Phase(StrEnum):
    """Where a chain is."""

    NEW = "new"
    RUNNING = "running"
    WAITING = "waiting"
    COMMITTED = "committed"
    MENDING = "mending"
    DONE = "done"


class IllegalEvent(Exception):
    """An event that cannot happen in the chain's phase: a fault of the shell."""


class Flight(Value, frozen=True):
    """An attempt in flight.

    Attributes:
        choice: Which choice it tries.
        after: The choice that was tried before it.
        forced: Its choice is set aside.
    """

    number: int
    choice: int
    kind: Kind
    after: int = 0
    forced: bool = False


class Chain(Value, frozen=True):
    """The machine's state.

    Attributes:
        choices: Every way to try, in order.
        deadline: Monotonic instant at which the request must end.
        attempts: Number of attempts begun.
        flights: Attempts in flight, in the order in which they began.
        at: The choice tried last; what a retry or a wait is about.
        used: Choices that are not tried again, but by a retry.
        retries: Retries of the present choice.
        failures: Every failure before the commit.
        forced: A choice that is set aside was tried already.
        hedge_at: When a hedge of the attempt in flight is due; 0.0: none is.
        hedged: The request has had its hedge.
        queued_at: When the request began to wait for a target; 0.0: it did not.
        answered: The choice whose answer the caller has.
        broken: The failure that broke the answer after its commit, while it is being mended.
        remains: How that answer can be mended.
        barred: Ways of mending, and choices, that do not go together.
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
    hedge_at: float = 0.0
    hedged: bool = False
    queued_at: float = 0.0
    answered: int = 0
    broken: Failure | None = None
    remains: Remains = Remains()
    barred: frozenset[tuple[Kind, int]] = frozenset()


Step = tuple[Chain, tuple[Effect, ...]]

DEADLINE = Failure(FailureKind.TOTAL_TIMEOUT, "the request's deadline passed", clock=Clock.DEADLINE)
_COME_BACK = (FailureKind.RATE_LIMITED, FailureKind.OVERLOADED)
"""What a caller is told with a time to come back."""


def begin(chain: Chain, index: int, kind: Kind, now: float, *, forced: bool = False) -> Step:
    """Begin an attempt at choice `index`, if the deadline leaves time for it."""
    left = chain.deadline - now
    if left <= 0.0:
        return give_up(chain, now, deadline=True)
    choice, plan, number = chain.choices[index], chain.plan, chain.attempts + 1
    mending = chain.phase in {Phase.COMMITTED, Phase.MENDING}
    flight = Flight(number, index, kind, chain.at, forced)
    chain = changed(
        chain,
        phase=Phase.MENDING if mending else Phase.RUNNING,
        attempts=number,
        flights=(*chain.flights, flight),
        at=index,
        used=chain.used | {index},
        forced=chain.forced or (forced and kind is not Kind.RETRY),
    )
    others = number < plan.retry.max_attempts and free(chain, now) is not None
    effect = StartAttempt(
        number=number,
        candidate=choice.candidate,
        address=choice.address,
        credential=choice.credential,
        kind=kind,
        target=choice.target,
        credential_cell=choice.credential_cell,
        total=min(choice.total, left),
        first_content=choice.first_content if others else choice.patience,
        at=now,
        forced=forced,
    )
    may_hedge = choice.hedge_after and not chain.hedged and kind in {Kind.FIRST, Kind.FAILOVER, Kind.RETRY}
    if may_hedge and others:
        due = now + choice.hedge_after
        return changed(chain, hedge_at=due), (effect, ArmHedge(due))
    return changed(chain, hedge_at=0.0) if chain.hedge_at else chain, (effect,)


def advance(chain: Chain, kind: Kind, now: float) -> Step:
    """Begin the next choice that may be tried; when all that is left is set aside, do as policy says."""
    if chain.retries:
        chain = changed(chain, retries=0)
    index = free(chain, now)
    if index is not None:
        return begin(chain, index, kind, now)
    left = [i for i in range(len(chain.choices)) if i not in chain.used]
    if not left:
        return give_up(chain, now)
    soonest = min(left, key=lambda i: chain.choices[i].until)
    mode = chain.plan.on_exhausted.mode
    if mode == "queue":
        return _queue(chain, soonest, now)
    soft = [i for i in left if not chain.choices[i].asked]
    if mode == "least_bad" and soft and not chain.forced:
        least_bad = min(soft, key=lambda i: chain.choices[i].until)
        return begin(chain, least_bad, kind, now, forced=True)
    return give_up(chain, now, nothing_free=set_aside(chain.choices[soonest], now))


def _queue(chain: Chain, index: int, now: float) -> Step:
    """Wait until the choice comes back, if that is in time."""
    rule, choice = chain.plan.on_exhausted, chain.choices[index]
    queued_at = chain.queued_at or now
    latest = queued_at + rule.max_wait
    if choice.until > latest or choice.until >= chain.deadline:
        return give_up(chain, now, nothing_free=set_aside(choice, now))
    # A little later than that, each request by another while: they would all come back at once.
    until = now + pushback(choice.until - now, drawn(chain))
    if until > latest or until >= chain.deadline:
        until = choice.until
    chain = changed(chain, phase=Phase.WAITING, at=index, queued_at=queued_at)
    return chain, (Wait(until, queue=rule.max_len),)


def free(chain: Chain, now: float) -> int | None:
    """The first choice that was not tried and is not set aside."""
    for index, choice in enumerate(chain.choices):
        if index not in chain.used and choice.until <= now:
            return index
    return None


def shut(chain: Chain, index: int, until: float, why: str, *, asked: bool) -> Chain:
    """The chain with choice `index` set aside until then."""
    choice = changed(chain.choices[index], until=until, asked=asked, why=why)
    return changed(chain, choices=(*chain.choices[:index], choice, *chain.choices[index + 1 :]))


def heard(chain: Chain, index: int, failure: Failure, now: float) -> Chain:
    """The chain after choice `index` failed: what the provider asked for holds for this request too."""
    if failure.retry_after is None:
        return chain
    until = max(chain.choices[index].until, now + failure.retry_after)
    return shut(chain, index, until, failure.kind.value, asked=True)


def drawn(chain: Chain) -> float:
    """The uniform draw for the wait after the present attempt."""
    return uniform(chain.plan.seed, f"wait/{chain.attempts}")


def set_aside(choice: Choice, now: float) -> Failure:
    """The failure of a request that no target may take now."""
    seconds = max(0.001, choice.until - now)
    kind = FailureKind.RATE_LIMITED if choice.asked else FailureKind.OVERLOADED
    why = f" ({choice.why})" if choice.why else ""
    told = f"every target of this request is set aside; the first one comes back in {seconds:.3g} s{why}"
    return Failure(kind, told, retry_after=seconds)


def give_up(chain: Chain, now: float, *, deadline: bool = False, nothing_free: Failure | None = None) -> Step:
    """End a chain that shows nothing: with the failure that tells most."""
    failures = chain.failures
    if deadline:
        real = tuple(f for f in failures if f.clock is not Clock.DEADLINE)
        shown = most_telling(real) if real else failures[-1] if failures else DEADLINE
    elif failures:
        shown = most_telling(failures)
    else:
        shown = nothing_free or Failure(FailureKind.OVERLOADED, "no attempt may be made now")
    return end(chain, Finish(Outcome.FAILED, _with_soonest(chain, shown, now), chain.attempts))


def _with_soonest(chain: Chain, shown: Failure, now: float) -> Failure:
    """`shown` with the time at which the first choice comes back, when it is one to come back after."""
    times = [choice.until - now for choice in chain.choices if choice.until > now]
    if shown.kind in _COME_BACK and times and (shown.retry_after is not None or len(times) == len(chain.choices)):
        return replace(shown, retry_after=max(0.001, min(times)))
    return shown


def end(chain: Chain, finish: Finish) -> Step:
    """End a chain, and whatever is in flight."""
    cancels = tuple(CancelAttempt(f.number) for f in chain.flights)
    return changed(chain, phase=Phase.DONE, flights=()), (*cancels, finish)
