"""The chain before the commit: what follows from what, one rule a test."""

from __future__ import annotations

import pytest

from services.core.attempts.chain import start, step
from services.core.attempts.effects import ArmHedge, CancelAttempt, Commit, Finish, Kind, Outcome, StartAttempt, Wait
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
from services.core.attempts.moves import IllegalEvent
from services.core.errors import Clock
from services.core.policy.rules import ClockRule, ExhaustedRule, HedgeRule, RetryRule, TtftRule
from services.core.routing.health import HEALTHY, HealthView, Speed
from services.core.routing.plan import Candidate
from tests.property.chains import candidate_of, plan_of
from tests.unit.core.attempts.stepping import K, Stepper, T, failed, failure

ONE, TWO = plan_of(candidate_of(0)), plan_of(candidate_of(0), candidate_of(1))
HEDGED = plan_of(candidate_of(0), candidate_of(1), candidate_of(2), hedge=HedgeRule(True, 0.0, 0.3))


def queued(max_wait: float = 5.0) -> ExhaustedRule:
    return ExhaustedRule("queue", max_wait, 7)


def test_the_next_target_is_tried_at_once() -> None:
    chain = Stepper(TWO)
    chain.tell(failed(1))
    assert (chain.begun.candidate, chain.begun.kind) == (1, Kind.FAILOVER)


def test_the_only_target_is_retried_after_a_backoff() -> None:
    chain = Stepper(ONE)
    chain.tell(failed(1))
    assert 1.0 <= chain.wait <= 1.1
    chain.tell(WaitElapsed(), chain.wait)
    assert (chain.begun.candidate, chain.begun.kind, chain.begun.forced) == (0, Kind.RETRY, True)
    chain.tell(failed(2), 2.0)
    assert chain.finish.outcome is Outcome.FAILED


def test_a_short_wait_that_the_provider_asked_for_is_waited_for_even_if_others_are_free() -> None:
    chain = Stepper(TWO)
    chain.tell(failed(1, K.RATE_LIMITED, 2.0))
    assert 3.0 <= chain.wait <= 3.25


def test_a_long_one_is_not_and_the_next_target_is_tried() -> None:
    chain = Stepper(TWO)
    chain.tell(failed(1, K.RATE_LIMITED, 3.5))
    assert chain.begun.candidate == 1


@pytest.mark.parametrize("kind", [K.SERVER_ERROR, K.OVERLOADED, K.RATE_LIMITED])
def test_a_wait_that_the_provider_asked_for_is_never_cut_short(kind: K) -> None:
    chain = Stepper(ONE)
    chain.tell(failed(1, kind, 2.0))
    assert chain.wait >= 3.0
    chain = Stepper(ONE)
    chain.tell(failed(1, kind, 4.0))
    assert chain.finish.outcome is Outcome.FAILED


def test_a_wait_that_would_pass_the_deadline_is_not_begun() -> None:
    chain = Stepper(plan_of(candidate_of(0), retry=RetryRule(max_wait=60.0, deadline=10.0)))
    chain.tell(failed(1, K.RATE_LIMITED, 9.5))
    assert isinstance(chain.finish, Finish)


def test_attempts_are_bounded_by_the_deadline() -> None:
    chain = Stepper(plan_of(candidate_of(0), candidate_of(1), retry=RetryRule(deadline=4.0)))
    assert chain.begun.total == 4.0
    chain.tell(failed(1), 3.0)
    assert chain.begun.total == pytest.approx(1.0)
    chain.tell(AttemptFailed(2, failure(K.TOTAL_TIMEOUT, clock=Clock.DEADLINE)), 4.0)
    assert chain.finish.failure == failure()


def test_the_deadline_shows_what_failed_before_it() -> None:
    chain = Stepper(TWO)
    chain.tell(failed(1))
    chain.tell(DeadlineReached(), 600.0)
    assert chain.effects == (CancelAttempt(2), Finish(Outcome.FAILED, failure(), 2))


def test_a_context_overflow_goes_only_to_a_larger_window() -> None:
    sizes = (8_000, 4_000, 16_000)
    chain = Stepper(plan_of(*(candidate_of(i, window=size) for i, size in enumerate(sizes))))
    chain.tell(failed(1, K.CONTEXT_TOO_LONG))
    assert chain.begun.candidate == 2


