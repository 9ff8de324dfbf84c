"""The disposition table: total, and true to the rules at its head."""

from __future__ import annotations

import itertools

import pytest

from services.core.attempts.verdicts import (
    TABLE,
    Harm,
    Verdict,
    caller_status,
    disposition,
    is_overload,
    most_telling,
    other_credential_may_help,
)
from services.core.errors import Failure, FailureKind

KINDS = list(FailureKind)


def failure(kind: FailureKind, **more: object) -> Failure:
    return Failure(kind, "x", **more)  # type: ignore[arg-type]


def test_every_kind_has_a_row_and_nothing_else_has() -> None:
    assert set(TABLE) == set(FailureKind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_says_what_it_means_in_one_sentence(kind: FailureKind) -> None:
    meaning = TABLE[kind].meaning
    assert meaning.endswith(".")
    assert meaning.count(". ") == 0
    assert disposition(failure(kind)) is TABLE[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_callers_never_see_a_status_that_is_about_our_key(kind: FailureKind) -> None:
    for status in (0, 200, 302, 401, 402, 403, 429, 500, 529):
        assert caller_status(failure(kind, status=status)) in {400, 404, 413, 429, 502, 503, 504}


@pytest.mark.parametrize("status", [400, 404, 405, 409, 413, 415, 422])
def test_an_invalid_request_keeps_the_providers_own_4xx(status: int) -> None:
    assert caller_status(failure(FailureKind.INVALID_REQUEST, status=status)) == status


@pytest.mark.parametrize("status", [0, 401, 402, 403, 408, 418, 429, 451, 500])
def test_an_invalid_request_with_any_other_status_is_400(status: int) -> None:
    assert caller_status(failure(FailureKind.INVALID_REQUEST, status=status)) == 400


@pytest.mark.parametrize("kind", [k for k in KINDS if k is not FailureKind.INVALID_REQUEST])
def test_every_other_kind_has_one_status_whatever_the_provider_sent(kind: FailureKind) -> None:
    assert {caller_status(failure(kind, status=status)) for status in (0, 404, 422, 500)} == {TABLE[kind].status}


def test_each_kind_is_shown_with_the_status_that_tells_callers_what_to_do() -> None:
    shown: dict[int, set[FailureKind]] = {}
    for kind in KINDS:
        shown.setdefault(TABLE[kind].status, set()).add(kind)
    assert shown.pop(400) == {
        FailureKind.INVALID_REQUEST,
        FailureKind.CONTEXT_TOO_LONG,
        FailureKind.CONTENT_REFUSED,
        FailureKind.UNSUPPORTED,
        FailureKind.VOICE_MISSING,
    }
    assert shown.pop(404) == {FailureKind.MODEL_MISSING}
    assert shown.pop(413) == {FailureKind.REQUEST_TOO_LARGE}
    assert shown.pop(429) == {FailureKind.RATE_LIMITED}
    assert shown.pop(503) == {FailureKind.CONNECT_FAILED, FailureKind.OVERLOADED, FailureKind.CREDENTIAL_MISSING}
    assert shown.pop(504) == {kind for kind in KINDS if kind.endswith("_TIMEOUT")} | {FailureKind.THROUGHPUT_TOO_LOW}
    assert set(shown) == {502}, "the provider or our account with it is at fault"


def test_what_the_caller_must_mend_stops_and_hurts_nobody() -> None:
    stopping = {kind for kind in KINDS if TABLE[kind].verdict is Verdict.STOP}
    assert stopping == {FailureKind.INVALID_REQUEST, FailureKind.REQUEST_TOO_LARGE, FailureKind.CONTENT_REFUSED}
    assert {TABLE[kind].harm for kind in stopping} == {Harm.NOTHING}
    assert all(400 <= TABLE[kind].status < 500 for kind in stopping)


def test_failures_of_our_own_making_never_count_against_a_target() -> None:
    assert TABLE[FailureKind.CREDENTIAL_MISSING].harm is Harm.NOTHING
    assert TABLE[FailureKind.UNSUPPORTED].harm is Harm.NOTHING
    assert TABLE[FailureKind.DIVERGED].harm is Harm.NOTHING, "nobody promised to say the same twice"


def test_only_a_rejected_or_exhausted_account_benches_a_credential() -> None:
    benching = {kind for kind in KINDS if TABLE[kind].harm is Harm.CREDENTIAL}
    assert benching == {FailureKind.CREDENTIALS_REJECTED, FailureKind.QUOTA_EXHAUSTED}


def test_overload_is_what_providers_call_it_and_what_is_late_before_the_first_content() -> None:
    assert {kind for kind in KINDS if is_overload(failure(kind))} == {
        FailureKind.RATE_LIMITED,
        FailureKind.OVERLOADED,
        FailureKind.HEADERS_TIMEOUT,
        FailureKind.FIRST_EVENT_TIMEOUT,
        FailureKind.FIRST_CONTENT_TIMEOUT,
    }


@pytest.mark.parametrize("kind", [k for k in KINDS if k.endswith("_TIMEOUT")])
def test_a_clock_that_trips_goes_to_the_next_target_and_never_waits(kind: FailureKind) -> None:
    assert TABLE[kind].verdict is Verdict.NEXT
    assert TABLE[kind].status == 504


def test_another_key_helps_exactly_where_the_failure_was_about_the_key() -> None:
    helped = {kind for kind in KINDS if other_credential_may_help(failure(kind))}
    assert helped == {
        FailureKind.CREDENTIALS_REJECTED,
        FailureKind.QUOTA_EXHAUSTED,
        FailureKind.RATE_LIMITED,
        FailureKind.CREDENTIAL_MISSING,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_failure_is_its_own_most_telling_one(kind: FailureKind) -> None:
    only = failure(kind)
    assert most_telling((only,)) is only


@pytest.mark.parametrize("first", KINDS)
def test_of_two_failures_the_more_telling_one_is_shown_whichever_came_first(first: FailureKind) -> None:
    for second in KINDS:
        one, other = failure(first), failure(second)
        shown = {most_telling((one, other)), most_telling((other, one))}
        assert shown <= {one, other}
        if 400 <= TABLE[first].status < 500 and TABLE[first].verdict in {Verdict.STOP, Verdict.LARGER}:
            assert all(TABLE[f.kind].verdict in {Verdict.STOP, Verdict.LARGER} for f in shown)


def test_of_rate_limits_the_one_that_ends_soonest_is_shown_wherever_it_stands() -> None:
    silent = failure(FailureKind.RATE_LIMITED)
    for soon in (0.0, 0.2):
        first, later = (failure(FailureKind.RATE_LIMITED, retry_after=seconds) for seconds in (soon, 0.4))
        for order in itertools.permutations((first, later, silent)):
            assert most_telling(order) is first
