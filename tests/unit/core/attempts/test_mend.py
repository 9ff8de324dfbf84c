"""After the commit: how a broken answer is mended, and when it is not."""

from __future__ import annotations

from typing import Any

import pytest

from services.core.attempts.effects import Commit, Finish, Kind, Outcome
from services.core.attempts.events import (
    BUDGET,
    AttemptFailed,
    Completed,
    DeadlineReached,
    FirstContent,
    HedgeDue,
    Refused,
    Remains,
)
from services.core.errors import Clock
from services.core.policy.rules import HedgeRule, Recovery, RetryRule
from services.core.routing.plan import Plan
from tests.property.chains import candidate_of, plan_of
from tests.unit.core.attempts.stepping import TEXT, K, Stepper, T, failed, failure

BROKE = failure(K.DISCONNECTED)


def plan(*prefills: bool, recovery: Recovery = Recovery.SEAMLESS, **rules: Any) -> Plan:
    candidates = (candidate_of(i, prefill=prefill) for i, prefill in enumerate(prefills))
    return plan_of(*candidates, recovery=recovery, **rules)


def committed(of: Plan) -> Stepper:
    chain = Stepper(of)
    chain.tell(FirstContent(1))
    return chain


def broken(of: Plan, remains: Remains = TEXT) -> Stepper:
    chain = committed(of)
    chain.tell(AttemptFailed(1, BROKE, remains))
    return chain


def begun(chain: Stepper) -> tuple[Kind, int]:
    return chain.begun.kind, chain.begun.candidate


def test_an_honest_error_is_the_default() -> None:
    assert broken(plan(True, True, recovery=Recovery.HONEST_ERROR)).finish == Finish(Outcome.BROKEN, BROKE, 1)


def test_a_target_that_takes_prefill_goes_on_and_the_answer_is_whole() -> None:
    chain = broken(plan(False, True))
    assert begun(chain) == (Kind.CONTINUE, 1)
    assert chain.tell(FirstContent(2)) == (Commit(2),)
    assert chain.tell(Completed(2)) == (Finish(Outcome.OK, attempt=2),)


def test_an_answer_that_has_nothing_to_add_is_whole_too() -> None:
    chain = broken(plan(False, True))
    assert chain.tell(Completed(2)) == (Finish(Outcome.OK, attempt=2),)


def test_a_target_that_takes_no_prefill_answers_anew() -> None:
    assert begun(broken(plan(False, False))) == (Kind.RESUME, 1)


@pytest.mark.parametrize("kind", [K.INVALID_REQUEST, K.UNSUPPORTED, K.CONTEXT_TOO_LONG])
def test_a_target_that_refuses_prefill_is_asked_to_answer_anew(kind: K) -> None:
    chain = broken(plan(False, True, retry=RetryRule(max_retries=0)))
    chain.tell(failed(2, kind))
    assert begun(chain) == (Kind.RESUME, 1)
    chain.tell(failed(3, K.DIVERGED))
    assert chain.finish == Finish(Outcome.BROKEN, BROKE, 3)


def test_an_answer_that_diverges_gives_way_to_a_restart_for_callers_that_take_it() -> None:
    chain = broken(plan(False, False), Remains(text_only=True, restartable=True))
    chain.tell(failed(2, K.DIVERGED))
    assert begun(chain) == (Kind.RESTART, 1)


def test_tool_calls_are_neither_continued_nor_repeated() -> None:
    assert broken(plan(True, True), Remains()).finish.outcome is Outcome.BROKEN
    assert begun(broken(plan(True, True), Remains(restartable=True))) == (Kind.RESTART, 1)


def test_targets_that_were_not_tried_come_before_the_one_that_broke() -> None:
    chain = broken(plan(True, False, False))
    assert begun(chain) == (Kind.RESUME, 1)
    chain.tell(failed(2))
    assert begun(chain) == (Kind.RESUME, 2)
    chain.tell(failed(3))
    assert begun(chain) == (Kind.CONTINUE, 0)
    chain.tell(failed(4))
    assert chain.finish == Finish(Outcome.BROKEN, BROKE, 4)


def test_the_only_target_is_asked_again_as_often_as_retries_are_allowed() -> None:
    chain = broken(plan(True, retry=RetryRule(max_retries=2)))
    assert begun(chain) == (Kind.CONTINUE, 0)
    chain.tell(failed(2))
    assert begun(chain) == (Kind.CONTINUE, 0)
    chain.tell(failed(3))
    assert chain.finish.outcome is Outcome.BROKEN
    assert broken(plan(True, retry=RetryRule(max_retries=0))).finish.outcome is Outcome.BROKEN


def test_a_target_that_asked_for_a_pause_is_not_asked_again() -> None:
    chain = committed(plan(True))
    chain.tell(failed(1, K.OVERLOADED, 2.0))
    assert chain.finish.outcome is Outcome.BROKEN


@pytest.mark.parametrize("kind", [K.CREDENTIALS_REJECTED, K.MODEL_MISSING])
def test_a_target_that_cannot_answer_at_all_is_not_asked_again(kind: K) -> None:
    chain = broken(plan(False, True, retry=RetryRule(max_retries=0)))
    chain.tell(failed(2, kind))
    assert chain.finish == Finish(Outcome.BROKEN, BROKE, 2)


def test_refused_content_is_not_shopped_around() -> None:
    chain = committed(plan(True, True))
    chain.tell(failed(1, K.CONTENT_REFUSED))
    assert chain.finish.failure == failure(K.CONTENT_REFUSED)
    chain = broken(plan(True, True, True))
    chain.tell(failed(2, K.CONTENT_REFUSED))
    assert chain.finish == Finish(Outcome.BROKEN, BROKE, 2)


def test_an_attempt_at_mending_that_is_refused_makes_way_for_the_next() -> None:
    chain = broken(plan(False, True, False))
    chain.tell(Refused(2, 0.0, False, BUDGET))
    assert (chain.begun.number, *begun(chain)) == (2, Kind.RESUME, 2)
    chain.tell(Refused(2, T + 9.0, True, "RATE_LIMITED"))
    assert begun(chain) == (Kind.RESUME, 0)
    chain.tell(Refused(2, T + 9.0, False, "SERVER_ERROR"))
    assert chain.finish == Finish(Outcome.BROKEN, BROKE, 1)


def test_mending_keeps_to_the_bounds_of_the_request() -> None:
    assert broken(plan(True, True, retry=RetryRule(max_attempts=1))).finish.outcome is Outcome.BROKEN
    chain = committed(plan(True, True, retry=RetryRule(deadline=5.0)))
    chain.tell(AttemptFailed(1, failure(K.TOTAL_TIMEOUT, clock=Clock.DEADLINE)), 5.0)
    assert chain.finish.outcome is Outcome.BROKEN
    chain = broken(plan(True, True))
    assert chain.tell(DeadlineReached())[-1] == Finish(Outcome.BROKEN, BROKE, 2)


def test_an_answer_that_is_being_mended_has_no_hedge() -> None:
    chain = broken(plan(True, True, True, hedge=HedgeRule(True, 0.0, 0.3)))
    assert len(chain.effects) == 1
    assert chain.tell(HedgeDue()) == ()


def test_an_answer_that_breaks_again_is_mended_again() -> None:
    chain = broken(plan(False, True, True))
    chain.tell(FirstContent(2))
    chain.tell(failed(2, K.STREAM_TRUNCATED))
    assert begun(chain) == (Kind.CONTINUE, 2)
    chain.tell(failed(3))
    assert begun(chain) == (Kind.CONTINUE, 1)
    assert chain.chain.broken == failure(K.STREAM_TRUNCATED)
