"""Transcripts of the attempt chain: requests to scripted providers, one event at a time.

Commands. Times are seconds on one clock that starts at 0; without `at=` no time passes.
    plan [retries=1] [attempts=5] [wait=3] [deadline=600] [seed=1]
        The plan of the requests that follow. Input: a target a line, best first:
        `provider/model [window=TOKENS] [keys=A,B] [total=SECONDS]`.
    request [at=T]                  A request arrives. Says in which order its choices stand, and what begins.
    content [at=T] [attempt=N]      An attempt's first content; of the present one unless said otherwise.
    done [at=T] [attempt=N]         An attempt's answer is complete.
    fail KIND [at=T] [attempt=N] [after=SECONDS] [status=N] [code=WORD] [clock=NAME]
                                    An attempt fails; `after` is the provider's Retry-After.
    elapsed | deadline | cancel [at=T]
                                    The wait is over; the request's deadline passes; the caller goes away.
    again                           The Begin event a second time: a fault of the shell.
    accounts [at=T]                 Health that outlives requests, and that the next request starts from.
    shown                           Which of several failures callers see. Input: as `fail`, one a line.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from services.core.attempts.accrual import HEALTHY_STATE, Accrual, after_failure, after_success, credential_name, harmed

from services.core.attempts import effects as do
from services.core.attempts import events as on
from services.core.attempts.chain import Chain, IllegalEvent, start, step
from services.core.attempts.verdicts import most_telling
from services.core.errors import Failure
from services.core.policy.rules import RetryRule
from services.core.policy.snapshot import Target
from services.core.routing.health import HealthView
from services.core.routing.plan import Plan
from tests.support.golden import cases
from tests.support.transcript import Arguments, Command, read_arguments, run_transcript
from tests.transcripts.attempt_words import choice_named, effect_told, failure_told, read_candidate, read_failure

SCENARIOS = Path(__file__).parent / "attempts"


class Scenario:
    """The state behind one transcript: the plan, the request under way, and health."""

    def __init__(self) -> None:
        self.now = 0.0
        self.plan: Plan | None = None
        self.chain: Chain | None = None
        self.started: dict[int, do.StartAttempt] = {}
        self.health: dict[str, Accrual] = {}
        self.commands: dict[str, Command] = {
            "plan": self.make_plan,
            "request": self.request,
            "content": lambda a: self.report(on.FirstContent(self.attempt(a)), a),
            "done": self.done,
            "fail": self.fail,
            "elapsed": lambda a: self.report(on.WaitElapsed(), a),
            "deadline": lambda a: self.report(on.DeadlineReached(), a),
            "cancel": lambda a: self.report(on.CallerCancelled(), a),
            "again": lambda a: self.report(on.Begin(), a),
            "accounts": self.accounts,
            "shown": self.shown,
        }

    def make_plan(self, arguments: Arguments) -> str:
        retry = RetryRule(
            max_retries=int(arguments.number("retries", 1)),
            max_attempts=int(arguments.number("attempts", 5)),
            max_wait=arguments.number("wait", 3.0),
            deadline=arguments.number("deadline", 600.0),
        )
        candidates = tuple(read_candidate(line) for line in arguments.input())
        self.plan = Plan(candidates, retry, "v", 1, int(arguments.number("seed", 1)))
        return ""

    def request(self, arguments: Arguments) -> str:
        assert self.plan is not None
        self.started = {}
        self.pass_time(arguments)
        view = HealthView({name: state.benched_until for name, state in self.health.items()})
        self.chain = start(self.plan, self.now, view)
        order = ", ".join(choice_named(self.plan, c.candidate, c.credential) for c in self.chain.choices)
        return f"order {order}\n{self.report(on.Begin(), arguments)}"

    def done(self, arguments: Arguments) -> str:
        return self.end(on.Completed(self.attempt(arguments)), None, arguments)

    def fail(self, arguments: Arguments) -> str:
        failure = read_failure(arguments)
        return self.end(on.AttemptFailed(self.attempt(arguments), failure), failure, arguments)

    def end(self, event: on.Completed | on.AttemptFailed, failure: Failure | None, arguments: Arguments) -> str:
        """Report the end of an attempt and, if the chain took notice, book it."""
        before = self.chain
        said = self.report(event, arguments)
        if self.chain is not before:
            target, credential = self.tried(event.attempt)
            for name in _booked(target, credential, failure):
                state = self.health.get(name, HEALTHY_STATE)
                self.health[name] = after_failure(state, failure, self.now) if failure else after_success(state)
        return said

    def accounts(self, arguments: Arguments) -> str:
        self.pass_time(arguments)
        lines = []
        for name, state in sorted(self.health.items()):
            if state != HEALTHY_STATE:
                left = state.benched_until - self.now
                benched = f"benched for {left:.6g}s" if left > 0 else "not benched"
                lines.append(f"{name}: {state.consecutive} in a row, {benched}")
        return "\n".join(lines) or "all healthy"

    def shown(self, arguments: Arguments) -> str:
        failures = []
        for line in arguments.input():
            given = read_arguments(line)
            failures.append(read_failure(given))
            given.check_all_read()
        return failure_told(most_telling(tuple(failures)))

    def report(self, event: on.Event, arguments: Arguments) -> str:
        """Report `event` to the chain; its effects as text."""
        assert self.chain is not None
        self.pass_time(arguments)
        try:
            self.chain, effects = step(self.chain, event, self.now)
        except IllegalEvent as error:
            return f"illegal: {error}"
        self.started |= {effect.number: effect for effect in effects if isinstance(effect, do.StartAttempt)}
        return "\n".join(effect_told(self.chain.plan, effect) for effect in effects) or "nothing"

    def pass_time(self, arguments: Arguments) -> None:
        now = arguments.number("at", self.now)
        if now < self.now:
            raise ValueError(f"time goes back from {self.now} to {now}")
        self.now = now

    def attempt(self, arguments: Arguments) -> int:
        assert self.chain is not None
        return int(arguments.number("attempt", self.chain.attempts))

    def tried(self, number: int) -> tuple[Target, str]:
        """The target and the credential of attempt `number`."""
        assert self.chain is not None
        begun = self.started[number]
        target = self.chain.plan.candidates[begun.candidate].target
        return target, (*target.provider.credentials, "")[begun.credential]


def _booked(target: Target, credential: str, failure: Failure | None) -> list[str]:
    """The accounts that the end of an attempt is booked in."""
    if failure is None:
        return [target.model, credential_name(target.provider.name, credential)]
    return [name for name in [harmed(failure, target.model, target.provider.name, credential)] if name]


@pytest.mark.parametrize("name", cases(SCENARIOS, ".txt"))
def test_the_chain_does_what_its_transcript_says(name: str) -> None:
    run_transcript(SCENARIOS / f"{name}.txt", Scenario().commands)
