"""Records as people follow them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from turnout.record.v1.record_pb2 import RequestRecord

from services.cli import logs as logs_module
from services.cli.output import Fail
from services.core.errors import Clock, Failure, FailureKind
from services.core.policy.documents import ApiKey
from services.dataplane.translation import TokenUsage
from services.runtime.keys import hash_key
from tests.support.inprocess import policy_set, put_policy
from tests.unit.cli.conftest import Turnout
from tests.unit.cli.suite import ADMIN_KEY, Suite
from tests.unit.dataplane.build import attempt, candidate, plan, trail


@pytest.fixture
def logs(suite: Suite, admin: Turnout) -> Turnout:
    """`turnout logs` against a worker that has served two requests."""
    document = ApiKey("admin", hash_key(ADMIN_KEY), ("admin",))
    form = {"kind": "ApiKey", "name": document.name, "hash": document.hash, "scopes": list(document.scopes)}
    put_policy(suite.worker, policy_set(form, revision=10**6))
    suite.worker.records._trails.clear()
    tripped = Failure(FailureKind.FIRST_CONTENT_TIMEOUT, "too [slow]", clock=Clock.FIRST_CONTENT)
    first = attempt(ended=100.8, failure=tripped, verdict="next")
    second = attempt(2, candidate=candidate("anthropic/claude"), started=100.8, ended=101.0, success=True)
    suite.worker.records.append(
        trail(
            plan=plan(router_id="r", route_id="a", variant_id="b"),
            requested_model="inworld/r",
            attempts=[first, second],
            outcome="ok",
            status=200,
            ended=101.0,
            content_at=100.9,
            usage=TokenUsage(9, 4),
            cost_usd=0.000123,
        )
    )
    suite.worker.records.append(
        trail(generation_id="gen-2", outcome="refused", status=401, error_reason="UNAUTHENTICATED")
    )
    return admin


def test_a_record_is_one_line_and_one_more_per_attempt(suite: Suite, logs: Turnout) -> None:
    shown = logs("logs", "--no-follow", "--dataplane", suite.dataplane)
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert "ok        200 inworld/r a/b 1000 ms, first token 900 ms, 9→4 tokens, $0.000123 gen-1" in lines[0]
    assert lines[1].strip() == (
        "✗ 1. openai/gpt-5 800 ms FIRST_CONTENT_TIMEOUT, clock first_content: too [slow] → next"
    )
    assert lines[2].strip() == "✓ 2. anthropic/claude 200 ms"
    assert "refused   401" in lines[3]
    assert lines[4].strip() == "UNAUTHENTICATED"


def test_attempts_that_are_not_plain_failovers_say_why_they_were_made_and_losers_that_they_were_cancelled(
    suite: Suite, logs: Turnout
) -> None:
    lost = attempt(ended=100.3, verdict="lost")
    won = attempt(2, candidate=candidate("anthropic/claude"), started=100.2, ended=100.4, success=True, kind="hedge")
    suite.worker.records.append(trail(generation_id="gen-3", attempts=[lost, won], outcome="ok", status=200))
    shown = logs("logs", "--no-follow", "--tail", "1", "--dataplane", suite.dataplane)
    _, first, second = shown.out.splitlines()
    assert first.strip() == "– 1. openai/gpt-5 300 ms cancelled"
    assert second.strip() == "✓ 2. anthropic/claude (hedge) 200 ms"


def test_machines_get_one_record_per_line(suite: Suite, logs: Turnout) -> None:
    shown = logs("logs", "--no-follow", "--tail", "1", "--json", "--dataplane", suite.dataplane)
    (record,) = (json.loads(line) for line in shown.out.splitlines())
    assert (record["generation_id"], record["outcome"]) == ("gen-2", "refused")


def test_the_last_records_of_all_workers_are_told_in_the_order_of_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(*_arguments: object) -> Iterator[RequestRecord]:
        for second in (30, 10, 20):
            record = RequestRecord(generation_id=f"at-{second}")
            record.started_at.seconds = second
            yield record
        raise Fail("b:1: no answer in time")

    monkeypatch.setattr(logs_module, "follow_all", say)
    with pytest.raises(Fail, match="b:1: no answer in time"):
        logs_module.logs(tail=2, follow=False, dataplane=("a:1", "b:1"), as_json=True)
    shown = capsys.readouterr().out
    assert [json.loads(line)["generation_id"] for line in shown.splitlines()] == ["at-20", "at-30"]


def test_a_worker_that_refuses_is_told(suite: Suite, logs: Turnout) -> None:
    told = logs("logs", "--no-follow", "--dataplane", suite.dataplane, "--api-key", "to-wrong")
    assert told.code == 1
    assert "the API key is not known" in told.err


def test_what_is_not_counted_in_tokens_is_shown_in_its_own_unit(suite: Suite, logs: Turnout) -> None:
    usages = (TokenUsage(characters=1_200), TokenUsage(seconds=3.7), TokenUsage(images=2))
    for number, usage in enumerate(usages):
        suite.worker.records.append(trail(generation_id=f"unit-{number}", outcome="ok", status=200, usage=usage))
    shown = logs("logs", "--no-follow", "--tail", "3", "--dataplane", suite.dataplane).out
    assert ", 1200 characters unit-0" in shown
    assert ", 3.7 s of sound unit-1" in shown
    assert ", 2 pictures unit-2" in shown
