"""Failover through bridge and worker, in both topologies, against a hostile provider."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.inprocess import TOPOLOGIES, Running, running_suite
from tests.support.upstream import (
    STREAM_END,
    STREAM_HEAD,
    Close,
    Pause,
    Reset,
    Step,
    Upstream,
    anthropic_answer,
    anthropic_events,
    chunk,
    openai_answer,
    openai_events,
    running_upstream,
    streamed,
    whole,
)

ERROR = {"error": {"message": "no", "type": "server_error", "param": None, "code": None}}
CLOCKS = {"connect": "1s", "headers": "300ms", "first_event": "300ms", "first_content": "300ms", "idle": "300ms"}


def documents(bad: Upstream, good: Upstream, wire: str) -> list[dict[str, Any]]:
    kind = "openai_compatible" if wire == "openai" else "anthropic"
    suffix = "/v1" if wire == "openai" else ""
    # Short clocks for the one that is to fail; a machine that stops for a moment must not fail the other.
    providers = [
        {"kind": "Provider", "name": name, "type": kind, "base_url": f"{found.url}{suffix}", "clocks": clocks}
        for name, found, clocks in (("bad", bad, CLOCKS), ("good", good, {}))
    ]
    variant = {"variant_id": "v", "model_id": "bad/m", "model_selection": {"models": ["good/m"]}}
    route = {"route_id": "r", "variants": [{"weight": 100, "variant": variant}]}
    router = {"kind": "Router", "name": "pair", "default_route": route}
    return [*providers, router]


def good_script(wire: str, stream: bool) -> list[Step]:
    if stream:
        return streamed(openai_events("Hel", "lo") if wire == "openai" else anthropic_events("Hel", "lo"))
    return [whole(200, openai_answer("Hello") if wire == "openai" else anthropic_answer("Hello"))]


def first_frames(wire: str) -> list[bytes]:
    """Lifecycle frames: a start, and no content yet."""
    return openai_events("x")[:1] if wire == "openai" else anthropic_events("x")[:2]


def error_frame(wire: str) -> bytes:
    if wire == "openai":
        return b'data: {"error":{"message":"no","type":"server_error","code":null}}\n\n'
    return b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"no"}}\n\n'


FAULTS = (
    "status",
    "rate_limit",
    "hang",
    "reset",
    "close",
    "half_headers",
    "garbage",
    "short_body",
    "redirect",
    "encoded",
)
STREAM_FAULTS = (
    *FAULTS,
    "role_then_silence",
    "role_then_cut",
    "error_event",
    "role_then_end",
    "empty",
    "not_json_event",
)


def fault_script(fault: str, wire: str, *, stream: bool) -> list[Step]:
    body = anthropic_answer() if wire == "anthropic" else openai_answer()
    raw = json.dumps(body).encode()
    scripts: dict[str, list[Step]] = {
        "status": [whole(500, ERROR)],
        "rate_limit": [whole(429, ERROR, retry_after="30")],
        "hang": [Pause()],
        "reset": [Reset],
        "close": [Close],
        "half_headers": [b"HTTP/1.1 200 OK\r\ncontent-ty", Close],
        "garbage": [whole(200, b"<html>not what you think</html>")],
        "short_body": [
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n" + raw,
            Close,
        ],
        "redirect": [whole(302, b"", location="http://127.0.0.1:1/")],
        "encoded": [whole(200, raw, content_encoding="gzip")],
        "role_then_silence": [STREAM_HEAD, *(chunk(f) for f in first_frames(wire)), Pause()],
        "role_then_cut": [STREAM_HEAD, *(chunk(f) for f in first_frames(wire)), b"5\r\nab", Close],
        "error_event": [STREAM_HEAD, chunk(error_frame(wire)), STREAM_END],
        "role_then_end": [STREAM_HEAD, *(chunk(f) for f in first_frames(wire)), STREAM_END],
        "empty": [STREAM_HEAD, STREAM_END],
        "not_json_event": [STREAM_HEAD, chunk(b"data: {oops\n\n"), STREAM_END],
    }
    del stream
    return scripts[fault]


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Upstream, Upstream]]:
    async with running_upstream() as bad, running_upstream() as good:
        yield bad, good


def request_body(api: str, *, stream: bool, model: str = "inworld/pair") -> dict[str, Any]:
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}
    return {**body, "max_tokens": 50} if api == "messages" else body


PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages"}


def events_of(text: str) -> list[Any]:
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def text_of(api: str, stream: bool, text: str) -> tuple[str, dict[str, Any]]:
    """The text that a caller reads, and the metadata."""
    if not stream:
        body = json.loads(text)
        content = body["choices"][0]["message"]["content"] if api == "chat" else body["content"][0]["text"]
        return content, body["metadata"]
    events = events_of(text)
    metadata = next(e["metadata"] for e in reversed(events) if "metadata" in e)
    if api == "chat":
        deltas = [c["delta"].get("content") or "" for e in events for c in e["choices"]]
        return "".join(deltas), metadata
    return "".join(e["delta"].get("text", "") for e in events if e["type"] == "content_block_delta"), metadata


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("wire", ["openai", "anthropic"])
@pytest.mark.parametrize("api", ["chat", "messages"])
@pytest.mark.parametrize(
    ("stream", "fault"), [(False, f) for f in FAULTS] + [(True, f) for f in STREAM_FAULTS], ids=str
)
async def test_every_fault_before_content_is_invisible_to_the_caller(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str, wire: str, api: str, stream: bool, fault: str
) -> None:
    bad, good = pair
    bad.script(fault_script(fault, wire, stream=stream))
    good.script(good_script(wire, stream))
    async with running_suite(tmp_path, topology, *documents(bad, good, wire)) as suite:
        answer = await suite.http.post(PATHS[api], json=request_body(api, stream=stream))
    assert answer.status_code == 200, answer.text
    text, metadata = text_of(api, stream, answer.text)
    assert text == "Hello"
    assert [a["model"] for a in metadata["attempts"]] == ["bad/m"] * (len(metadata["attempts"]) - 1) + ["good/m"]
    assert [a["success"] for a in metadata["attempts"]][-2:] == [False, True]
    assert len(metadata["attempts"]) == len(bad.journal) + len(good.journal)
    if stream:
        marks = {"messages": "event: message_start", "chat": '"role":"assistant"'}
        assert answer.text.replace(" ", "").count(marks[api].replace(" ", "")) == 1, "exactly one start"


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("wire", ["openai", "anthropic"])
@pytest.mark.parametrize("api", ["chat", "messages"])
@pytest.mark.parametrize("fault", ["cut", "reset", "stall", "end", "error"])
async def test_a_stream_that_breaks_after_content_never_ends_cleanly(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str, wire: str, api: str, fault: str
) -> None:
    bad, good = pair
    frames = openai_events("Hel", "lo", "you") if wire == "openai" else anthropic_events("Hel", "lo", "you")
    shown = [STREAM_HEAD, *(chunk(f) for f in frames[: 2 if wire == "openai" else 3])]
    ends: dict[str, list[Step]] = {
        "cut": [b"ff\r\nda", Close],
        "reset": [Reset],
        "stall": [Pause()],
        "end": [STREAM_END],
        "error": [chunk(error_frame(wire)), STREAM_END],
    }
    gate = Pause()
    bad.script([*shown, gate, *ends[fault]])
    good.script(good_script(wire, stream=True))
    text = ""
    async with running_suite(tmp_path, topology, *documents(bad, good, wire)) as suite:
        async with suite.http.stream("POST", PATHS[api], json=request_body(api, stream=True)) as answer:
            async for piece in answer.aiter_text():
                text += piece
                if "Hel" in text:
                    gate.go.set()
        await outcome(suite, "broken")
    assert not good.journal, "another model never takes over after content was shown"
    assert "[DONE]" not in text
    assert "message_stop" not in text
    last = events_of(text)[-1]
    assert last["error"]["message"], last
    assert last["metadata"]["attempts"][0]["success"] is False


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("stream", [False, True])
async def test_the_upstream_is_closed_as_soon_as_the_caller_goes(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str, stream: bool
) -> None:
    bad, good = pair
    bad.script([STREAM_HEAD, *(chunk(f) for f in openai_events("a")[:2]), Pause()] if stream else [Pause()])
    good.script([Pause()])
    forms = documents(bad, good, "openai")
    forms[0].pop("clocks")
    async with running_suite(tmp_path, topology, *forms) as suite:
        task = asyncio.create_task(suite.http.post(PATHS["chat"], json=request_body("chat", stream=stream)))
        await asyncio.wait_for(bad.arrived.wait(), 5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.wait_for(bad.journal[0].ended.wait(), 5)
        await outcome(suite, "cancelled")
    assert not good.journal


async def outcome(suite: Running, wanted: str) -> None:
    """Return when a record with this outcome is there."""
    async with asyncio.timeout(30):
        async for record in suite.worker.records.follow(10):
            if record.outcome == wanted:
                return


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_an_upstream_401_is_never_the_callers_401(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str
) -> None:
    bad, good = pair
    for found in pair:
        found.script([whole(401, {"error": {"message": "sk-secret is wrong", "type": "authentication_error"}})])
    async with running_suite(tmp_path, topology, *documents(bad, good, "openai")) as suite:
        answer = await suite.http.post(PATHS["chat"], json=request_body("chat", stream=False))
    assert answer.status_code == 502
    assert "sk-secret" not in answer.text
    assert [a["error"] for a in answer.json()["metadata"]["attempts"]] == ["CREDENTIALS_REJECTED"] * 2


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_an_invalid_request_stops_the_chain_and_keeps_the_providers_words(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str
) -> None:
    bad, good = pair
    error = {"message": "temperature is odd", "type": "invalid_request_error", "param": "temperature", "code": "odd"}
    bad.script([whole(400, {"error": error})])
    good.script(good_script("openai", stream=False))
    async with running_suite(tmp_path, topology, *documents(bad, good, "openai")) as suite:
        answer = await suite.http.post(PATHS["chat"], json=request_body("chat", stream=False))
    assert answer.status_code == 400
    assert answer.json()["error"] == error
    assert not good.journal


async def test_all_rate_limited_is_429_with_the_soonest_retry_after(
    tmp_path: Path, pair: tuple[Upstream, Upstream]
) -> None:
    bad, good = pair
    bad.script([whole(429, ERROR, retry_after="30")])
    good.script([whole(429, ERROR, retry_after="20")])
    async with running_suite(tmp_path, "fused", *documents(bad, good, "openai")) as suite:
        answer = await suite.http.post(PATHS["chat"], json=request_body("chat", stream=False))
    assert answer.status_code == 429
    assert 20 <= int(answer.headers["retry-after"]) <= 21
