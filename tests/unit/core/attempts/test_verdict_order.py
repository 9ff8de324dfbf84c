"""The table of failures, and what one failure says about the other ways to try."""

from __future__ import annotations

import pytest

from services.core.attempts.choices import choices_of
from services.core.attempts.narrow import unhelpful
from services.core.attempts.verdicts import TABLE, Harm, Verdict, caller_status, disposition, most_telling
from services.core.errors import Failure, FailureKind
from services.core.routing.health import HEALTHY
from tests.property.chains import candidate_of, plan_of
from tests.unit.core.attempts.stepping import K, failure

TARGET = [kind for kind in FailureKind if TABLE[kind].harm is Harm.TARGET]
NOTHING = [kind for kind in FailureKind if TABLE[kind].harm is Harm.NOTHING]


def helpful(kind: FailureKind, *, addresses: int, credentials: int) -> set[tuple[int, int, int]]:
    """The ways that may still help after the first one failed, relative to it: candidate, address, credential."""
    plan = plan_of(candidate_of(0, addresses=addresses, credentials=credentials), candidate_of(1))
    choices = choices_of(plan, 0.0, HEALTHY)
    tried = next(i for i, c in enumerate(choices) if (c.candidate, c.address, c.credential) == (0, 0, 0))
    left = set(range(len(choices))) - unhelpful(choices, tried, failure(kind))
    assert tried not in left
    return {(choices[i].candidate, choices[i].address, choices[i].credential) for i in left}


@pytest.mark.parametrize("kind", TARGET)
def test_when_a_target_fails_another_address_may_help_and_another_credential_does_not(kind: FailureKind) -> None:
    assert helpful(kind, addresses=2, credentials=2) == {(0, 1, 0), (0, 1, 1), (1, 0, 0)}
    assert helpful(kind, addresses=1, credentials=2) == {(1, 0, 0)}


@pytest.mark.parametrize("kind", [K.CREDENTIALS_REJECTED, K.QUOTA_EXHAUSTED, K.CREDENTIAL_MISSING])
def test_when_a_credential_fails_only_another_one_may_help(kind: FailureKind) -> None:
    assert helpful(kind, addresses=2, credentials=2) == {(0, 0, 1), (0, 1, 1), (1, 0, 0)}


def test_after_a_rate_limit_either_may_help() -> None:
    assert helpful(K.RATE_LIMITED, addresses=2, credentials=2) == {(0, 0, 1), (0, 1, 0), (0, 1, 1), (1, 0, 0)}


@pytest.mark.parametrize("kind", [kind for kind in NOTHING if kind is not K.CREDENTIAL_MISSING])
def test_what_is_not_the_targets_fault_is_no_better_anywhere_at_that_model(kind: FailureKind) -> None:
    assert helpful(kind, addresses=2, credentials=2) == {(1, 0, 0)}


@pytest.mark.parametrize(
    ("own", "other", "helps"), [(8, 4, False), (8, 8, False), (8, 9, True), (0, 4, True), (8, 0, True)]
)
def test_a_request_that_is_too_long_needs_a_window_that_is_larger_or_unknown(own: int, other: int, helps: bool) -> None:
    choices = choices_of(plan_of(candidate_of(0, window=own), candidate_of(1, window=other)), 0.0, HEALTHY)
    assert (1 not in unhelpful(choices, 0, failure(K.CONTEXT_TOO_LONG))) is helps


def test_the_table_is_total_and_never_blames_the_caller_for_our_key() -> None:
    assert set(TABLE) == set(FailureKind)
    for kind in (K.CREDENTIALS_REJECTED, K.QUOTA_EXHAUSTED):
        assert caller_status(Failure(kind, "x", status=401)) == 502
    assert all(400 <= row.status < 600 and row.status not in {401, 402, 403} for row in TABLE.values())


def test_what_stops_a_chain_says_nothing_of_the_targets_health() -> None:
    assert all(row.harm is Harm.NOTHING for row in TABLE.values() if row.verdict is Verdict.STOP)
    assert all(disposition(failure(k)).verdict is Verdict.NEXT for k in FailureKind if k.value.endswith("_TIMEOUT"))


def test_the_most_telling_failure_is_what_the_caller_can_mend_then_the_last_that_is_not_ours() -> None:
    def shown(*kinds: FailureKind) -> FailureKind:
        return most_telling(tuple(failure(kind) for kind in kinds)).kind

    assert shown(K.SERVER_ERROR, K.INVALID_REQUEST, K.DISCONNECTED) is K.INVALID_REQUEST
    assert shown(K.SERVER_ERROR, K.DISCONNECTED, K.CREDENTIAL_MISSING) is K.DISCONNECTED
    assert shown(K.RATE_LIMITED, K.SERVER_ERROR, K.RATE_LIMITED) is K.SERVER_ERROR
    assert shown(K.CREDENTIAL_MISSING, K.MODEL_MISSING) is K.MODEL_MISSING


def test_of_rate_limits_the_soonest_is_shown() -> None:
    limits = tuple(failure(K.RATE_LIMITED, after) for after in (9.0, None, 4.0))
    assert most_telling(limits).retry_after == 4.0
    assert most_telling(limits[1:2]).retry_after is None
