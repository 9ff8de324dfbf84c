"""The attempt chain under random plans and random failures: bounds always hold, and it can be replayed."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.attempts.chain import Chain, IllegalEvent, Phase, start, step
from services.core.attempts.effects import CancelAttempt, Commit, Effect, Finish, Outcome, StartAttempt, Wait
from services.core.attempts.events import AttemptFailed, Begin, CallerCancelled, Completed, FirstContent, WaitElapsed
from services.core.attempts.verdicts import TABLE, caller_status
from services.core.errors import Failure, FailureKind
from services.core.policy.rules import ClockRule, RetryRule
from services.core.policy.snapshot import CompiledProvider, Target
from services.core.routing.health import HealthView
from services.core.routing.plan import Candidate, Plan

KINDS = list(FailureKind)


def plan_of(windows: list[int], credentials: list[int], retry: RetryRule, seed: int) -> Plan:
    candidates = []
    for index, (window, count) in enumerate(zip(windows, credentials, strict=True)):
        references = tuple(f"env:K{n}" for n in range(count))
        provider = CompiledProvider(f"p{index}", "openai", "http://x", references)
        target = Target(f"p{index}/m", provider, "m", context_length=window)
        candidates.append(Candidate(target, ClockRule(total=5.0)))
    return Plan(tuple(candidates), retry, "v", 1, seed)


plans = st.integers(1, 4).flatmap(
    lambda n: st.builds(
        plan_of,
        st.lists(st.sampled_from([0, 1_000, 9_000]), min_size=n, max_size=n),
        st.lists(st.integers(0, 3), min_size=n, max_size=n),
        st.builds(
            RetryRule,
            st.integers(0, 3),
            st.integers(1, 8),
            st.sampled_from([0.0, 0.5, 3.0]),
            st.sampled_from([0.5, 5.0, 60.0]),
        ),
        st.integers(0, 2**64 - 1),
    )
)
failures = st.builds(
    Failure,
    st.sampled_from(KINDS),
    st.just("x"),
    retry_after=st.sampled_from([None, 0.0, 0.4, 2.0, 100.0]),
)
benched = st.dictionaries(
    st.sampled_from(["p0/m", "p1/m", "p0#env:K0", "p1#env:K1"]), st.sampled_from([0.0, 50.0, 2_000.0]), max_size=4
)


@dataclass
class Run:
    """One chain driven to its end."""

    chain: Chain
    now: float
    started: list[StartAttempt] = field(default_factory=list)
    finished: list[Finish] = field(default_factory=list)
    committed: int = 0
    waiting: Wait | None = None
    log: list[Effect] = field(default_factory=list)

    def apply(self, effects: tuple[Effect, ...]) -> None:
        self.waiting = None
        for effect in effects:
            self.log.append(effect)
            if isinstance(effect, StartAttempt):
                assert not self.finished
                self.started.append(effect)
            elif isinstance(effect, Finish):
                self.finished.append(effect)
            elif isinstance(effect, Commit):
                self.committed += 1
            elif isinstance(effect, Wait):
                self.waiting = effect
            else:
                assert isinstance(effect, CancelAttempt)


def drive(plan: Plan, script: list[tuple[Failure, float, bool]], health: dict[str, float]) -> Run:
    run = Run(start(plan, 100.0, HealthView(health)), 100.0)
    run.chain, effects = step(run.chain, Begin(), run.now)
    run.apply(effects)
    turns = iter(script)
    while not run.finished:
        if run.waiting is not None:
            run.now = max(run.now, run.waiting.until)
            run.chain, effects = step(run.chain, WaitElapsed(), run.now)
        else:
            failure, seconds, content = next(turns, (None, 0.1, True))
            number = run.started[-1].number
            run.now += min(seconds, run.started[-1].total)
            if failure is None:
                run.chain, effects = step(run.chain, Completed(number), run.now)
            else:
                if content:
                    run.chain, shown = step(run.chain, FirstContent(number), run.now)
                    run.apply(shown)
                run.chain, effects = step(run.chain, AttemptFailed(number, failure), run.now)
        run.apply(effects)
    return run


scripts = st.lists(st.tuples(failures, st.floats(0.0, 10.0), st.sampled_from([False] * 9 + [True])), max_size=12)


@settings(max_examples=400, deadline=None)
@given(plans, scripts, benched)
def test_bounds_hold_whatever_happens(
    plan: Plan, script: list[tuple[Failure, float, bool]], health: dict[str, float]
) -> None:
    run = drive(plan, script, health)
    retry = plan.retry
    assert 1 <= len(run.started) <= retry.max_attempts
    assert [s.number for s in run.started] == list(range(1, len(run.started) + 1))
    assert all(0 <= s.candidate < len(plan.candidates) for s in run.started)
    assert len(run.finished) == 1
    assert run.now <= 100.0 + retry.deadline + 1e-6
    assert all(s.total > 0 for s in run.started)
    assert run.committed <= 1
    if run.committed:
        assert run.finished[0].outcome in {Outcome.OK, Outcome.BROKEN}
        assert isinstance(run.log[run.log.index(Commit(run.started[-1].number)) + 1], Finish)
    if run.finished[0].outcome is Outcome.FAILED:
        assert run.finished[0].failure is not None
    assert run.chain.phase is Phase.DONE
    assert step(run.chain, Begin(), run.now) == (run.chain, ())


@settings(max_examples=100, deadline=None)
@given(plans, scripts, benched)
def test_a_chain_replays_to_the_same_effects(
    plan: Plan, script: list[tuple[Failure, float, bool]], health: dict[str, float]
) -> None:
    assert drive(plan, script, health).log == drive(plan, script, health).log


@settings(max_examples=100, deadline=None)
@given(plans)
def test_a_caller_that_goes_ends_the_chain_at_once(plan: Plan) -> None:
    chain, _ = step(start(plan, 0.0, HealthView()), Begin(), 0.0)
    chain, effects = step(chain, CallerCancelled(), 0.1)
    assert effects == (CancelAttempt(1), Finish(Outcome.CANCELLED, attempt=1))


def test_events_of_an_attempt_that_is_over_are_ignored() -> None:
    plan = plan_of([0, 0], [0, 0], RetryRule(), 1)
    chain, _ = step(start(plan, 0.0, HealthView()), Begin(), 0.0)
    chain, _ = step(chain, AttemptFailed(1, Failure(FailureKind.SERVER_ERROR, "x")), 0.1)
    assert step(chain, Completed(1), 0.2) == (chain, ())


def test_an_event_that_cannot_happen_raises() -> None:
    chain = start(plan_of([0], [0], RetryRule(), 1), 0.0, HealthView())
    with pytest.raises(IllegalEvent):
        step(chain, WaitElapsed(), 0.0)


def test_the_table_is_total_and_never_blames_the_caller_for_our_key() -> None:
    assert set(TABLE) == set(FailureKind)
    for kind in (FailureKind.CREDENTIALS_REJECTED, FailureKind.QUOTA_EXHAUSTED):
        assert caller_status(Failure(kind, "x", status=401)) == 502


def test_a_benched_target_goes_last_and_is_never_left_out() -> None:
    plan = plan_of([0, 0], [0, 0], RetryRule(), 1)
    chain = start(plan, 0.0, HealthView({"p0/m": 10.0}))
    assert [c.candidate for c in chain.choices] == [1, 0]


def test_a_context_overflow_goes_only_to_a_larger_window() -> None:
    plan = plan_of([8_000, 4_000, 16_000], [0, 0, 0], RetryRule(), 1)
    chain, _ = step(start(plan, 0.0, HealthView()), Begin(), 0.0)
    chain, effects = step(chain, AttemptFailed(1, Failure(FailureKind.CONTEXT_TOO_LONG, "x")), 0.1)
    assert isinstance(effects[0], StartAttempt)
    assert effects[0].candidate == 2
