"""What one failure says about the other addresses and credentials of its target."""

from __future__ import annotations

import pytest

from services.core.attempts.choices import Choice
from services.core.attempts.narrow import unhelpful
from services.core.attempts.verdicts import TABLE, Harm, Verdict
from services.core.errors import Failure, FailureKind

ALL = {"eu#1", "eu#2", "us#1", "us#2"}
TRIED = 0
CHOICES = tuple(
    Choice(0, address, credential, target=f"{name}#{credential + 1}", credential_cell=f"p#{credential + 1}")
    for address, name in enumerate(("eu", "us"))
    for credential in range(2)
)
OTHER = Choice(1, 0, 0, target="other")
KEY_OR_ADDRESS, KEY = (FailureKind.RATE_LIMITED,), (FailureKind.CREDENTIALS_REJECTED, FailureKind.QUOTA_EXHAUSTED)


def left(kind: FailureKind) -> set[str]:
    """What may still be tried after the first of four choices failed, and the other target."""
    choices = (*CHOICES, OTHER)
    gone = unhelpful(choices, TRIED, Failure(kind, "x"))
    assert TRIED in gone
    return {choice.target for index, choice in enumerate(choices) if index not in gone}


@pytest.mark.parametrize("kind", [k for k in FailureKind if TABLE[k].harm is Harm.TARGET])
def test_what_is_the_targets_fault_may_be_better_at_another_address_with_any_key(kind: FailureKind) -> None:
    assert left(kind) == {"us#1", "us#2", "other"}


@pytest.mark.parametrize("kind", [*KEY, FailureKind.CREDENTIAL_MISSING])
def test_what_is_the_keys_fault_may_be_better_with_another_key_at_any_address(kind: FailureKind) -> None:
    assert left(kind) == {"eu#2", "us#2", "other"}


@pytest.mark.parametrize("kind", KEY_OR_ADDRESS)
def test_a_rate_limit_may_be_that_of_the_key_or_that_of_the_address(kind: FailureKind) -> None:
    assert left(kind) == {"eu#2", "us#1", "us#2", "other"}


@pytest.mark.parametrize(
    "kind", [k for k in FailureKind if TABLE[k].harm is Harm.NOTHING and k is not FailureKind.CREDENTIAL_MISSING]
)
def test_what_is_neither_leaves_only_other_targets(kind: FailureKind) -> None:
    assert left(kind) == {"other"}


@pytest.mark.parametrize(("window", "helps"), [(0, True), (7_999, False), (8_000, False), (8_001, True)])
def test_only_a_window_that_may_be_larger_helps_a_request_that_was_too_long(window: int, helps: bool) -> None:
    choices = (Choice(0, 0, 0, window=8_000), Choice(1, 0, 0, window=window))
    gone = unhelpful(choices, TRIED, Failure(FailureKind.CONTEXT_TOO_LONG, "x"))
    assert (1 not in gone) is helps
    assert TABLE[FailureKind.CONTEXT_TOO_LONG].verdict is Verdict.LARGER


def test_of_a_window_that_nobody_knows_nothing_is_known_to_be_larger_or_smaller() -> None:
    choices = (Choice(0, 0, 0), Choice(1, 0, 0, window=1))
    assert unhelpful(choices, TRIED, Failure(FailureKind.CONTEXT_TOO_LONG, "x")) == {TRIED}


def test_without_keys_another_address_is_all_there_is() -> None:
    choices = (Choice(0, 0, 0, target="p/m@eu"), Choice(0, 1, 0, target="p/m@us"))
    assert unhelpful(choices, TRIED, Failure(FailureKind.CREDENTIALS_REJECTED, "x")) == {0, 1}
    assert unhelpful(choices, TRIED, Failure(FailureKind.CONNECT_FAILED, "x")) == {0}
