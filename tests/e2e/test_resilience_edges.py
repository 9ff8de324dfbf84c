"""Rehearsed faults and the health API, through bridge and worker in both topologies."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from turnout.health.v1.health_service_pb2 import WatchHealthRequest
from turnout.health.v1.health_service_pb2_grpc import HealthServiceStub

from services.cli.app import app as command_line
from services.core.policy.rules import FaultRule
from services.dataplane.transport.faults import strikes
from tests.e2e.test_failover import CLOCKS, PATHS, documents, outcome, pair, request_body, text_of
from tests.support.inprocess import (
    KEY,
    OTHER_KEY,
    OTHER_KEY_DOCUMENT,
    TOPOLOGIES,
    eventually,
    records,
    running_suite,
)
from tests.support.streams import read_stream
from tests.support.upstream import (
    STREAM_HEAD,
    Pause,
    Upstream,
    chunk,
    openai_answer,
    openai_events,
    streamed,
    whole,
)

__all__ = ["pair"]

APIS = ("chat", "messages")


def answers(upstream: Upstream, *texts: str, stream: bool) -> None:
    upstream.script(streamed(openai_events(*texts)) if stream else [whole(200, openai_answer("".join(texts)))])


def faulty(bad: Upstream, good: Upstream, fault: dict[str, Any], **provider: Any) -> list[dict[str, Any]]:
    forms = documents(bad, good, "openai")
    forms[0].update(fault=fault, **provider)
    return forms


# Faults

FAULTS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "refuse": ({"kind": "refuse"}, {"CONNECT_FAILED"}),
    "status": ({"kind": "status", "status": 500}, {"SERVER_ERROR"}),
    "hang": ({"kind": "hang"}, {"HEADERS_TIMEOUT", "FIRST_EVENT_TIMEOUT", "FIRST_CONTENT_TIMEOUT"}),
    "slow": ({"kind": "slow", "delay": "5s"}, {"HEADERS_TIMEOUT", "FIRST_EVENT_TIMEOUT", "FIRST_CONTENT_TIMEOUT"}),
    "cut": ({"kind": "cut", "after_bytes": 10}, {"DISCONNECTED"}),
    "stall": ({"kind": "stall", "after_bytes": 10}, {"TOTAL_TIMEOUT", "FIRST_EVENT_TIMEOUT", "FIRST_CONTENT_TIMEOUT"}),
}


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_rehearsed_fault_fails_over_and_says_what_it_is(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str, api: str, stream: bool, fault: str
) -> None:
    bad, good = pair
    rule, kinds = FAULTS[fault]
    answers(bad, "not ", "this", stream=stream)
    answers(good, "Hel", "lo", stream=stream)
    forms = faulty(bad, good, rule, clocks={**CLOCKS, "total": "1s"})
    forms[2]["retry"] = {"max_retries": 0}
    async with running_suite(tmp_path, topology, *forms, allow_faults=True) as suite:
        answer = await suite.http.post(PATHS[api], json=request_body(api, stream=stream))
        record = records(suite)[0]
    text, metadata = text_of(api, stream, answer.text)
    failed, succeeded = metadata["attempts"]
    assert (text, succeeded["model"]) == ("Hello", "good/m")
    assert failed["error"] in kinds
    assert "injected by policy" in failed["error_message"]
    assert metadata["warnings"] == [f"attempt 1 at bad/m ran under the fault '{fault}', injected by policy"]
    assert "injected by policy" in record.attempts[0].error_message
    assert list(record.warnings) == metadata["warnings"]
    assert "error_message" not in succeeded
    assert len(bad.journal) == (1 if fault in {"cut", "stall"} else 0), "the provider is called only for a real answer"


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("fault", ["cut", "stall"])
async def test_a_fault_after_content_ends_in_an_honest_error_that_says_what_it_is(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str, api: str, fault: str
) -> None:
    bad, good = pair
    events = openai_events("Hel", "lo")
    answers(bad, "Hel", "lo", stream=True)
    answers(good, "never", stream=True)
    forms = faulty(bad, good, {"kind": fault, "after_bytes": len(b"".join(events[:2])) + 5})
    async with running_suite(tmp_path, topology, *forms, allow_faults=True) as suite:
        answer = await suite.http.post(PATHS[api], json=request_body(api, stream=True))
        await outcome(suite, "broken")
    read = read_stream(api, answer.text)
    assert (read.text, read.whole) == ("Hel", False)
    assert "injected by policy" in read.error["message"]
    assert not good.journal


@pytest.mark.parametrize("stream", [False, True])
async def test_a_slow_answer_is_late_and_whole_and_its_record_says_why(
    tmp_path: Path, pair: tuple[Upstream, Upstream], stream: bool
) -> None:
    bad, good = pair
    answers(bad, "Hel", "lo", stream=stream)
    forms = faulty(bad, good, {"kind": "slow", "delay": "150ms"}, clocks={})
    async with running_suite(tmp_path, "fused", *forms, allow_faults=True) as suite:
        answer = await suite.http.post(PATHS["chat"], json=request_body("chat", stream=stream))
    text, metadata = text_of("chat", stream, answer.text)
    assert text == "Hello"
    (attempt,) = metadata["attempts"]
    assert attempt["success"]
    assert attempt["duration_ms"] >= 150
    assert "'slow', injected by policy" in metadata["warnings"][0]


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_without_the_flag_a_fault_is_ignored_with_a_warning_and_one_line_in_the_log(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = pair
    answers(bad, "Hello", stream=False)
    forms = faulty(bad, good, {"kind": "status"}, clocks={})
    with caplog.at_level(logging.WARNING, logger="services.dataplane.rehearsal"):
        async with running_suite(tmp_path, topology, *forms) as suite:
            found = [
                (await suite.http.post(PATHS["chat"], json=request_body("chat", stream=False))).json() for _ in range(3)
            ]
            suite.put(*forms, revision=2)
            assert len(caplog.records) == 1, "the same policy again"
            suite.put(*faulty(bad, good, {"kind": "hang"}), revision=3)
            suite.put(*documents(bad, good, "openai"), revision=4)
    for body in found:
        assert body["choices"][0]["message"]["content"] == "Hello"
        assert body["metadata"]["warnings"] == [
            "the fault 'status' of provider 'bad' was ignored: faults are not allowed"
        ]
    assert ["are ignored" in line.getMessage() for line in caplog.records] == [True, True]
    assert "bad" in caplog.records[0].getMessage()


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_a_fault_may_be_for_those_who_ask_for_it_and_for_some_models(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str
) -> None:
    bad, good = pair
    answers(bad, "bad", stream=False)
    answers(good, "good", stream=False)
    forms = faulty(bad, good, {"kind": "status", "header": "drill", "models": ["bad/m"]}, clocks={})
    async with running_suite(tmp_path, topology, *forms, allow_faults=True) as suite:
        for model, header, expected in (
            ("inworld/pair", "drill", "good"),
            ("inworld/pair", "other", "bad"),
            ("inworld/pair", "", "bad"),
            ("bad/other", "drill", "bad"),
        ):
            answer = await suite.http.post(
                PATHS["chat"],
                json=request_body("chat", stream=False, model=model),
                headers={"x-turnout-fault": header} if header else {},
            )
            assert answer.json()["choices"][0]["message"]["content"] == expected, (model, header)


async def test_a_share_of_attempts_fails_and_the_record_replays_which(
    tmp_path: Path, pair: tuple[Upstream, Upstream]
) -> None:
    bad, good = pair
    answers(bad, "bad", stream=False)
    answers(good, "good", stream=False)
    forms = faulty(bad, good, {"kind": "refuse", "percent": 40}, breaker={"consecutive_failures": 1000})
    forms[0]["breaker"]["error_rate"] = 1.0
    async with running_suite(tmp_path, "fused", *forms, allow_faults=True) as suite:
        for _ in range(40):
            await suite.http.post(PATHS["chat"], json=request_body("chat", stream=False))
        found = records(suite)
    rule = FaultRule("refuse", percent=40.0)
    for record in found:
        for attempt in record.attempts:
            if attempt.model == "bad/m":
                assert attempt.success != strikes(rule, "bad/m", "", record.seed, attempt.number)
    assert 0 < sum(not record.attempts[0].success for record in found) < 40


# Health


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_injected_failures_open_breakers_and_the_health_api_tells_of_it(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str
) -> None:
    bad, good = pair
    answers(good, "good", stream=False)
    answers(bad, "bad", stream=False)
    breaker = {"consecutive_failures": 2, "open_for": "60s"}
    forms = faulty(bad, good, {"kind": "status", "status": 500}, breaker=breaker)
    forms[2]["retry"] = {"max_retries": 0}
    async with running_suite(tmp_path, topology, *forms, allow_faults=True) as suite:
        metadata = (("authorization", f"Bearer {KEY}"),)
        async with grpc.aio.insecure_channel(suite.grpc) as channel:
            events = HealthServiceStub(channel).WatchHealth(WatchHealthRequest(), metadata=metadata)
            await events.initial_metadata()
            attempts = []
            for _ in range(3):
                answer = await suite.http.post(PATHS["chat"], json=request_body("chat", stream=False))
                attempts.append([a["model"] for a in answer.json()["metadata"]["attempts"]])
            event = await asyncio.wait_for(events.read(), 5)
            events.cancel()
        found = (await suite.http.get("/admin/v1/health")).json()
        metrics = (await suite.http.get("/metrics")).text
    assert attempts == [["bad/m", "good/m"], ["bad/m", "good/m"], ["good/m"]]
    assert (event.set_aside, event.target.name, event.target.why) == (True, "bad/m", "SERVER_ERROR")
    target = found["targets"][0]
    assert (target["name"], target["provider"], target["set_aside"]) == ("bad/m", "bad", True)
    (seen,) = target["workers"]
    assert (seen["node_id"], seen["state"], seen["why"], seen["consecutive_failures"]) == (
        "worker", "open", "SERVER_ERROR", 2
    )  # fmt: skip
    until = datetime.fromisoformat(seen["until"])
    assert abs(until - event.target.until.ToDatetime(UTC)) < timedelta(seconds=1)
    assert timedelta(seconds=55) < until - event.at.ToDatetime(UTC) < timedelta(seconds=61)
    assert [w["node_id"] for w in found["workers"]] == ["worker"]
    assert 'turnout_breakers_open{provider="bad"} 1.0' in metrics
    assert 'turnout_breaker_openings_total{provider="bad"} 1.0' in metrics


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_health_over_http_is_for_readers_only(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str
) -> None:
    forms = [*documents(*pair, "openai"), OTHER_KEY_DOCUMENT]
    async with running_suite(tmp_path, topology, *forms) as suite:
        assert (await suite.http.get("/admin/v1/health")).json()["targets"] == []
        narrow = {"authorization": f"Bearer {OTHER_KEY}"}
        assert (await suite.http.get("/admin/v1/health", headers=narrow)).status_code == 403
        assert (await suite.http.get("/admin/v1/health", headers={"authorization": "Bearer no"})).status_code == 401
        assert (await suite.http.post("/admin/v1/health")).status_code == 405


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_hedges_and_mended_answers_are_counted(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str
) -> None:
    bad, good = pair
    cut = [STREAM_HEAD, *(chunk(f) for f in openai_events("Hel", "lo")[:2]), b"ff\r\nda"]
    bad.script([Pause()], [*cut, Pause()])
    good.script(streamed(openai_events("Hel", "lo")))
    forms = documents(bad, good, "openai")
    forms[0]["clocks"] = {"idle": "300ms"}
    forms[2].update(hedge={"enabled": True, "after": "1s", "budget": 1.0}, recovery="verified_resume")
    async with running_suite(tmp_path, topology, *forms) as suite:
        for expected in ("hedge", "resume"):
            answer = await suite.http.post(PATHS["chat"], json=request_body("chat", stream=True))
            read = read_stream("chat", answer.text)
            assert (read.text, read.metadata["attempts"][-1]["kind"]) == ("Hello", expected)
        metrics = (await suite.http.get("/metrics")).text
    assert 'turnout_hedges_total{result="started"} 1.0' in metrics
    assert 'turnout_hedges_total{result="won"} 1.0' in metrics
    assert 'turnout_mended_total{kind="resume"} 1.0' in metrics


async def run_command(*arguments: str) -> int:
    """Run a command of `turnout` beside the test's loop."""
    try:
        await asyncio.to_thread(command_line, list(arguments), result_action="return_value", exit_on_error=False)
    except SystemExit as end:
        return int(str(end.code))
    return 0


