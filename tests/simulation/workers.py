"""Workers of the simulation: the real chain and the real health tracker behind a shell without sockets, and naive ones.

The shell does what `dataplane/run.py` does, effect by effect; what it leaves out is bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from services.core.attempts.chain import start, step
from services.core.attempts.effects import (
    ArmHedge,
    CancelAttempt,
    Commit,
    Effect,
    Finish,
    Kind,
    Outcome,
    StartAttempt,
    Wait,
)
from services.core.attempts.events import (
    QUEUE_FULL,
    AttemptFailed,
    Begin,
    Completed,
    Event,
    FirstContent,
    HedgeDue,
    Refused,
    WaitElapsed,
)
from services.core.attempts.moves import Chain
from services.core.errors import Clock, Failure, FailureKind
from services.core.policy.rules import BreakerRule
from services.core.routing.plan import Plan
from services.dataplane.health_tracker import HealthTracker
from tests.simulation.world import Answer, Ledger, Timeline, Upstream


class Worker(Protocol):
    """Takes requests."""

    def take(self, plan: Plan) -> None:
        """A request arrives now."""


class RouterWorker:
    """One worker as it is: its tracker, and a chain for each request."""

    def __init__(self, timeline: Timeline, upstreams: dict[str, Upstream], ledger: Ledger) -> None:
        self.timeline, self.upstreams, self.ledger = timeline, upstreams, ledger
        self.tracker = HealthTracker()

    def take(self, plan: Plan) -> None:
        Request(self, plan)


@dataclass(slots=True, eq=False)
class Flight:
    """One attempt in flight."""

    effect: StartAttempt
    began: float
    content_at: float = 0.0
    over: bool = False


class Request:
    """One request: performs effects, reports events."""

    __slots__ = ("arrived", "chain", "content_at", "flights", "hedge", "plan", "worker")

    def __init__(self, worker: RouterWorker, plan: Plan) -> None:
        self.worker, self.plan = worker, plan
        self.arrived = now = worker.timeline.now
        self.content_at = 0.0
        self.flights: dict[int, Flight] = {}
        self.hedge: ArmHedge | None = None
        worker.ledger.offered[int(now)] += 1
        worker.tracker.begin_request(now)
        self.chain: Chain = start(plan, now, worker.tracker.view(now))
        self.tell(Begin())

    def tell(self, event: Event) -> None:
        pending: Event | None = event
        while pending is not None:
            self.chain, effects = step(self.chain, pending, self.worker.timeline.now)
            pending = None
            for effect in effects:
                pending = self.perform(effect) or pending

    def perform(self, effect: Effect) -> Event | None:
        """Perform one effect; an event that follows at once is returned."""
        now = self.worker.timeline.now
        if isinstance(effect, StartAttempt):
            self.hedge = None
            refused = self.worker.tracker.admit(effect, self.plan, now)
            if refused is None:
                self.send(effect)
            return refused
        if isinstance(effect, ArmHedge):
            self.hedge = effect
            self.worker.timeline.at(effect.at, self.hedge_due, effect)
        elif isinstance(effect, Wait):
            return self.wait(effect)
        elif isinstance(effect, CancelAttempt):
            self.cancel(self.flights.pop(effect.number), now)
        elif isinstance(effect, Commit):
            self.commit(self.flights[effect.number])
        else:
            self.finish(effect)
        return None

    def send(self, effect: StartAttempt) -> None:
        timeline = self.worker.timeline
        flight = Flight(effect, timeline.now)
        self.flights[effect.number] = flight
        if effect.kind is Kind.HEDGE:
            self.worker.ledger.hedges += 1
        answer = self.worker.upstreams[effect.target].call(timeline.now)
        limit = min(effect.first_content, effect.total)
        if answer.content > limit:
            failure = Failure(FailureKind.FIRST_CONTENT_TIMEOUT, "late", clock=Clock.FIRST_CONTENT)
            timeline.at(flight.began + limit, self.fail, flight, failure)
        elif answer.failure is not None:
            timeline.at(flight.began + answer.content, self.fail, flight, answer.failure)
        else:
            timeline.at(flight.began + answer.content, self.show, flight, answer)

    def show(self, flight: Flight, answer: Answer) -> None:
        if not flight.over:
            flight.content_at = self.worker.timeline.now
            self.worker.timeline.at(flight.began + answer.end, self.complete, flight)
            self.tell(FirstContent(flight.effect.number))

    def complete(self, flight: Flight) -> None:
        if not flight.over:
            self.tell(Completed(flight.effect.number))

    def fail(self, flight: Flight, failure: Failure) -> None:
        if flight.over:
            return
        flight.over = True
        del self.flights[flight.effect.number]
        rule = self.rule(flight)
        self.worker.tracker.failed(flight.effect, failure, rule, self.worker.timeline.now)
        self.tell(AttemptFailed(flight.effect.number, failure))

    def rule(self, flight: Flight) -> BreakerRule:
        return self.plan.candidates[flight.effect.candidate].target.provider.breaker

    def hedge_due(self, armed: ArmHedge) -> None:
        if self.hedge is armed and not self.content_at:
            self.hedge = None
            self.tell(HedgeDue())

    def wait(self, effect: Wait) -> Event | None:
        timeline, tracker = self.worker.timeline, self.worker.tracker
        if effect.queue and not tracker.enter_queue(effect.queue):
            return Refused(0, effect.until, False, QUEUE_FULL)
        timeline.at(effect.until, self.waited, effect)
        return None

    def waited(self, effect: Wait) -> None:
        if effect.queue:
            self.worker.tracker.leave_queue()
        self.tell(WaitElapsed())

    def cancel(self, flight: Flight, now: float) -> None:
        flight.over = True
        tracker, effect = self.worker.tracker, flight.effect
        if effect.kind is not Kind.HEDGE and not flight.content_at:
            tracker.seen_content(self.model(flight), now - flight.began, stream=True)
        tracker.released(effect, self.rule(flight), now)

    def model(self, flight: Flight) -> str:
        return self.plan.candidates[flight.effect.candidate].target.model

    def commit(self, flight: Flight) -> None:
        now, ledger = self.worker.timeline.now, self.worker.ledger
        self.content_at = now
        ledger.content.append((self.arrived, now - self.arrived))
        self.worker.tracker.answers(flight.effect, self.rule(flight), now)
        self.worker.tracker.seen_content(self.model(flight), now - flight.began, stream=True)

    def finish(self, effect: Finish) -> None:
        now, ledger = self.worker.timeline.now, self.worker.ledger
        if effect.outcome is Outcome.OK:
            flight = self.flights.pop(effect.attempt)
            flight.over = True
            self.worker.tracker.succeeded(flight.effect, self.rule(flight), now)
            ledger.good[int(self.arrived)] += 1
        else:
            ledger.lost[int(self.arrived)] += 1
            if effect.failure is not None:
                ledger.refused.append((now, effect.failure))


class NaiveWorker:
    """The dumb twin: failover as most write it first. Every target in turn, then all of them again, at once."""

    def __init__(self, timeline: Timeline, upstreams: dict[str, Upstream], ledger: Ledger) -> None:
        self.timeline, self.upstreams, self.ledger = timeline, upstreams, ledger

    def take(self, plan: Plan) -> None:
        self.ledger.offered[int(self.timeline.now)] += 1
        self.attempt(plan, self.timeline.now, 0, ERROR_OF_NOTHING)

    def attempt(self, plan: Plan, arrived: float, number: int, last: Failure) -> None:
        timeline, ledger = self.timeline, self.ledger
        if number >= plan.retry.max_attempts:
            ledger.lost[int(arrived)] += 1
            ledger.refused.append((timeline.now, last))
            return
        model = plan.candidates[number % len(plan.candidates)].target.model
        answer = self.upstreams[model].call(timeline.now)
        limit = plan.candidates[0].clocks.first_content
        when = timeline.now + min(answer.content, limit)
        if answer.failure is not None or answer.content > limit:
            timeline.at(when, self.attempt, plan, arrived, number + 1, answer.failure or last)
        else:
            timeline.at(when, self.answered, arrived)

    def answered(self, arrived: float) -> None:
        self.ledger.content.append((arrived, self.timeline.now - arrived))
        self.ledger.good[int(arrived)] += 1


ERROR_OF_NOTHING = Failure(FailureKind.SERVER_ERROR, "nothing was tried")
