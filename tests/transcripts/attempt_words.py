"""The words of attempt transcripts: candidates and failures as they are written, effects as they are told."""

from __future__ import annotations

from dataclasses import replace

from services.core.attempts import effects as do
from services.core.attempts.verdicts import caller_status
from services.core.errors import Clock, Failure, FailureKind
from services.core.policy.rules import ClockRule
from services.core.policy.snapshot import CompiledProvider, Target
from services.core.routing.plan import Candidate, Plan
from tests.support.transcript import Arguments, read_arguments


def read_candidate(line: str) -> Candidate:
    given = read_arguments(line)
    model = given.word()
    provider = CompiledProvider(model.split("/")[0], "openai", "http://provider", given.listed("keys"))
    target = Target(model, provider, model, context_length=int(given.number("window", 0)))
    clocks = replace(ClockRule(), total=given.number("total", 600.0))
    given.check_all_read()
    return Candidate(target, clocks)


def read_failure(arguments: Arguments) -> Failure:
    clock = arguments.text("clock", "")
    return Failure(
        FailureKind(arguments.word()),
        "x",
        status=int(arguments.number("status", 0)),
        code=arguments.text("code", ""),
        retry_after=arguments.optional_number("after"),
        clock=Clock(clock) if clock else None,
    )


def choice_named(plan: Plan, candidate: int, credential: int) -> str:
    target = plan.candidates[candidate].target
    keys = target.provider.credentials
    return f"{target.model}#{keys[credential]}" if keys else target.model


def failure_told(failure: Failure) -> str:
    clock = f" ({failure.clock})" if failure.clock is not None else ""
    after = f", retry after {failure.retry_after:.6g}s" if failure.retry_after is not None else ""
    code = f" {failure.code}" if failure.code else ""
    return f"{failure.kind}{code}{clock}, status {caller_status(failure)}{after}"


def effect_told(plan: Plan, effect: do.Effect) -> str:
    match effect:
        case do.StartAttempt(number, candidate, credential, retry, total):
            again = " again" if retry else ""
            return f"start #{number} {choice_named(plan, candidate, credential)}{again}, at most {total:.6g}s"
        case do.Wait(until):
            return f"wait until {until:.6g}"
        case do.CancelAttempt(number):
            return f"cancel #{number}"
        case do.Commit(number):
            return f"commit #{number}"
        case do.Finish(outcome, failure, attempt):
            why = f": {failure_told(failure)}" if failure is not None else ""
            return f"finish {outcome} at #{attempt}{why}"
        case _:
            return repr(effect)