def test_a_caller_that_goes_ends_the_chain_at_once() -> None:
    chain = Stepper(HEDGED)
    chain.tell(HedgeDue())
    chain.tell(CallerCancelled())
    assert chain.effects == (CancelAttempt(1), CancelAttempt(2), Finish(Outcome.CANCELLED, attempt=2))


def test_events_of_an_attempt_that_is_over_are_ignored() -> None:
    chain = Stepper(TWO)
    chain.tell(failed(1))
    assert chain.tell(Completed(1)) == ()
    assert chain.tell(Refused(1, T + 9.0, False, "SERVER_ERROR")) == ()


def test_events_that_cannot_happen_raise() -> None:
    fresh = start(TWO, T, HEALTHY)
    early: list[Event] = [WaitElapsed(), HedgeDue(), Completed(1)]
    for event in early:
        with pytest.raises(IllegalEvent):
            step(fresh, event, T)
    chain = Stepper(TWO)
    chain.tell(FirstContent(1))
    late: list[Event] = [FirstContent(1), Refused(1, T + 9.0, False, "SERVER_ERROR"), Begin()]
    for event in late:
        with pytest.raises(IllegalEvent):
            chain.tell(event)


# Hedges


def test_the_first_content_wins_and_the_other_is_cancelled() -> None:
    chain = Stepper(HEDGED)
    assert chain.effects[1] == ArmHedge(T + 0.3)
    chain.tell(HedgeDue(), 0.3)
    assert (chain.begun.candidate, chain.begun.kind) == (1, Kind.HEDGE)
    assert chain.tell(FirstContent(2)) == (CancelAttempt(1), Commit(2))


def test_a_hedge_that_is_refused_by_its_provider_leaves_the_first_attempt_alone() -> None:
    chain = Stepper(HEDGED)
    chain.tell(HedgeDue(), 0.3)
    assert chain.tell(failed(2, K.INVALID_REQUEST)) == ()
    assert chain.tell(Completed(1)) == (Finish(Outcome.OK, attempt=1),)


def test_after_a_refusal_of_the_hedge_and_a_failure_of_the_first_nothing_else_is_tried() -> None:
    chain = Stepper(HEDGED)
    chain.tell(HedgeDue(), 0.3)
    chain.tell(failed(2, K.INVALID_REQUEST))
    chain.tell(failed(1))
    assert chain.finish.failure == failure(K.INVALID_REQUEST)


def test_a_refusal_of_the_first_attempt_ends_its_hedge_too() -> None:
    chain = Stepper(HEDGED)
    chain.tell(HedgeDue(), 0.3)
    assert chain.tell(failed(1, K.CONTENT_REFUSED))[0] == CancelAttempt(2)
    assert chain.finish.outcome is Outcome.FAILED


def test_the_third_target_is_tried_only_when_both_have_failed() -> None:
    chain = Stepper(HEDGED)
    chain.tell(HedgeDue(), 0.3)
    assert chain.tell(failed(1)) == ()
    chain.tell(failed(2))
    assert (chain.begun.candidate, chain.begun.kind) == (2, Kind.FAILOVER)


def test_a_hedge_is_due_only_once_and_only_while_one_attempt_is_silent() -> None:
    chain = Stepper(HEDGED)
    chain.tell(HedgeDue(), 0.3)
    assert chain.tell(HedgeDue()) == ()
    chain.tell(failed(1))
    assert chain.tell(HedgeDue()) == ()
    chain = Stepper(HEDGED)
    chain.tell(FirstContent(1))
    assert chain.tell(HedgeDue()) == ()


def test_a_refused_hedge_leaves_no_trace_but_that_it_was_had() -> None:
    chain = Stepper(HEDGED)
    chain.tell(HedgeDue(), 0.3)
    assert chain.tell(Refused(2, 0.0, False, BUDGET)) == ()
    chain.tell(failed(1))
    assert (chain.begun.number, chain.begun.candidate) == (2, 1)
    assert not any(isinstance(e, ArmHedge) for e in chain.effects)


