"""A worker on the stage of a transcript: real chains, real books of health, and no sockets.

It reports events to the chain as `dataplane/run.py` does, and books attempts as it does. What cannot
happen is refused, so that a scenario stays a story: no event of an attempt that is not in flight or
whose time is over, no wait that ends too soon, no request left open when the next one arrives
unless they have names.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from services.core.attempts import effects as do
from services.core.attempts import events as on
from services.core.attempts.chain import start, step
from services.core.attempts.moves import Chain, IllegalEvent, Phase
from services.core.attempts.verdicts import most_telling
from services.core.errors import Failure, FailureKind
from services.core.policy.rules import BreakerRule
from services.core.routing.plan import Plan
from services.core.values import changed
from services.dataplane.health_tracker import HealthTracker
from tests.support.transcript import Arguments, Command, read_arguments
from tests.transcripts.attempt_words import REMAINS, cell_told, effect_told, failure_told, read_failure, read_plan

_LATE = 1e-6
"""Seconds by which instants that are told with six digits may be off."""


@dataclass
class Request:
    """One request of the scenario."""

    plan: Plan
    chain: Chain
    flights: dict[int, do.StartAttempt] = field(default_factory=dict)
    hedge_at: float = 0.0
    wait: do.Wait | None = None
    queued: bool = False

    def rule_of(self, flight: do.StartAttempt) -> BreakerRule:
        return self.plan.candidates[flight.candidate].target.provider.breaker


class Scenario:
    """The state behind one transcript: the plan, the requests under way, and health."""

    def __init__(self) -> None:
        self.now = 0.0
        self.plan: Plan | None = None
        self.requests: dict[str, Request] = {}
        self.newest = ""
        self.health = HealthTracker()
        self.commands: dict[str, Command] = {
            "worker": self.worker,
            "plan": self.make_plan,
            "request": self.request,
            "content": self.content,
            "done": self.done,
            "fail": self.fail,
            "hedge": self.hedge,
            "elapsed": self.elapsed,
            "deadline": self.deadline,
            "cancel": self.cancel,
            "stray": self.stray,
            "others": self.others,
            "waiting": self.waiting,
            "seen": self.seen,
            "accounts": self.accounts,
            "shown": self.shown,
        }

    # what is set up

    def worker(self, _: Arguments) -> str:
        self.health, self.requests, self.plan = HealthTracker(), {}, None
        return ""

    def make_plan(self, arguments: Arguments) -> str:
        self.plan = read_plan(arguments)
        return ""

    def seen(self, arguments: Arguments) -> str:
        model, times = arguments.word(), int(arguments.number("times", 1))
        for _ in range(times):
            self.health.seen_content(model, arguments.number("seconds"), stream=True)
        return ""

    def waiting(self, arguments: Arguments) -> str:
        for _ in range(int(arguments.word())):
            assert self.health.enter_queue(1_000)
        return ""

    # what happens

    def request(self, arguments: Arguments) -> str:
        assert self.plan is not None
        name = arguments.word("")
        self.pass_time(arguments)
        before = self.requests.get(name)
        if before is not None and before.chain.phase is not Phase.DONE:
            raise ValueError("the request before has not ended; end it, or give this one a name")
        request = self.arrive(changed(self.plan, seed=int(arguments.number("seed", self.plan.seed))))
        self.requests[name], self.newest = request, name
        order = ", ".join(choice.target for choice in request.chain.choices)
        return "\n".join([f"order {order}", *self.told(request, on.Begin())])

    def arrive(self, plan: Plan) -> Request:
        self.health.begin_request(self.now)
        return Request(plan, start(plan, self.now, self.health.view(self.now)))

    def content(self, arguments: Arguments) -> str:
        request, flight = self.flying(arguments)
        self.health.answers(flight, request.rule_of(flight), self.now)
        return self.report(request, on.FirstContent(flight.number))

    def done(self, arguments: Arguments) -> str:
        request, flight = self.flying(arguments)
        del request.flights[flight.number]
        self.health.succeeded(flight, request.rule_of(flight), self.now)
        return self.report(request, on.Completed(flight.number))

    def fail(self, arguments: Arguments) -> str:
        failure = read_failure(arguments)
        request, flight = self.flying(arguments)
        # Only an answer that the caller has seen a part of can be mended.
        remains = arguments.text("remains", "") if request.chain.phase is Phase.COMMITTED else ""
        return self.report(request, self.failed(request, flight, failure, REMAINS[remains]))

    def failed(
        self, request: Request, flight: do.StartAttempt, failure: Failure, remains: on.Remains
    ) -> on.AttemptFailed:
        del request.flights[flight.number]
        self.health.failed(flight, failure, request.rule_of(flight), self.now)
        return on.AttemptFailed(flight.number, failure, remains)

    def hedge(self, arguments: Arguments) -> str:
        request = self.of(arguments)
        if not request.hedge_at:
            raise ValueError("no hedge is due")
        self.pass_to(request.hedge_at, arguments)
        request.hedge_at = 0.0
        return self.report(request, on.HedgeDue())

    def elapsed(self, arguments: Arguments) -> str:
        request = self.of(arguments)
        if request.wait is None:
            raise ValueError("nothing is waited for")
        self.pass_to(request.wait.until, arguments)
        self.end_wait(request)
        return self.report(request, on.WaitElapsed())

    def deadline(self, arguments: Arguments) -> str:
        request = self.of(arguments)
        self.pass_to(request.chain.deadline, arguments)
        return self.report(request, on.DeadlineReached())

    def cancel(self, arguments: Arguments) -> str:
        request = self.of(arguments)
        self.pass_time(arguments)
        return self.report(request, on.CallerCancelled())

    def stray(self, arguments: Arguments) -> str:
        """An event that no shell should report now."""
        request, what = self.of(arguments), arguments.word()
        self.pass_time(arguments)
        number = int(arguments.number("attempt", request.chain.attempts))
        events: dict[str, on.Event] = {
            "begin": on.Begin(),
            "content": on.FirstContent(number),
            "done": on.Completed(number),
            "fail": on.AttemptFailed(number, Failure(FailureKind.DISCONNECTED, "x")),
            "refused": on.Refused(number, self.now + 9.0, hard=False, why="SERVER_ERROR"),
            "elapsed": on.WaitElapsed(),
            "hedge": on.HedgeDue(),
            "deadline": on.DeadlineReached(),
            "cancel": on.CallerCancelled(),
        }
        return self.report(request, events[what])

    def others(self, arguments: Arguments) -> str:
        """Other requests of this worker, one after the other, each with a seed of its own."""
        assert self.plan is not None
        pattern, kind = arguments.word(), FailureKind(arguments.text("fail", "SERVER_ERROR"))
        every = arguments.number("every", 0.0)
        self.pass_time(arguments)
        tally: dict[str, Counter[str]] = {}
        for place, what in enumerate("o" * int(pattern) if pattern.isdigit() else pattern):
            self.now += every if place else 0.0
            self.play(self.arrive(changed(self.plan, seed=self.plan.seed + place)), what, kind, tally)
        told = (f"{name}: {', '.join(f'{n} {what}' for what, n in sorted(tally[name].items()))}" for name in tally)
        return "\n".join(sorted(told))

    def play(self, request: Request, what: str, kind: FailureKind, tally: dict[str, Counter[str]]) -> None:
        """One request, all at once: its first attempt fails if `what` is x; whatever follows answers."""
        self.told(request, on.Begin())
        while request.chain.phase is not Phase.DONE:
            if not request.flights:
                self.told(request, on.CallerCancelled())
                continue
            (flight,) = request.flights.values()
            failing = what == "x" and flight.number == 1
            tally.setdefault(flight.target, Counter())["failed" if failing else "answered"] += 1
            if failing:
                self.told(request, self.failed(request, flight, Failure(kind, "x"), on.Remains()))
            else:
                del request.flights[flight.number]
                self.health.succeeded(flight, request.rule_of(flight), self.now)
                self.told(request, on.Completed(flight.number))

    # what is looked at

    def accounts(self, arguments: Arguments) -> str:
        self.pass_time(arguments)
        told = [cell_told(cell, self.now) for cell in self.health.report(self.now)]
        return "\n".join(told) or "all healthy"

    def shown(self, arguments: Arguments) -> str:
        failures = []
        for line in arguments.input():
            given = read_arguments(line)
            failures.append(read_failure(given))
            given.check_all_read()
        return failure_told(most_telling(tuple(failures)))

    # the shell

    def report(self, request: Request, event: on.Event) -> str:
        try:
            return "\n".join(self.told(request, event)) or "nothing"
        except IllegalEvent as error:
            return f"illegal: {error}"

    def told(self, request: Request, event: on.Event) -> list[str]:
        """Report `event` to the chain and perform what it asks for; both, and what was refused, as text."""
        told: list[str] = []
        following: on.Event | None = event
        while following is not None:
            request.chain, effects = step(request.chain, following, self.now)
            following = None
            for effect in effects:
                if isinstance(effect, do.ArmHedge) and following is not None:
                    continue
                told.append(effect_told(effect))
                following = self.perform(request, effect, told) or following
        return told

    def perform(self, request: Request, effect: do.Effect, told: list[str]) -> on.Refused | None:
        if isinstance(effect, do.StartAttempt):
            refused = self.health.admit(effect, request.plan, self.now)
            if refused is None:
                request.flights[effect.number] = effect
                return None
            told.append(f"refused #{effect.number}: {refused.why}")
            return refused
        if isinstance(effect, do.Wait):
            if effect.queue and not self.health.enter_queue(effect.queue):
                told.append("refused: the queue is full")
                return on.Refused(0, effect.until, False, on.QUEUE_FULL)
            request.wait, request.queued = effect, effect.queue > 0
        elif isinstance(effect, do.ArmHedge):
            request.hedge_at = effect.at
        elif isinstance(effect, do.CancelAttempt):
            flight = request.flights.pop(effect.number)
            self.health.released(flight, request.rule_of(flight), self.now)
        elif isinstance(effect, do.Commit):
            request.hedge_at = 0.0
        else:
            request.hedge_at = 0.0
            self.end_wait(request)
        return None

    def end_wait(self, request: Request) -> None:
        if request.queued:
            self.health.leave_queue()
        request.wait, request.queued = None, False

    def of(self, arguments: Arguments) -> Request:
        """The request that a command is about: the newest one, unless it names another."""
        return self.requests[arguments.text("of", self.newest)]

    def flying(self, arguments: Arguments) -> tuple[Request, do.StartAttempt]:
        """The attempt that a command is about, at the command's instant: the newest one, unless it names another."""
        request = self.of(arguments)
        self.pass_time(arguments)
        number = int(arguments.number("attempt", max(request.flights, default=0)))
        flight = request.flights.get(number)
        if flight is None:
            raise ValueError(f"attempt {number} is not in flight")
        if self.now > flight.at + flight.total + _LATE:
            raise ValueError(f"attempt {number} had ended by {flight.at + flight.total:.6g}")
        return request, flight

    def pass_time(self, arguments: Arguments) -> None:
        now = arguments.number("at", self.now)
        if now < self.now:
            raise ValueError(f"time goes back from {self.now:.6g} to {now:.6g}")
        self.now = now

    def pass_to(self, instant: float, arguments: Arguments) -> None:
        """Let time pass to `instant`, or, if the command says so, to a little after it."""
        at = arguments.number("at", max(instant, self.now))
        if at < instant - _LATE or at < self.now:
            raise ValueError(f"it is due at {instant:.6g}")
        self.now = at
