"""Inworld's own speech API through bridge and worker, in both topologies."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.inprocess import KEY, TOPOLOGIES, Running, records, running_suite
from tests.support.upstream import STREAM_END, Close, Seen, Step, Upstream, chunk, running_upstream, whole

SOUND = b"ID3" + bytes(range(256)) * 40
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ntransfer-encoding: chunked\r\n\r\n"
BODY = {"text": "Hello, world.", "voiceId": "Dennis", "modelId": "inworld-tts-2"}
VOICE, STREAM = "/tts/v1/voice", "/tts/v1/voice:stream"
Suite = tuple[Running, Upstream, Upstream]


def encoded(sound: bytes) -> dict[str, Any]:
    return {"audioContent": base64.b64encode(sound).decode(), "usage": {"processedCharactersCount": 13}}


def line(sound: bytes) -> bytes:
    return chunk(json.dumps({"result": encoded(sound)}).encode() + b"\n")


def bad(seen: Seen) -> Sequence[Step]:
    if seen.json["text"] == "break":
        return [HEAD % b"application/json", line(SOUND[:9]), Close]
    if seen.json["text"] == "refuse":
        return [whole(400, {"code": 3, "message": "unknown voice", "details": []})]
    return [whole(503, {"code": 14, "message": "busy", "details": []})]


def good(seen: Seen) -> Sequence[Step]:
    if seen.path.endswith("/audio/speech"):
        return [HEAD % b"audio/mpeg", chunk(SOUND[:99]), chunk(SOUND[99:]), STREAM_END]
    if seen.path.endswith(STREAM):
        return [HEAD % b"application/json", line(SOUND[:99]), line(SOUND[99:]), STREAM_END]
    return [whole(200, encoded(SOUND))]


@pytest.fixture(params=TOPOLOGIES)
async def suite(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Suite]:
    """Inworld, which is overloaded; another Inworld and a server of OpenAI's speech, which are well."""
    async with running_upstream(bad) as first, running_upstream(good) as second:
        forms = [
            {"kind": "Provider", "name": "a-voice", "type": "inworld_tts", "base_url": first.url},
            {"kind": "Provider", "name": "good-voice", "type": "inworld_tts", "base_url": second.url},
            {"kind": "Provider", "name": "good", "type": "openai_compatible", "base_url": f"{second.url}/v1"},
            *(
                {"kind": "Model", "name": name, "prices": {"per_million_characters": 25}}
                for name in ("good-voice/second", "good/tts")
            ),
        ]
        async with running_suite(tmp_path, request.param, *forms) as running:
            yield running, first, second


@pytest.mark.parametrize("fallback", ["good-voice/second", "good/tts"])
async def test_speech_that_is_asked_for_whole_fails_over(suite: Suite, fallback: str) -> None:
    headers = {"authorization": f"Basic {KEY}"}
    answer = await suite[0].http.post(VOICE, json={**BODY, "models": [fallback]}, headers=headers)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert base64.b64decode(told["audioContent"]) == SOUND
    assert told["usage"]["processedCharactersCount"] == 13
    assert told["usage"]["cost"] == pytest.approx(13 * 25e-6)
    assert [a["success"] for a in told["metadata"]["attempts"]] == [False, True]
    assert suite[1].journal[0].json == BODY
    (record,) = records(suite[0])
    assert (record.api, record.outcome, record.stream, record.model) == ("inworld.speech", "ok", False, fallback)
    assert record.requested_model == "inworld-tts-2"
    assert record.usage.cost_usd == pytest.approx(13 * 25e-6)


@pytest.mark.parametrize("fallback", ["good-voice/second", "good/tts"])
async def test_speech_comes_in_lines_and_fails_over(suite: Suite, fallback: str) -> None:
    async with suite[0].http.stream("POST", STREAM, json={**BODY, "models": [fallback]}) as answer:
        lines = [json.loads(text) async for text in answer.aiter_lines()]
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["x-turnout-model"] == fallback
    assert b"".join(base64.b64decode(each["result"]["audioContent"]) for each in lines) == SOUND
    assert lines[-1]["result"]["usage"]["cost"] == pytest.approx(13 * 25e-6)
    assert [a["success"] for a in lines[-1]["metadata"]["attempts"]] == [False, True]
    (record,) = records(suite[0])
    assert (record.api, record.outcome, record.stream, record.model) == ("inworld.speech", "ok", True, fallback)


@pytest.mark.parametrize("path", [VOICE, STREAM])
async def test_errors_are_inworlds_statuses(suite: Suite, path: str) -> None:
    http = suite[0].http
    refused = await http.post(path, json={**BODY, "text": "refuse"})
    assert (refused.status_code, refused.json()["code"], refused.json()["message"]) == (400, 3, "unknown voice")
    busy = await http.post(path, json=BODY)
    assert (busy.status_code, busy.json()["code"]) == (503, 14)
    stranger = await http.post(path, json=BODY, headers={"authorization": "Basic nobody"})
    assert (stranger.status_code, stranger.json()["code"]) == (401, 16)
    unknown = await http.post(path, json={**BODY, "modelId": "nobody/m"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, 5)
    missing = await http.get(path)
    assert (missing.status_code, missing.json()["code"]) == (405, 12)


async def test_a_stream_that_breaks_ends_with_an_error_line(suite: Suite) -> None:
    async with suite[0].http.stream("POST", STREAM, json={**BODY, "text": "break", "models": ["good/tts"]}) as answer:
        lines = [json.loads(text) async for text in answer.aiter_lines()]
    assert base64.b64decode(lines[0]["result"]["audioContent"]) == SOUND[:9]
    assert (len(lines), lines[1]["error"]["code"]) == (2, 14)
    assert lines[1]["metadata"]["attempts"][0]["success"] is False
    (record,) = records(suite[0])
    assert record.outcome == "broken"
    assert not suite[2].journal