def test_no_hedge_is_armed_where_nothing_is_left_to_hedge_with() -> None:
    hedge = HedgeRule(True, 0.0, 0.3)
    assert not any(isinstance(e, ArmHedge) for e in Stepper(plan_of(candidate_of(0), hedge=hedge)).effects)
    last = plan_of(candidate_of(0), candidate_of(1), hedge=hedge, retry=RetryRule(max_attempts=1))
    assert not any(isinstance(e, ArmHedge) for e in Stepper(last).effects)


def test_the_choice_of_a_hedge_has_retries_of_its_own() -> None:
    chain = Stepper(plan_of(candidate_of(0), candidate_of(1), hedge=HedgeRule(True, 0.0, 0.3)))
    chain.tell(failed(1, K.RATE_LIMITED, 0.1), 0.1)
    chain.tell(WaitElapsed(), 0.3)
    chain.tell(HedgeDue(), 0.6)
    chain.tell(failed(2))
    chain.tell(failed(3, K.RATE_LIMITED, 0.1))
    assert isinstance(chain.effects[0], Wait)


# Refusals


def test_a_refused_attempt_does_not_count() -> None:
    chain = Stepper(TWO)
    chain.tell(Refused(1, T + 9.0, False, "SERVER_ERROR"), 0.0)
    assert (chain.begun.number, chain.begun.candidate, chain.begun.kind) == (1, 1, Kind.FIRST)


def test_a_refusal_that_is_over_when_it_is_read_is_no_reason_to_fail() -> None:
    chain = Stepper(ONE)
    chain.tell(Refused(1, T + 0.9, False, "SERVER_ERROR"), 1.0)
    assert chain.begun.forced


def test_a_choice_that_may_not_be_forced_makes_room_for_one_that_may() -> None:
    chain = Stepper(TWO, HealthView({"p0/m": T + 5.0, "p1/m": T + 6.0}))
    assert (chain.begun.candidate, chain.begun.forced) == (0, True)
    chain.tell(Refused(1, T + 5.0, True, "RATE_LIMITED"), 0.0)
    assert (chain.begun.candidate, chain.begun.forced) == (1, True)


def test_a_forced_attempt_that_is_refused_all_the_same_is_not_forced_again() -> None:
    chain = Stepper(ONE, HealthView({"p0/m": T + 5.0}))
    chain.tell(Refused(1, T + 5.0, False, "SERVER_ERROR"), 0.0)
    assert chain.finish.outcome is Outcome.FAILED


def test_without_budget_the_next_choice_is_asked_for_and_then_it_ends() -> None:
    chain = Stepper(HEDGED)
    chain.tell(failed(1))
    chain.tell(Refused(2, 0.0, False, BUDGET))
    assert (chain.begun.candidate, chain.begun.number) == (2, 2)
    chain.tell(Refused(2, 0.0, False, BUDGET))
    assert chain.finish == Finish(Outcome.FAILED, failure(), 1)


def test_a_retry_that_is_refused_goes_on_to_the_next_target() -> None:
    chain = Stepper(TWO)
    chain.tell(failed(1, K.RATE_LIMITED, 0.5))
    chain.tell(WaitElapsed(), 2.0)
    chain.tell(Refused(2, T + 60.0, True, "RATE_LIMITED"), 2.0)
    assert (chain.begun.candidate, chain.begun.kind) == (1, Kind.FAILOVER)


# Nothing is free


def test_the_last_target_is_tried_although_it_is_set_aside() -> None:
    chain = Stepper(TWO, HealthView({"p0/m": T + 50.0, "p1/m": T + 40.0}))
    assert (chain.begun.candidate, chain.begun.forced) == (1, True)
    chain.tell(failed(1, K.STREAM_ERROR))
    assert chain.finish.failure == failure(K.STREAM_ERROR), "the other one is not tried as well"


@pytest.mark.parametrize(("asked", "other"), [("p0/m#env:K0", "p0#env:K0"), ("p0#env:K0", "p0/m#env:K0")])
def test_what_a_provider_asked_for_is_kept_even_then(asked: str, other: str) -> None:
    view = HealthView({asked: T + 9.0, other: T + 50.0}, frozenset({asked}))
    chain = Stepper(plan_of(candidate_of(0, credentials=1)), view)
    assert chain.finish.failure is not None
    assert chain.finish.failure.kind is K.RATE_LIMITED
    assert chain.finish.failure.retry_after == pytest.approx(50.0)


