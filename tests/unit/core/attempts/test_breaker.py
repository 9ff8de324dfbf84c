"""Breakers: the numbers of each rule, at their bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.core.attempts.breaker import (
    CREDENTIAL_SECONDS,
    CUT,
    CUT_INTERVAL,
    DEGRADED_RATE,
    FRESH,
    MAX_PUSHBACK_SECONDS,
    MIN_SHARE,
    OVERLOAD_SAMPLES,
    PROBE_LIMIT,
    PROBE_SECONDS,
    PUSHBACK_SECONDS,
    SLOW,
    Cell,
    admitted,
    after_failure,
    after_success,
    is_degraded,
    is_open,
    refusal,
    share_of,
)
from services.core.attempts.verdicts import TABLE, Harm, is_overload
from services.core.attempts.window import counted
from services.core.errors import Failure, FailureKind
from services.core.policy.rules import BreakerRule
from services.core.routing.health import credential_name, target_name

NOW = 1_000.0
RULE = BreakerRule(consecutive_failures=5, open_for=10.0, max_open_for=45.0, min_requests=20, error_rate=0.5)
PATIENT = replace(RULE, consecutive_failures=1_000)
"""Opens by the share of failures alone."""
BROKEN, LIMITED, REJECTED = FailureKind.SERVER_ERROR, FailureKind.RATE_LIMITED, FailureKind.CREDENTIALS_REJECTED


def failed(
    kind: FailureKind, asked: float | None = None, *, cell: Cell = FRESH, at: float = NOW, rule: BreakerRule = RULE
) -> Cell:
    """`cell` after an attempt that began and failed at `at`."""
    return after_failure(cell, Failure(kind, "x", retry_after=asked), rule, at, at)


def shut_for(cell: Cell, at: float = NOW) -> float:
    found = refusal(cell, at)
    return 0.0 if found is None else found.until - at


def seen(good: int, bad: int) -> Cell:
    return Cell(outcomes=counted(FRESH.outcomes, NOW, RULE.window, good=good, bad=bad))


@pytest.mark.parametrize("kind", [k for k in FailureKind if TABLE[k].harm is Harm.TARGET])
def test_whatever_is_the_targets_fault_opens_its_breaker_at_the_fifth_in_a_row_and_not_before(
    kind: FailureKind,
) -> None:
    cell = FRESH
    for number in range(1, 5):
        cell = failed(kind, cell=cell)
        assert (cell.consecutive, is_open(cell)) == (number, False)
    assert shut_for(failed(kind, cell=cell)) == 10.0


@pytest.mark.parametrize("kind", [k for k in FailureKind if TABLE[k].harm is Harm.NOTHING])
def test_what_is_nobodys_fault_is_in_nobodys_account(kind: FailureKind) -> None:
    cell = Cell(consecutive=4)
    assert failed(kind, 60.0, cell=cell) is cell


@pytest.mark.parametrize(("good", "bad", "opens"), [(10, 9, True), (9, 9, False), (11, 9, False), (12, 11, True)])
def test_half_of_twenty_answers_open_it_too(good: int, bad: int, opens: bool) -> None:
    assert is_open(failed(BROKEN, cell=seen(good, bad), rule=PATIENT)) is opens


def test_failures_that_are_longer_ago_than_two_windows_count_no_more() -> None:
    later = NOW + 2 * RULE.window
    assert not is_open(failed(BROKEN, cell=seen(0, 19), at=later, rule=PATIENT))


@pytest.mark.parametrize(("asked", "seconds"), [(None, 0.0), (0.0, 0.0), (4.0, 4.0), (1e9, MAX_PUSHBACK_SECONDS)])
def test_a_failing_target_is_set_aside_for_as_long_as_it_asks(asked: float | None, seconds: float) -> None:
    assert shut_for(failed(BROKEN, asked)) == seconds


@pytest.mark.parametrize(
    ("asked", "seconds"), [(None, PUSHBACK_SECONDS), (0.0, 0.0), (4.0, 4.0), (1e9, MAX_PUSHBACK_SECONDS)]
)
def test_a_rate_limit_sets_aside_and_is_no_failure(asked: float | None, seconds: float) -> None:
    cell = failed(LIMITED, asked)
    assert shut_for(cell) == seconds
    assert cell.consecutive == 0


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [(None, CREDENTIAL_SECONDS), (1.0, CREDENTIAL_SECONDS), (300.0, 300.0), (1e9, MAX_PUSHBACK_SECONDS)],
)
def test_a_rejected_credential_is_set_aside_for_a_minute_at_least(asked: float | None, seconds: float) -> None:
    assert shut_for(failed(REJECTED, asked)) == seconds


@pytest.mark.parametrize("kind", [BROKEN, LIMITED, REJECTED])
@pytest.mark.parametrize("field", ["open_until", "asked_until", "rest_until"])
def test_no_failure_shortens_what_is_set_aside(kind: FailureKind, field: str) -> None:
    long = replace(FRESH, **{field: NOW + 9_000.0})  # type: ignore[arg-type]
    for asked in (None, 1.0):
        cell = failed(kind, asked, cell=long)
        assert refusal(cell, NOW + 8_999.9) is not None


def test_only_what_a_provider_asked_for_is_hard() -> None:
    opened = replace(FRESH, open_until=NOW + 50.0)
    for cell, hard in ((failed(LIMITED), False), (opened, False), (failed(LIMITED, 2.0, cell=opened), True)):
        found = refusal(cell, NOW)
        assert found is not None
        assert found.hard is hard
    # The breaker is open for longer than the provider asked.
    assert shut_for(failed(LIMITED, 2.0, cell=opened)) == 50.0


@pytest.mark.parametrize(
    ("longest", "seconds"), [(45.0, [10, 20, 40, 45, 45]), (10.0, [10, 10, 10]), (5.0, [10, 10, 10])]
)
def test_each_probe_that_fails_doubles_the_time_up_to_the_longest(longest: float, seconds: list[int]) -> None:
    rule, cell, now = replace(RULE, consecutive_failures=1, max_open_for=longest), FRESH, NOW
    for expected in seconds:
        cell = failed(BROKEN, cell=admitted(cell, now, now), at=now, rule=rule)
        assert shut_for(cell, now) == expected
        now = cell.open_until


def test_many_openings_do_not_overflow() -> None:
    cell = admitted(Cell(open_until=NOW, openings=100_000), NOW, NOW)
    assert shut_for(failed(BROKEN, cell=cell)) == RULE.max_open_for


def test_while_a_probe_runs_the_others_are_told_to_ask_again_soon() -> None:
    cell = admitted(Cell(open_until=NOW), NOW, NOW)
    assert shut_for(cell) == pytest.approx(PROBE_SECONDS)
    assert shut_for(cell, NOW + PROBE_LIMIT - 0.05) == pytest.approx(0.05)
    assert refusal(cell, NOW + PROBE_LIMIT) is None


@pytest.mark.parametrize(("slow", "grows_in"), [(False, RULE.ramp), (True, RULE.ramp * SLOW)])
def test_a_share_grows_to_all_of_the_traffic_in_its_time(slow: bool, grows_in: float) -> None:
    cell = Cell(share=MIN_SHARE, share_at=NOW, slow=slow)
    assert share_of(cell, RULE, NOW) == MIN_SHARE
    assert share_of(cell, RULE, NOW + grows_in / 2) == pytest.approx(MIN_SHARE + 0.5)
    assert share_of(cell, RULE, NOW + grows_in) == 1.0


def test_a_target_that_comes_back_begins_with_the_least_share_and_a_clean_account() -> None:
    cell = after_success(Cell(consecutive=7, open_until=NOW, openings=3, rest_until=NOW + 1.0), RULE, NOW, NOW)
    assert (cell.consecutive, cell.openings, shut_for(cell)) == (0, 0, 0.0)
    assert share_of(cell, RULE, NOW) == MIN_SHARE


@pytest.mark.parametrize("kind", [k for k in FailureKind if TABLE[k].harm is not Harm.NOTHING])
def test_only_overload_cuts_the_share(kind: FailureKind) -> None:
    cell = failed(kind, cell=seen(OVERLOAD_SAMPLES, 2), rule=PATIENT)
    assert cell.share == (CUT if is_overload(Failure(kind, "x")) else 1.0)


@pytest.mark.parametrize(("good", "bad", "share"), [(9, 0, CUT), (8, 0, 1.0), (10, 0, 1.0), (18, 1, CUT), (19, 1, 1.0)])
def test_a_tenth_of_ten_answers_cuts_the_share(good: int, bad: int, share: float) -> None:
    assert failed(FailureKind.OVERLOADED, cell=seen(good, bad), rule=PATIENT).share == share


@pytest.mark.parametrize(("good", "bad", "cuts"), [(0, 0, False), (0, 1, True), (18, 1, True), (19, 1, False)])
def test_the_second_overload_ends_the_growth_after_a_recovery(good: int, bad: int, cuts: bool) -> None:
    growing = replace(seen(good, bad), share=MIN_SHARE, share_at=NOW - RULE.ramp / 2)
    cell = failed(FailureKind.OVERLOADED, cell=growing, rule=PATIENT)
    assert cell.slow is cuts
    assert share_of(cell, RULE, NOW) == pytest.approx(0.6 * CUT if cuts else 0.6)
    if cuts:
        again = failed(FailureKind.OVERLOADED, cell=cell, at=NOW + CUT_INTERVAL / 2, rule=PATIENT)
        assert again.share == cell.share, "from then on as ever: at most once a second, and not by a few answers"


def test_other_failures_do_not_end_the_growth() -> None:
    growing = replace(seen(2, 2), share=MIN_SHARE, share_at=NOW - RULE.ramp / 2)
    assert failed(BROKEN, cell=growing, rule=PATIENT).share == MIN_SHARE


def test_no_share_is_cut_below_the_least() -> None:
    cell = replace(seen(0, 10), share=MIN_SHARE, share_at=NOW - 2.0, slow=True)
    assert failed(FailureKind.OVERLOADED, cell=cell, rule=PATIENT).share >= MIN_SHARE


@pytest.mark.parametrize(("good", "bad", "degraded"), [(0, 1, False), (18, 2, True), (19, 2, False), (0, 2, True)])
def test_a_target_is_degraded_by_two_failures_that_are_a_tenth_of_its_answers(
    good: int, bad: int, degraded: bool
) -> None:
    assert DEGRADED_RATE == 0.1
    assert is_degraded(seen(good, bad), RULE, NOW) is degraded
    assert is_degraded(replace(seen(good, bad), open_until=NOW - 1.0), RULE, NOW), "half-open"


def test_cells_are_named_by_model_address_and_credential() -> None:
    assert target_name("p/m", "", "") == "p/m"
    assert target_name("p/m", "eu", "") == "p/m@eu"
    assert target_name("p/m", "", "env:K") == "p/m#env:K"
    assert target_name("p/m", "eu", "file:/k") == "p/m@eu#file:/k"
    assert credential_name("p", "env:K") == "p#env:K"
