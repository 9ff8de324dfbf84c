"""Our failures: what each one says to callers and to machines."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from services.core import errors
from services.core.errors import (
    ChainFailed,
    Failure,
    FailureKind,
    InvalidRequest,
    PolicyRejected,
    Problem,
    RouterError,
    StoreConflict,
)


def tree(base: type[RouterError] = RouterError) -> Iterator[type[RouterError]]:
    for leaf in base.__subclasses__():
        yield leaf
        yield from tree(leaf)


LEAVES = sorted(set(tree()), key=lambda leaf: leaf.__name__)


@pytest.mark.parametrize("leaf", LEAVES)
def test_every_error_has_a_reason_of_its_own_and_a_status(leaf: type[RouterError]) -> None:
    assert re.fullmatch(r"[A-Z][A-Z_]*[A-Z]", leaf.reason)
    assert [other for other in LEAVES if other.reason == leaf.reason] == [leaf]
    assert 400 <= leaf.http_status < 600


def test_each_error_has_the_http_status_of_its_meaning() -> None:
    assert {leaf.__name__: leaf.http_status for leaf in LEAVES} == {
        "AlreadyExists": 409,
        "ChainFailed": 500,
        "InUse": 409,
        "KeyInUse": 422,
        "InvalidRequest": 400,
        "NoRoute": 400,
        "NoProvider": 404,
        "NotFound": 404,
        "Overloaded": 503,
        "PermissionDenied": 403,
        "PolicyNotReady": 503,
        "PolicyRejected": 400,
        "RequestCancelled": 499,
        "RequestTooLarge": 413,
        "StoreConflict": 409,
        "StoreUnavailable": 503,
        "Unauthenticated": 401,
        "UnknownModel": 404,
    }


def test_the_picture_at_the_head_of_the_module_shows_every_error() -> None:
    shown = set(re.findall(r"[├└] (\w+)", errors.__doc__ or ""))
    assert shown == {leaf.__name__ for leaf in LEAVES}


@pytest.mark.parametrize("kind", list(FailureKind))
def test_a_failure_kinds_name_is_what_records_show(kind: FailureKind) -> None:
    assert kind.value == kind.name == str(kind)


def test_an_error_copies_the_fields_that_it_is_given() -> None:
    fields = {"model": "p/m"}
    error = RouterError("told", retry_after=2.0, fields=fields)
    fields["model"] = "changed"
    assert (str(error), error.message, error.retry_after, error.fields) == ("told", "told", 2.0, {"model": "p/m"})
    assert error.status == 500
    assert RouterError("told").fields == {}


def test_an_invalid_request_names_the_field_at_fault_where_there_is_one() -> None:
    assert InvalidRequest("x", param="model").fields == {"param": "model"}
    assert InvalidRequest("x").fields == {}
    assert InvalidRequest("x").param == ""


def test_a_failed_chain_has_the_status_and_the_retry_after_of_the_failure_that_it_shows() -> None:
    failure = Failure(FailureKind.RATE_LIMITED, "x", retry_after=7.0)
    error = ChainFailed("all failed", failure=failure, status=429, fields={"attempts": "2"})
    assert (error.status, error.retry_after, error.failure, error.fields) == (429, 7.0, failure, {"attempts": "2"})


def test_a_rejected_policy_tells_its_problems_and_keeps_its_warnings() -> None:
    wrong = Problem("Router", "r", "routes[0]", "is wrong")
    whole = Problem("Router", "s", "", "is empty")
    odd = Problem("Settings", "default", "namespace", "is odd", warning=True)
    error = PolicyRejected([wrong, odd, whole])
    assert str(error) == "Router/r routes[0]: is wrong; Router/s: is empty"
    assert error.problems == (wrong, odd, whole)
    assert str(PolicyRejected([odd])) == "the policy was refused"


def test_a_conflict_says_which_revision_is_current() -> None:
    error = StoreConflict("somebody was first", current_revision=12)
    assert (error.current_revision, error.fields) == (12, {"current_revision": "12"})
