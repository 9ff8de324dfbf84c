"""The words of attempt transcripts: plans and failures as they are written, effects as they are told."""

from __future__ import annotations

from dataclasses import replace

from services.core.attempts import effects as do
from services.core.attempts.events import Remains
from services.core.attempts.verdicts import caller_status
from services.core.errors import Clock, Failure, FailureKind
from services.core.policy.documents import Capabilities
from services.core.policy.rules import (
    BreakerRule,
    BudgetRule,
    ClockRule,
    ExhaustedRule,
    HedgeRule,
    Recovery,
    RetryRule,
    TtftRule,
    read_after,
)
from services.core.policy.snapshot import CompiledEndpoint, CompiledProvider, Target
from services.core.routing.plan import Candidate, Plan
from services.dataplane.health_tracker import CellReport
from tests.support.transcript import Arguments, read_arguments

DEFAULT_FIRST_CONTENT = ClockRule().first_content
REMAINS = {
    "": Remains(),
    "text": Remains(text_only=True),
    "restart": Remains(restartable=True),
    "both": Remains(text_only=True, restartable=True),
}


def read_candidate(line: str, breaker: BreakerRule) -> Candidate:
    given = read_arguments(line)
    model = given.word()
    keys = given.listed("keys")
    endpoints = tuple(CompiledEndpoint(name, f"http://{name}", keys) for name in given.listed("endpoints"))
    provider = CompiledProvider(
        model.split("/")[0], "openai", "http://provider", keys, endpoints=endpoints, breaker=breaker
    )
    capabilities = Capabilities(prefill=given.text("prefill", "no") == "yes")
    window = int(given.number("window", 0))
    target = Target(model, provider, model, context_length=window, capabilities=capabilities)
    factor = given.optional_number("ttft")
    clocks = ClockRule(total=given.number("total", 600.0), ttft=None if factor is None else TtftRule(factor=factor))
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


def read_plan(arguments: Arguments) -> Plan:
    breaker = replace(
        BreakerRule(),
        open_for=arguments.number("open", 10.0),
        max_open_for=arguments.number("longest", 10.0),
        ramp=arguments.number("ramp", BreakerRule().ramp),
    )
    budget = BudgetRule(arguments.number("budget", 1.0), arguments.number("floor", 10.0))
    retry = RetryRule(
        max_retries=int(arguments.number("retries", 1)),
        max_attempts=int(arguments.number("attempts", 5)),
        max_wait=arguments.number("wait", 3.0),
        deadline=arguments.number("deadline", 600.0),
        budget=budget,
    )
    after = arguments.text("hedge", "")
    hedge = HedgeRule(enabled=bool(after), budget=arguments.number("hedges", 1.0), **(read_after(after) or {}))
    mode, places = arguments.text("exhausted", "least_bad"), int(arguments.number("places", 100))
    return Plan(
        tuple(read_candidate(line, breaker) for line in arguments.input()),
        retry,
        "v",
        1,
        int(arguments.number("seed", 1)),
        hedge=hedge,
        recovery=Recovery(arguments.text("recovery", "honest_error")),
        on_exhausted=ExhaustedRule(mode, arguments.number("queue", 5.0), places),
    )


def failure_told(failure: Failure) -> str:
    clock = f" ({failure.clock})" if failure.clock is not None else ""
    after = f", retry after {failure.retry_after:.6g}s" if failure.retry_after is not None else ""
    code = f" {failure.code}" if failure.code else ""
    return f"{failure.kind}{code}{clock}, status {caller_status(failure)}{after}"


def cell_told(cell: CellReport, now: float) -> str:
    aside = f", for {cell.until - now:.6g}s" if cell.until else ""
    why = f" ({cell.why})" if cell.why and cell.until else ""
    share = f", share {cell.share:.3g}" if cell.share < 1.0 else ""
    busy = f", {cell.in_flight} in flight" if cell.in_flight else ""
    return f"{cell.name}: {cell.state}{why}{aside}, {cell.consecutive} in a row{share}{busy}"


def effect_told(effect: do.Effect) -> str:
    match effect:
        case do.StartAttempt():
            why = "" if effect.kind in {do.Kind.FIRST, do.Kind.FAILOVER} else f" ({effect.kind})"
            forced = ", though set aside" if effect.forced and effect.kind is not do.Kind.RETRY else ""
            bounds = f"at most {effect.total:.6g}s"
            if effect.first_content != DEFAULT_FIRST_CONTENT:
                bounds = f"first content within {effect.first_content:.6g}s, {bounds}"
            return f"start #{effect.number} {effect.target}{why}{forced}, {bounds}"
        case do.ArmHedge(at):
            return f"hedge due at {at:.6g}"
        case do.Wait(until, queue):
            return f"wait until {until:.6g}" + (" in the queue" if queue else "")
        case do.CancelAttempt(number):
            return f"cancel #{number}"
        case do.Commit(number):
            return f"commit #{number}"
        case do.Finish(outcome, failure, attempt):
            why = f": {failure_told(failure)}" if failure is not None else ""
            return f"finish {outcome} at #{attempt}{why}"
        case _:
            return repr(effect)