async def test_the_command_line_says_in_plain_words_what_is_set_aside(
    tmp_path: Path, pair: tuple[Upstream, Upstream], capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = pair
    answers(good, "good", stream=True)
    limited = whole(429, {"error": {"message": "slow down"}}, retry_after="30")
    bad.script([limited])
    async with running_suite(tmp_path, "grpc", *documents(bad, good, "openai")) as suite:
        flags = ("--dataplane", suite.grpc, "--api-key", KEY)
        assert await run_command("health", *flags) == 0
        assert "nothing is set aside on 1 worker" in capsys.readouterr().out
        await suite.http.post(PATHS["chat"], json=request_body("chat", stream=True))
        assert await run_command("health", *flags, "--all") == 0
        text = capsys.readouterr().out
        assert "set aside bad/m until" in text
        assert "as its provider asked: the provider limits our rate (RATE_LIMITED) (worker)" in text
        assert "time to first content" in text
        assert "good/m" in text
        assert await run_command("health", *flags, "--json") == 0
        (line,) = capsys.readouterr().out.splitlines()
        assert json.loads(line)["targets"][0]["state"] == "TARGET_STATE_ASKED"


async def test_the_command_line_follows_until_the_worker_ends(
    tmp_path: Path, pair: tuple[Upstream, Upstream], capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = pair
    answers(good, "good", stream=True)
    bad.script([whole(429, {"error": {"message": "slow down"}}, retry_after="0.05")])
    forms = documents(bad, good, "openai")
    forms[2]["retry"] = {"max_retries": 0}
    shown = ""

    def has(word: str) -> Callable[[], bool]:
        def look() -> bool:
            nonlocal shown
            shown += capsys.readouterr().out
            return word in shown

        return look

    async with running_suite(tmp_path, "grpc", *forms) as suite:
        following = asyncio.create_task(run_command("health", "--follow", "--dataplane", suite.grpc, "--api-key", KEY))
        await eventually(lambda: bool(suite.worker.health_events._watchers))
        await suite.http.post(PATHS["chat"], json=request_body("chat", stream=True))
        await eventually(has("back"))
    await asyncio.gather(following, return_exceptions=True)
    assert "set aside bad/m" in shown
    assert shown.index("set aside") < shown.index("back")
