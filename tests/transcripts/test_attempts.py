"""Transcripts of the attempt chain and of what it leaves in the books of health, one event at a time.

Commands. Times are seconds on one clock that starts at 0; without `at=` no time passes.
    plan [retries=1] [attempts=5] [wait=3] [deadline=600] [seed=1] [hedge=SECONDS] [recovery=WORD]
         [exhausted=WORD] [queue=SECONDS]
        The plan of the requests that follow. Input: a target a line, best first:
        `provider/model [window=TOKENS] [keys=A,B] [endpoints=eu,us] [prefill=yes]`.
    request [at=T]                  A request arrives. Says in which order its choices stand, and what begins.
    content [at=T] [attempt=N]      An attempt's first content; of the newest one unless said otherwise.
    done [at=T] [attempt=N]         An attempt's answer is complete.
    fail KIND [at=T] [attempt=N] [after=SECONDS] [status=N] [code=WORD] [clock=NAME] [remains=text|restart]
                                    An attempt fails; `after` is the provider's Retry-After, `remains` how
                                    an answer that the caller has seen can be mended.
    hedge | elapsed | deadline | cancel [at=T]
                                    A hedge is due; the wait is over; the deadline passes; the caller goes away.
    again                           The Begin event a second time: a fault of the shell.
    accounts [at=T]                 Health that outlives requests, and that the next request starts from.
    shown                           Which of several failures callers see. Input: as `fail`, one a line.

An attempt that the books of health do not let through is told as `refused`, with what follows.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from services.core.attempts import effects as do
from services.core.attempts import events as on
from services.core.attempts.chain import start, step
from services.core.attempts.moves import Chain, IllegalEvent
from services.core.attempts.verdicts import most_telling
from services.core.policy.rules import BreakerRule
from services.core.routing.plan import Plan
from services.dataplane.health_tracker import HealthTracker
from tests.support.golden import cases
from tests.support.transcript import Arguments, Command, read_arguments, run_transcript
from tests.transcripts.attempt_words import cell_told, effect_told, failure_told, read_failure, read_plan

SCENARIOS = Path(__file__).parent / "attempts"
RULE = BreakerRule()
REMAINS = {"": on.Remains(), "text": on.Remains(text_only=True), "restart": on.Remains(restartable=True)}


class Scenario:
    """The state behind one transcript: the plan, the request under way, and health."""

    def __init__(self) -> None:
        self.now = 0.0
        self.plan: Plan | None = None
        self.chain: Chain | None = None
        self.flights: dict[int, do.StartAttempt] = {}
        self.health = HealthTracker()
        self.commands: dict[str, Command] = {
            "plan": self.make_plan,
            "request": self.request,
            "content": self.content,
            "done": self.done,
            "fail": self.fail,
            "hedge": lambda a: self.report(on.HedgeDue(), a),
            "elapsed": lambda a: self.report(on.WaitElapsed(), a),
            "deadline": lambda a: self.report(on.DeadlineReached(), a),
            "cancel": lambda a: self.report(on.CallerCancelled(), a),
            "again": lambda a: self.report(on.Begin(), a),
            "accounts": self.accounts,
            "shown": self.shown,
        }

    def make_plan(self, arguments: Arguments) -> str:
        self.plan = read_plan(arguments)
        return ""

    def request(self, arguments: Arguments) -> str:
        assert self.plan is not None
        self.flights = {}
        self.pass_time(arguments)
        self.health.begin_request(self.now)
        self.chain = start(self.plan, self.now, self.health.view(self.now))
        order = ", ".join(choice.target for choice in self.chain.choices)
        return f"order {order}\n{self.report(on.Begin(), arguments)}"

    def content(self, arguments: Arguments) -> str:
        number = self.attempt(arguments)
        self.pass_time(arguments)
        if number in self.flights:
            self.health.answers(self.flights[number], RULE, self.now)
        return self.report(on.FirstContent(number), arguments)

    def done(self, arguments: Arguments) -> str:
        number = self.attempt(arguments)
        self.pass_time(arguments)
        begun = self.flights.pop(number, None)
        if begun is not None:
            self.health.succeeded(begun, RULE, self.now)
        return self.report(on.Completed(number), arguments)

    def fail(self, arguments: Arguments) -> str:
        failure, number = read_failure(arguments), self.attempt(arguments)
        remains = REMAINS[arguments.text("remains", "")]
        self.pass_time(arguments)
        begun = self.flights.pop(number, None)
        if begun is not None:
            self.health.failed(begun, failure, RULE, self.now)
        return self.report(on.AttemptFailed(number, failure, remains), arguments)

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

    def report(self, event: on.Event, arguments: Arguments) -> str:
        """Report `event` to the chain; its effects, and what follows from refusals, as text."""
        self.pass_time(arguments)
        told: list[str] = []
        following: on.Event | None = event
        while following is not None:
            assert self.chain is not None
            try:
                self.chain, effects = step(self.chain, following, self.now)
            except IllegalEvent as error:
                return f"illegal: {error}"
            following = None
            for effect in effects:
                told.append(effect_told(effect))
                if isinstance(effect, do.CancelAttempt) and effect.number in self.flights:
                    self.health.released(self.flights.pop(effect.number), RULE, self.now)
                if isinstance(effect, do.StartAttempt):
                    following = self.admit(effect, told)
        return "\n".join(told) or "nothing"

    def admit(self, effect: do.StartAttempt, told: list[str]) -> on.Refused | None:
        assert self.plan is not None
        refused = self.health.admit(effect, self.plan, self.now)
        if refused is None:
            self.flights[effect.number] = effect
        else:
            told.append(f"refused #{effect.number}: {refused.why}")
        return refused

    def pass_time(self, arguments: Arguments) -> None:
        now = arguments.number("at", self.now)
        if now < self.now:
            raise ValueError(f"time goes back from {self.now} to {now}")
        self.now = now

    def attempt(self, arguments: Arguments) -> int:
        assert self.chain is not None
        return int(arguments.number("attempt", self.chain.attempts))


@pytest.mark.parametrize("name", cases(SCENARIOS, ".txt"))
def test_the_chain_does_what_its_transcript_says(name: str) -> None:
    run_transcript(SCENARIOS / f"{name}.txt", Scenario().commands)
