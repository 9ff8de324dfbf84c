"""The breaker against a simple model of it: who is let through, when it opens, what closes it.

The model keeps plain lists and flags and knows none of the cell's fields. Instants are drawn so that no
two things happen at once; a probe is told from other attempts by its instant.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.core.attempts.breaker import (
    CREDENTIAL_SECONDS,
    CUT,
    FRESH,
    MAX_PUSHBACK_SECONDS,
    MIN_SHARE,
    PROBE_LIMIT,
    PUSHBACK_SECONDS,
    SLOW,
    Cell,
    admitted,
    after_failure,
    after_success,
    is_open,
    is_spent,
    refusal,
    released,
    share_of,
)
from services.core.attempts.verdicts import Harm, disposition
from services.core.errors import Failure, FailureKind
from services.core.policy.rules import BreakerRule

RULES = [
    BreakerRule(),
    BreakerRule(consecutive_failures=2, open_for=1.0, max_open_for=5.0, min_requests=1_000, ramp=4.0),
    BreakerRule(consecutive_failures=1, open_for=30.0, max_open_for=7.0, min_requests=1_000),
]
BROKEN = [FailureKind.SERVER_ERROR, FailureKind.OVERLOADED, FailureKind.FIRST_CONTENT_TIMEOUT]
NOTHING = [FailureKind.INVALID_REQUEST, FailureKind.CREDENTIAL_MISSING, FailureKind.MODEL_MISSING]


class BreakerMachine(RuleBasedStateMachine):
    """One cell, many attempts in flight, and time that passes."""

    @initialize(which=st.sampled_from(RULES), since=st.sampled_from([1.0, 5_000.0]))
    def begin(self, which: BreakerRule, since: float) -> None:
        self.rule, self.now = which, since
        self.cell: Cell = FRESH
        self.flying: list[float] = []
        # The model.
        self.shut_until = self.opened_at = self.asked = self.rest = 0.0
        self.open = False
        self.openings = self.in_a_row = 0
        self.outcomes: list[tuple[float, bool]] = []
        self.probe: float | None = None

    def tick(self) -> None:
        self.now += 0.001

    @rule(seconds=st.sampled_from([0.05, 0.3, 1.0, 4.0, 11.0, 65.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    def may_probe(self) -> bool:
        return self.probe is None or self.now >= self.probe + PROBE_LIMIT

    @rule()
    def attempt(self) -> None:
        """A request asks to be let through, as every request does."""
        self.tick()
        shut = refusal(self.cell, self.now)
        waits = max(self.asked, self.rest, self.shut_until) > self.now
        assert (shut is None) == (not waits and not (self.open and not self.may_probe()))
        if shut is not None:
            assert shut.until > self.now
            assert shut.hard == (self.asked > self.now)
            assert not shut.hard or shut.until >= self.asked
            return
        self.fly()

    @rule()
    def force(self) -> None:
        """Nothing better is left: only what the provider asked for holds."""
        self.tick()
        shut = refusal(self.cell, self.now)
        if shut is None or not shut.hard:
            self.fly()

    def fly(self) -> None:
        if self.open and self.now >= self.shut_until and self.may_probe():
            self.probe = self.now
        self.cell = admitted(self.cell, self.now, self.now)
        self.flying.append(self.now)

    def land(self, which: int) -> float:
        self.tick()
        return self.flying.pop(which % len(self.flying))

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 9))
    def succeed(self, which: int) -> None:
        began = self.land(which)
        self.cell = after_success(self.cell, self.rule, began, self.now)
        if began < self.opened_at:
            return
        if self.open:
            self.open, self.shut_until, self.rest, self.openings, self.in_a_row = False, 0.0, 0.0, 0, 0
            self.outcomes, self.probe = [], None
            assert share_of(self.cell, self.rule, self.now) == MIN_SHARE
        else:
            self.in_a_row = 0
            self.outcomes.append((self.now, True))

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 9), kind=st.sampled_from(BROKEN), asked=st.sampled_from([None, None, 0.5, 30.0, 9e9]))
    def fail(self, which: int, kind: FailureKind, asked: float | None) -> None:
        began = self.land(which)
        was_open = is_open(self.cell)
        self.cell = after_failure(self.cell, Failure(kind, "x", retry_after=asked), self.rule, began, self.now)
        self.ask(asked)
        if began < self.opened_at:
            return
        self.outcomes.append((self.now, False))
        if self.open:
            if began == self.probe:
                self.opens()
            return
        assert not was_open
        self.in_a_row += 1
        if self.in_a_row >= self.rule.consecutive_failures or self.rate_trips():
            self.opens()

    def ask(self, asked: float | None) -> None:
        if asked is not None:
            self.asked = max(self.asked, self.now + min(asked, MAX_PUSHBACK_SECONDS))

    def rate_trips(self) -> bool:
        """By the share of failures, which only the cell's own window knows exactly; it must be near."""
        recent = [good for at, good in self.outcomes if at > self.now - 2 * self.rule.window]
        if is_open(self.cell):
            assert len(recent) >= self.rule.min_requests
            assert recent.count(False) >= 0.25 * self.rule.min_requests
        return is_open(self.cell)

    def opens(self) -> None:
        """Each time twice as long as the last, up to the rule's most."""
        expected = self.rule.open_for * 2**self.openings
        expected = max(self.rule.open_for, min(expected, self.rule.max_open_for))
        self.open, self.opened_at, self.probe = True, self.now, None
        self.shut_until, self.openings = self.now + expected, self.openings + 1
        assert abs(self.cell.open_until - self.shut_until) < 1e-6

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 9), asked=st.sampled_from([None, 0.5, 30.0]))
    def rate_limit(self, which: int, asked: float | None) -> None:
        began = self.land(which)
        failure = Failure(FailureKind.RATE_LIMITED, "x", retry_after=asked)
        assert disposition(failure).harm is Harm.PUSHBACK
        self.cell = after_failure(self.cell, failure, self.rule, began, self.now)
        self.ask(asked)
        if began >= self.opened_at:
            self.outcomes.append((self.now, False))
            self.rest = max(self.rest, self.now + PUSHBACK_SECONDS) if asked is None else self.rest
            self.probe = None if began == self.probe else self.probe

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 9), kind=st.sampled_from([None, *NOTHING]))
    def say_nothing(self, which: int, kind: FailureKind | None) -> None:
        """Cancelled, or a failure that is not the target's."""
        began = self.land(which)
        if kind is None:
            self.cell = released(self.cell, began)
        else:
            self.cell = after_failure(self.cell, Failure(kind, "x"), self.rule, began, self.now)
        self.probe = None if began == self.probe else self.probe

    @invariant()
    def the_cell_and_the_model_agree(self) -> None:
        if not hasattr(self, "cell"):
            return
        assert is_open(self.cell) == self.open
        assert MIN_SHARE <= share_of(self.cell, self.rule, self.now) <= 1.0
        if is_spent(self.cell, self.rule, self.now):
            assert not self.open
            assert not self.in_a_row

    @invariant()
    def it_is_not_shut_for_ever(self) -> None:
        if not hasattr(self, "cell"):
            return
        longest = MAX_PUSHBACK_SECONDS + PROBE_LIMIT + max(self.rule.open_for, self.rule.max_open_for)
        assert refusal(self.cell, self.now + longest) is None
        assert share_of(self.cell, self.rule, self.now + SLOW * self.rule.ramp) == 1.0


BreakerMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestBreaker = BreakerMachine.TestCase

FAILURE = Failure(FailureKind.SERVER_ERROR, "x")
RULE = BreakerRule(consecutive_failures=1, open_for=10.0, max_open_for=40.0)


def opened(at: float = 100.0) -> Cell:
    return after_failure(FRESH, FAILURE, RULE, at - 1.0, at)


def test_a_late_success_of_before_the_opening_closes_nothing() -> None:
    cell = opened()
    assert after_success(cell, RULE, 99.5, 105.0) is cell
    assert after_success(cell, RULE, 99.5, 115.0) is cell, "not even while it is half-open"


def test_late_failures_of_before_the_opening_neither_reopen_it_nor_spoil_the_recovery() -> None:
    probing = admitted(opened(), 111.0, 111.0)
    assert after_failure(probing, FAILURE, RULE, 99.5, 112.0) == probing
    closed = after_success(probing, RULE, 111.0, 113.0)
    assert not is_open(closed)
    assert after_failure(closed, FAILURE, RULE, 99.5, 114.0) == closed


def test_an_attempt_that_was_forced_takes_no_probes_place() -> None:
    forced = admitted(opened(), 103.0, 103.0)
    assert refusal(forced, 110.001) is None
    probing = admitted(forced, 111.0, 111.0)
    assert refusal(admitted(probing, 112.0, 112.0), 112.5) is not None
    assert refusal(released(probing, 112.0), 112.5) is not None, "another's end frees nothing"
    assert refusal(released(probing, 111.0), 112.5) is None


def test_a_forced_attempt_that_answers_closes_it() -> None:
    assert not is_open(after_success(opened(), RULE, 103.0, 104.0))
    assert after_failure(opened(), FAILURE, RULE, 103.0, 104.0).open_until == opened().open_until


def test_a_probe_that_meets_a_rate_limit_is_followed_by_a_rest_and_not_by_a_longer_opening() -> None:
    probing = admitted(opened(), 111.0, 111.0)
    cell = after_failure(probing, Failure(FailureKind.RATE_LIMITED, "x"), RULE, 111.0, 111.5)
    shut = refusal(cell, 111.6)
    assert shut is not None
    assert shut.until == 112.5
    assert refusal(cell, 112.6) is None
    assert cell.openings == 1


def test_a_rejected_credential_is_set_aside_for_a_minute_and_then_probed() -> None:
    cell = after_failure(FRESH, Failure(FailureKind.CREDENTIALS_REJECTED, "x"), RULE, 99.0, 100.0)
    shut = refusal(cell, 101.0)
    assert shut is not None
    assert (shut.until, shut.hard) == (100.0 + CREDENTIAL_SECONDS, False)
    probing = admitted(cell, 161.0, 161.0)
    assert refusal(probing, 161.5) is not None
    assert not is_open(after_success(probing, RULE, 161.0, 162.0))


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.1, 0.4, 1.5]), st.sampled_from([True, True, False])), min_size=30, max_size=60
    )
)
def test_the_share_is_cut_at_most_once_a_second_and_by_a_fifth(steps: list[tuple[float, bool]]) -> None:
    rule = BreakerRule(consecutive_failures=1_000, min_requests=1_000)
    cell, now, cut_at, cuts = FRESH, 100.0, 0.0, 0
    for seconds, fails in steps:
        now += seconds
        before = share_of(cell, rule, now)
        failure = Failure(FailureKind.OVERLOADED, "x")
        cell = after_failure(cell, failure, rule, now, now) if fails else after_success(cell, rule, now, now)
        after = share_of(cell, rule, now)
        if after != before:
            assert after == max(MIN_SHARE, before * CUT)
            assert fails
            assert now - cut_at >= 1.0
            cut_at, cuts = now, cuts + 1
    assert cuts or sum(fails for _, fails in steps) < 10 or now < 101.0