def test_reject_refuses_at_once_with_the_soonest_return() -> None:
    view = HealthView({"p0/m": T + 50.0, "p1/m": T + 40.0}, frozenset({"p1/m"}))
    chain = Stepper(plan_of(candidate_of(0), candidate_of(1), on_exhausted=ExhaustedRule("reject")), view)
    shown = chain.finish.failure
    assert shown is not None
    assert shown.kind is K.RATE_LIMITED
    assert shown.retry_after == pytest.approx(40.0)


def test_a_failed_chain_tells_the_soonest_return_of_all_its_targets() -> None:
    view = HealthView({"p1/m": T + 9.0}, frozenset({"p1/m"}))
    chain = Stepper(TWO, view)
    chain.tell(failed(1, K.RATE_LIMITED, 60.0))
    shown = chain.finish.failure
    assert shown is not None
    assert shown.kind is K.RATE_LIMITED
    assert shown.retry_after == pytest.approx(8.0)


def test_queue_waits_for_the_soonest_and_a_little_longer() -> None:
    view = HealthView({"p0/m": T + 4.0, "p1/m": T + 2.0})
    chain = Stepper(plan_of(candidate_of(0), candidate_of(1), on_exhausted=queued(), seed=3), view)
    assert 2.0 < chain.wait <= 2.25
    assert chain.effects[0] == Wait(T + chain.wait, queue=7)
    chain.tell(WaitElapsed(), chain.wait)
    assert (chain.begun.candidate, chain.begun.kind, chain.begun.forced) == (1, Kind.FIRST, False)


def test_a_queued_request_whose_turn_was_taken_waits_again_but_not_for_ever() -> None:
    chain = Stepper(plan_of(candidate_of(0), on_exhausted=queued(1.0)), HealthView({"p0/m": T + 0.5}))
    at, turns = chain.wait, 0
    while not any(isinstance(e, Finish) for e in chain.effects):
        chain.tell(WaitElapsed(), at)
        if any(isinstance(e, StartAttempt) for e in chain.effects):
            chain.tell(Refused(1, T + at + 0.2, False, "SERVER_ERROR"), at)
            turns += 1
            at = chain.wait if any(isinstance(e, Wait) for e in chain.effects) else at
    assert turns >= 2
    assert at <= 1.0


def test_queue_does_not_wait_longer_than_policy_or_the_deadline_allow() -> None:
    view = HealthView({"p0/m": T + 4.0})
    assert Stepper(plan_of(candidate_of(0), on_exhausted=queued(3.0)), view).finish.outcome is Outcome.FAILED
    short = plan_of(candidate_of(0), on_exhausted=queued(), retry=RetryRule(deadline=4.0))
    assert Stepper(short, view).finish.outcome is Outcome.FAILED


def test_a_wait_in_the_queue_is_spread_only_as_far_as_policy_allows() -> None:
    view = HealthView({"p0/m": T + 4.0})
    for seed in range(50):
        plan = plan_of(candidate_of(0), on_exhausted=queued(4.05), seed=seed)
        assert 4.0 <= Stepper(plan, view).wait <= 4.05
        short = plan_of(candidate_of(0), on_exhausted=queued(), seed=seed, retry=RetryRule(deadline=4.05))
        assert 4.0 <= Stepper(short, view).wait < 4.05


def test_a_full_queue_ends_the_request() -> None:
    chain = Stepper(plan_of(candidate_of(0), on_exhausted=queued()), HealthView({"p0/m": T + 4.0}))
    chain.tell(Refused(0, T + 4.0, False, QUEUE_FULL), 0.0)
    assert chain.finish.failure is not None
    assert chain.finish.failure.retry_after == pytest.approx(4.0)


# Adaptive time to first content


def test_only_the_last_choice_is_waited_for_as_long_as_policy_allows() -> None:
    clocks = ClockRule(first_content=20.0, ttft=TtftRule())
    candidates = [Candidate(candidate_of(i).target, clocks) for i in range(2)]
    view = HealthView(speeds={f"p{i}/m": Speed((0.4,) * 25) for i in range(2)})
    chain = Stepper(plan_of(*candidates), view)
    assert chain.begun.first_content == pytest.approx(0.8)
    chain.tell(failed(1, K.FIRST_CONTENT_TIMEOUT))
    assert chain.begun.first_content == 20.0
