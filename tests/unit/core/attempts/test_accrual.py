"""Failure accrual: the numbers of each rule, at their bounds."""

from __future__ import annotations

import pytest
from services.core.attempts.accrual import (
    CONSECUTIVE_FAILURES,
    CREDENTIAL_SECONDS,
    HEALTHY_STATE,
    MAX_PUSHBACK_SECONDS,
    OPEN_SECONDS,
    PUSHBACK_SECONDS,
    Accrual,
    after_failure,
    after_success,
    credential_name,
    harmed,
)

from services.core.attempts.verdicts import TABLE, Harm
from services.core.errors import Failure, FailureKind

NOW = 1_000.0
TARGET, PUSHBACK = FailureKind.SERVER_ERROR, FailureKind.RATE_LIMITED
CREDENTIAL, NOTHING = FailureKind.CREDENTIALS_REJECTED, FailureKind.INVALID_REQUEST


def failed(kind: FailureKind, retry_after: float | None = None, *, state: Accrual = HEALTHY_STATE) -> Accrual:
    return after_failure(state, Failure(kind, "x", retry_after=retry_after), NOW)


def test_a_target_is_benched_by_its_fifth_failure_in_a_row_and_not_before() -> None:
    state = HEALTHY_STATE
    for number in range(1, CONSECUTIVE_FAILURES):
        state = failed(TARGET, state=state)
        assert state == Accrual(number, 0.0)
    assert failed(TARGET, state=state) == Accrual(CONSECUTIVE_FAILURES, NOW + OPEN_SECONDS)


def test_each_further_failure_benches_anew() -> None:
    state = after_failure(Accrual(CONSECUTIVE_FAILURES, NOW - 1.0), Failure(TARGET, "x"), NOW)
    assert state == Accrual(CONSECUTIVE_FAILURES + 1, NOW + OPEN_SECONDS)


def test_success_clears_everything() -> None:
    assert after_success(Accrual(9, NOW + 500.0)) == HEALTHY_STATE
    assert after_success(HEALTHY_STATE) is HEALTHY_STATE


@pytest.mark.parametrize(("asked", "seconds"), [(None, 0.0), (0.0, 0.0), (4.0, 4.0), (1e9, MAX_PUSHBACK_SECONDS)])
def test_a_failing_target_is_benched_for_as_long_as_it_asks(asked: float | None, seconds: float) -> None:
    assert failed(TARGET, asked) == Accrual(1, NOW + seconds if asked is not None else 0.0)


@pytest.mark.parametrize(
    ("asked", "seconds"), [(None, PUSHBACK_SECONDS), (0.0, 0.0), (4.0, 4.0), (1e9, MAX_PUSHBACK_SECONDS)]
)
def test_a_rate_limit_benches_and_is_no_failure(asked: float | None, seconds: float) -> None:
    assert failed(PUSHBACK, asked) == Accrual(0, NOW + seconds)


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [(None, CREDENTIAL_SECONDS), (1.0, CREDENTIAL_SECONDS), (300.0, 300.0), (1e9, MAX_PUSHBACK_SECONDS)],
)
def test_a_rejected_credential_is_benched_for_a_minute_at_least(asked: float | None, seconds: float) -> None:
    assert failed(CREDENTIAL, asked) == Accrual(1, NOW + seconds)


@pytest.mark.parametrize("kind", [TARGET, PUSHBACK, CREDENTIAL])
def test_no_failure_shortens_a_bench(kind: FailureKind) -> None:
    long = Accrual(0, NOW + 10 * MAX_PUSHBACK_SECONDS)
    assert failed(kind, 1.0, state=long).benched_until == long.benched_until


@pytest.mark.parametrize("kind", [k for k in FailureKind if TABLE[k].harm is Harm.NOTHING])
def test_what_is_nobodys_fault_is_in_nobodys_account(kind: FailureKind) -> None:
    state = Accrual(2, NOW + 3.0)
    assert failed(kind, 60.0, state=state) is state
    assert harmed(Failure(kind, "x"), "p/m", "p", "env:K") == ""


def test_a_rejected_credential_is_benched_by_its_own_name_and_the_target_when_it_has_none() -> None:
    failure = Failure(CREDENTIAL, "x")
    assert harmed(failure, "p/m", "p", "env:K") == credential_name("p", "env:K") == "p#env:K"
    assert harmed(failure, "p/m", "p", "") == "p/m"


@pytest.mark.parametrize("kind", [k for k in FailureKind if TABLE[k].harm is Harm.TARGET])
def test_a_failing_target_is_benched_and_its_credential_is_not(kind: FailureKind) -> None:
    assert harmed(Failure(kind, "x"), "p/m", "p", "env:K") == "p/m"
