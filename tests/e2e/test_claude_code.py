"""What Claude Code, and clients like it, need of a gateway: nothing on the way that they would notice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.inprocess import KEY, TOPOLOGIES, Running, running_suite
from tests.support.upstream import (
    STREAM_END,
    STREAM_HEAD,
    Pause,
    Upstream,
    anthropic_answer,
    anthropic_events,
    chunk,
    running_upstream,
    streamed,
    whole,
)

BODY = (
    b'{"model": "claude/claude-sonnet-4-5",  "max_tokens": 32000, "stream": true,'
    b' "system": [{"type":"text","text":"You are \\u0043laude Code.","cache_control":{"type":"ephemeral"}}],'
    b' "metadata": {"user_id": "user_1"}, "thinking": {"type":"adaptive"},'
    b' "context_management": {"edits": []}, "messages": [{"role":"user","content":"Hi"}]}'
)
HEADERS = {
    "user-agent": "claude-cli/2.1.330 (external, cli)",
    "anthropic-version": "2026-10-21",
    "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14",
    "x-claude-code-session-id": "session-1",
    "x-stainless-lang": "js",
    "x-stainless-retry-count": "0",
    "content-type": "application/json",
}
TOO_LONG = (
    b'{"type":"error","error":{"type":"invalid_request_error",'
    b'"message":"prompt is too long: 208310 tokens > 200000 maximum"},  "request_id":"req_011"}'
)


def provider(upstream: Upstream) -> dict[str, Any]:
    return {
        "kind": "Provider",
        "name": "claude",
        "type": "anthropic",
        "base_url": upstream.url,
        "credentials": ["env:ANTHROPIC_KEY"],
    }


ENVIRONMENT = {"ANTHROPIC_KEY": "sk-ant-ours"}


async def post(suite: Running, body: bytes = BODY, **headers: str) -> Any:
    return await suite.http.post("/v1/messages?beta=true", content=body, headers={**HEADERS, **headers})


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_headers_and_body_reach_the_provider_as_they_are(tmp_path: Path, topology: str) -> None:
    async with running_upstream() as upstream:
        upstream.script(streamed(anthropic_events("Hello")))
        async with running_suite(tmp_path, topology, provider(upstream), environment=ENVIRONMENT) as suite:
            answer = await post(suite)
        seen = upstream.journal[0]
    assert answer.status_code == 200, answer.text
    assert seen.headers["anthropic-version"] == "2026-10-21"
    assert seen.headers["anthropic-beta"] == HEADERS["anthropic-beta"]
    assert seen.headers["x-api-key"] == "sk-ant-ours"
    assert not [name for name in seen.headers if name.startswith("x-stainless")]
    assert KEY not in str(seen.headers)
    # All but the model keeps its bytes: escapes, order, the beta's own fields.
    assert b'"text":"You are \\u0043laude Code.","cache_control":{"type":"ephemeral"}' in seen.body
    assert seen.json == {**json.loads(BODY), "model": "claude-sonnet-4-5"}


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("status", [400, 413])
async def test_an_error_that_is_the_callers_comes_back_word_for_word(
    tmp_path: Path, topology: str, status: int
) -> None:
    async with running_upstream() as upstream:
        upstream.script([whole(status, TOO_LONG)])
        async with running_suite(tmp_path, topology, provider(upstream), environment=ENVIRONMENT) as suite:
            answer = await post(suite)
    assert answer.status_code == status
    assert answer.content == TOO_LONG


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_what_has_come_is_shown_at_once(tmp_path: Path, topology: str) -> None:
    events = anthropic_events("first", "second")
    gate = Pause()
    async with running_upstream() as upstream:
        upstream.script(
            [STREAM_HEAD, *(chunk(e) for e in events[:3]), gate, *(chunk(e) for e in events[3:]), STREAM_END]
        )
        async with (
            running_suite(tmp_path, topology, provider(upstream), environment=ENVIRONMENT) as suite,
            suite.http.stream("POST", "/v1/messages?beta=true", content=BODY, headers=HEADERS) as answer,
        ):
            shown = ""
            async for piece in answer.aiter_text():
                shown += piece
                if "first" in shown and not gate.go.is_set():
                    assert "second" not in shown
                    gate.go.set()
    assert "second" in shown
    assert "message_stop" in shown
    assert "[DONE]" not in shown
    assert answer.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": "", "x-api-key": KEY},
        {"authorization": f"Basic {KEY}"},
    ],
    ids=["bearer", "x-api-key", "basic"],
)
@pytest.mark.parametrize("version", ["2023-06-01", "2026-10-21", "2031-01-01"])
async def test_every_form_of_key_and_every_version_is_taken(
    tmp_path: Path, headers: dict[str, str], version: str
) -> None:
    async with running_upstream() as upstream:
        upstream.script([whole(200, anthropic_answer())])
        async with running_suite(tmp_path, "fused", provider(upstream), environment=ENVIRONMENT) as suite:
            given = {**headers, "anthropic-version": version}
            if not given["authorization"]:
                del given["authorization"], suite.http.headers["authorization"]
            answer = await suite.http.post(
                "/v1/messages", content=BODY.replace(b'"stream": true', b'"stream": false'), headers=given
            )
        seen = upstream.journal[0]
    assert answer.status_code == 200, answer.text
    assert seen.headers["anthropic-version"] == version
    assert seen.headers["x-api-key"] == "sk-ant-ours"


async def test_the_root_answers_who_looks_whether_somebody_is_there(tmp_path: Path) -> None:
    async with running_upstream() as upstream, running_suite(tmp_path, "fused", provider(upstream)) as suite:
        head = await suite.http.head("/")
        assert head.status_code == 200
        assert head.content == b""


async def test_a_session_is_the_unit_that_keeps_its_variant(tmp_path: Path) -> None:
    bodies = json.loads(BODY)
    del bodies["metadata"]
    router = {
        "kind": "Router",
        "name": "claude",
        "default_route": {
            "route_id": "d",
            "variants": [
                {"weight": 50, "variant": {"variant_id": v, "model_id": "claude/claude-sonnet-4-5"}} for v in "ab"
            ],
        },
    }
    async with running_upstream() as upstream:
        upstream.script(streamed(anthropic_events("Hello")))
        async with running_suite(tmp_path, "fused", provider(upstream), router, environment=ENVIRONMENT) as suite:
            body = json.dumps({**bodies, "model": "turnout/claude"}).encode()
            chosen: dict[str, set[str]] = {}
            for number in range(24):
                session = f"session-{number % 6}"
                await post(suite, body, **{"x-claude-code-session-id": session})
                record = [r async for r in suite.worker.records.follow(1, end=True)][-1]
                chosen.setdefault(session, set()).add(record.variant_id)
    assert all(len(variants) == 1 for variants in chosen.values()), chosen
