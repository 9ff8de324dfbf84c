"""What is said of targets that are not quite well."""

from __future__ import annotations

import pytest
from turnout.health.v1.health_pb2 import TargetHealth, TargetState
from turnout.health.v1.health_service_pb2 import ListTargetHealthResponse

from services.cli import health
from services.runtime.keys import hash_key
from tests.support.inprocess import policy_set, put_policy
from tests.unit.cli.conftest import Turnout
from tests.unit.cli.suite import ADMIN_KEY, Suite


def shown(capsys: pytest.CaptureFixture[str], *targets: TargetHealth) -> list[str]:
    health._show([ListTargetHealthResponse(node_id="w", targets=targets)], every=False)
    return capsys.readouterr().out.splitlines()


def target(state: TargetState.ValueType, failures: int = 0, share: float = 1.0) -> TargetHealth:
    why = "OVERLOADED" if failures else ""
    return TargetHealth(model="a/m", state=state, why=why, share=share, consecutive_failures=failures)


CLOSED, OPEN = TargetState.TARGET_STATE_CLOSED, TargetState.TARGET_STATE_OPEN
OVERLOADED = "the provider says that it is overloaded (OVERLOADED)"


def test_all_is_well_when_nothing_fails(capsys: pytest.CaptureFixture[str]) -> None:
    well = "well: nothing is set aside on 1 worker"
    assert shown(capsys, target(CLOSED)) == [well]
    assert shown(capsys, target(CLOSED, failures=1)) == [well]


def test_what_fails_in_a_row_is_told_before_it_is_set_aside(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, target(CLOSED, failures=4)) == [
        f"failing   a/m, and still in use: {OVERLOADED}, 4 failures in a row (w)",
        "nothing is set aside on 1 worker",
    ]


def test_what_is_set_aside_or_reduced_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, target(OPEN, failures=5)) == [f"set aside a/m: {OVERLOADED}, 5 failures in a row (w)"]
    assert shown(capsys, target(CLOSED, failures=2, share=0.5)) == [
        f"reduced   a/m: it takes 50% of its traffic: {OVERLOADED}, 2 failures in a row (w)"
    ]


def test_a_worker_that_cannot_be_asked_is_told_beside_the_others(suite: Suite, admin: Turnout) -> None:
    key = {"kind": "ApiKey", "name": "admin", "hash": hash_key(ADMIN_KEY), "scopes": ["admin"]}
    put_policy(suite.worker, policy_set(key, revision=10**6))
    ran = admin("health", "--dataplane", "127.0.0.1:1", "--dataplane", suite.dataplane)
    assert (ran.code, ran.out.strip()) == (0, "well: nothing is set aside on 1 worker")
    assert "warning: 127.0.0.1:1: Connection refused" in ran.err
    ran = admin("health", "--dataplane", "127.0.0.1:1")
    assert (ran.code, ran.err.strip()) == (1, "error: 127.0.0.1:1: Connection refused")
