"""The APIs that are not chat through bridge and worker, in both topologies, by the official SDKs."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.support.inprocess import KEY, TOPOLOGIES, Running, records, running_suite
from tests.support.upstream import STREAM_END, STREAM_HEAD, Seen, Step, Upstream, chunk, running_upstream, whole

SOUND = b"ID3" + bytes(range(256)) * 40
SOUND_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n"
LINES_HEAD = SOUND_HEAD.replace(b"audio/mpeg", b"application/json")
TEXT_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n\r\n"
OVERLOADED = whole(503, {"error": {"message": "no", "type": "server_error", "param": None, "code": None}})
TOKENS = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}


def event(value: dict[str, Any]) -> bytes:
    return chunk(f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode())


def embedding(seen: Seen) -> list[Step]:
    inputs = seen.json["input"]
    count = 1 if isinstance(inputs, str) else len(inputs)
    rows = [{"object": "embedding", "index": i, "embedding": [0.5, -1.25, float(i)]} for i in range(count)]
    return [
        whole(200, {"object": "list", "data": rows, "model": "m", "usage": {"prompt_tokens": 3, "total_tokens": 3}})
    ]


def transcript(seen: Seen) -> list[Step]:
    if b'name="stream"' in seen.body:
        delta, done = {"type": "transcript.text.delta", "delta": "Hé"}, {"type": "transcript.text.done", "text": "Hé"}
        return [STREAM_HEAD, event(delta), event({**done, "usage": TOKENS}), chunk(b"data: [DONE]\n\n"), STREAM_END]
    if b"\r\n\r\nsrt\r\n" in seen.body:
        text = "1\n00:00 --> 00:01\nHé\n".encode()
        return [TEXT_HEAD % len(text) + text]
    return [whole(200, {"text": "Hé", "usage": {"type": "duration", "seconds": 4}})]


def pictures(seen: Seen, name: str) -> list[Step]:
    if b'"stream":true' in seen.body.replace(b" ", b"") or b'name="stream"' in seen.body:
        part, last = (
            {"type": f"{name}.partial_image", "b64_json": "aGk=", "partial_image_index": 0},
            {"b64_json": "aGk="},
        )
        return [STREAM_HEAD, event(part), event({"type": f"{name}.completed", **last, "usage": TOKENS}), STREAM_END]
    return [whole(200, {"created": 1, "data": [{"b64_json": "aGk="}], "usage": TOKENS})]


def speech(seen: Seen) -> list[Step]:
    if seen.path.startswith("/tts"):
        lines = [
            {"result": {"audioContent": base64.b64encode(SOUND[i : i + 999]).decode()}}
            for i in range(0, len(SOUND), 999)
        ]
        return [LINES_HEAD, *(chunk(json.dumps(line).encode() + b"\n") for line in lines), STREAM_END]
    if seen.json.get("stream_format") == "sse":
        delta = {"type": "speech.audio.delta", "audio": base64.b64encode(SOUND).decode()}
        return [STREAM_HEAD, event(delta), event({"type": "speech.audio.done", "usage": TOKENS}), STREAM_END]
    return [SOUND_HEAD, chunk(SOUND[:1]), chunk(SOUND[1:]), STREAM_END]


def answered(seen: Seen) -> Sequence[Step]:
    name = seen.path.partition("/v1/")[2]
    if "speech" in name or "voice" in name:
        return speech(seen)
    if name.startswith("images"):
        return pictures(seen, "image_edit" if name.endswith("edits") else "image_generation")
    if name.startswith("audio"):
        return transcript(seen)
    if name == "embeddings":
        return embedding(seen)
    if name == "moderations":
        return [whole(200, {"id": "modr-1", "model": "m", "results": [{"flagged": True, "categories": {}}]})]
    return [whole(200, {"input_tokens": 43})]


@pytest.fixture(params=TOPOLOGIES)
async def suite(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Running, Upstream, Upstream]]:
    """A suite with a provider that is overloaded and one that is well, each speaking all that it can."""
    async with running_upstream(lambda seen: [OVERLOADED]) as bad, running_upstream(answered) as good:
        forms = []
        for name, upstream in (("bad", bad), ("good", good)):
            base = {"kind": "Provider", "name": name, "type": "openai_compatible"}
            forms.append({**base, "base_url": f"{upstream.url}/v1"})
            forms.append({**base, "name": f"{name}-claude", "type": "anthropic", "base_url": upstream.url})
            forms.append({**base, "name": f"{name}-voice", "type": "inworld_tts", "base_url": upstream.url})
        async with running_suite(tmp_path, request.param, *forms, router("pair", "bad/m", "good/m")) as running:
            yield running, bad, good


def router(name: str, *models: str) -> dict[str, Any]:
    variant = {"variant_id": "v", "model_id": models[0], "model_selection": {"models": list(models[1:])}}
    return {
        "kind": "Router",
        "name": name,
        "default_route": {"route_id": "r", "variants": [{"weight": 100, "variant": variant}]},
    }


def sdk(suite: Running) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=KEY, base_url=f"{suite.url}/v1", max_retries=0)


Suite = tuple[Running, Upstream, Upstream]
PAIR = "inworld/pair"


def check(suite: Suite, api: str, *, stream: bool = False) -> Any:
    """One request failed over, and was recorded; returns its record."""
    running, bad, good = suite
    assert len(bad.journal) == len(good.journal) == 1
    (record,) = records(running)
    assert (record.api, record.outcome, record.status, record.stream) == (api, "ok", 200, stream)
    assert [(a.failure, a.success) for a in record.attempts] == [("OVERLOADED", False), ("", True)]
    assert record.model.startswith("good")
    assert record.HasField("time_to_first_token_ms")
    return record


async def test_embeddings(suite: Suite) -> None:
    async with sdk(suite[0]) as client:
        answer = await client.embeddings.create(model=PAIR, input=["a", "ü"], dimensions=3, user="me")
    assert [row.embedding for row in answer.data] == [[0.5, -1.25, 0.0], [0.5, -1.25, 1.0]]
    assert answer.model == "good/m"
    sent = suite[2].journal[0].json
    assert sent == {"input": ["a", "ü"], "model": "m", "dimensions": 3, "user": "me", "encoding_format": "base64"}
    raw = await suite[0].http.post(
        "/api/v1/embeddings", json={"model": "good/m", "input": "a", "encoding_format": "base64"}
    )
    assert base64.b64decode(raw.json()["data"][0]["embedding"]) == struct.pack("<3f", 0.5, -1.25, 0.0)
    record = records(suite[0])[0]
    assert (record.api, record.usage.input_tokens, record.user_hash != "") == ("embeddings", 3, True)


async def test_moderations(suite: Suite) -> None:
    async with sdk(suite[0]) as client:
        answer = await client.moderations.create(model=PAIR, input="harm")
    assert answer.results[0].flagged
    check(suite, "moderations")


async def test_images(suite: Suite) -> None:
    async with sdk(suite[0]) as client:
        answer = await client.images.generate(model=PAIR, prompt="a cat", size="1024x1024")
    assert answer.data is not None
    assert answer.data[0].b64_json == "aGk="
    record = check(suite, "images")
    assert (record.usage.input_tokens, record.usage.output_tokens) == (5, 7)


async def test_images_that_stream(suite: Suite) -> None:
    async with sdk(suite[0]) as client:
        events = [
            e async for e in await client.images.generate(model=PAIR, prompt="a cat", stream=True, partial_images=1)
        ]
    assert [e.type for e in events] == ["image_generation.partial_image", "image_generation.completed"]
    assert events[1].to_dict()["metadata"]["attempts"][1]["success"] is True
    check(suite, "images", stream=True)


@pytest.mark.parametrize("stream", [False, True])
async def test_image_edits(suite: Suite, stream: bool) -> None:
    async with sdk(suite[0]) as client:
        image = ("a.png", b"\x89PNG" + bytes(1000))
        if stream:
            found = [e.type async for e in await client.images.edit(model=PAIR, image=image, prompt="red", stream=True)]
            assert found == ["image_edit.partial_image", "image_edit.completed"]
        else:
            answer = await client.images.edit(model=PAIR, image=[image, image], prompt="red")
            assert answer.data is not None
    check(suite, "image.edits", stream=stream)
    assert suite[2].journal[0].body.count(image[1]) == (1 if stream else 2)


async def test_speech(suite: Suite) -> None:
    async with sdk(suite[0]) as client:
        asked = client.audio.speech.with_streaming_response.create(model=PAIR, voice="alloy", input="Hello.")
        async with asked as answer:
            assert b"".join([piece async for piece in answer.iter_bytes()]) == SOUND
            headers = answer.headers
    assert headers["content-type"] == "audio/mpeg"
    assert headers["x-turnout-model"] == "good/m"
    assert headers["x-turnout-attempts"] == "2"
    record = check(suite, "audio.speech", stream=True)
    assert record.generation_id == headers["x-generation-id"]


async def test_speech_as_events(suite: Suite) -> None:
    async with sdk(suite[0]) as client:
        asked = client.audio.speech.with_streaming_response.create(
            model=PAIR, voice="alloy", input="Hello.", stream_format="sse"
        )
        async with asked as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = [json.loads(line[6:]) async for line in answer.iter_lines() if line.startswith("data: ")]
    assert [line["type"] for line in lines] == ["speech.audio.delta", "speech.audio.done"]
    assert lines[1]["usage"] == TOKENS
    check(suite, "audio.speech", stream=True)


async def test_speech_fails_over_from_inworld_to_openai_and_back(suite: Suite) -> None:
    async with sdk(suite[0]) as client:
        for models in (["bad-voice/tts", "good/tts"], ["bad/tts", "good-voice/tts"]):
            answer = await client.audio.speech.create(
                model=models[0],
                voice="Dennis",
                input="Hello.",
                instructions="whisper",
                extra_body={"models": models[1:]},
            )
            assert answer.content == SOUND
            assert answer.response.headers["x-turnout-model"] == models[1]
    assert "instructions was dropped" in answer.response.headers["x-turnout-warnings"]
    body = suite[2].journal[-1].json
    assert body == {"text": "Hello.", "voiceId": "Dennis", "modelId": "tts", "audioConfig": {"audioEncoding": "MP3"}}


NO_VOICE = (
    "[{'type': 'enum', 'loc': ('body', 'voice'), 'msg': \"Input should be 'nova' or 'alloy'\", 'input': 'Dennis'}]"
)


def picky(seen: Seen) -> Sequence[Step]:
    """Speech for two voices: OpenAI's alloy and Inworld's Ashley. Each API refuses others as its vendor does."""
    inworld = seen.path.startswith("/tts")
    if seen.json["voiceId" if inworld else "voice"] in {"alloy", "Ashley"}:
        return speech(seen)
    if inworld:
        return [whole(404, {"code": 5, "message": f"Unknown voice: {seen.json['voiceId']} not found!", "details": []})]
    return [whole(400, {"error": {"message": NO_VOICE, "type": "invalid_request_error", "param": None, "code": None}})]


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_a_voice_that_one_provider_refuses_is_spoken_by_the_next(topology: str, tmp_path: Path) -> None:
    async with running_upstream(picky) as upstream:
        forms = [
            {"kind": "Provider", "name": "a", "type": "openai", "base_url": f"{upstream.url}/v1"},
            {"kind": "Provider", "name": "b", "type": "inworld_tts", "base_url": upstream.url},
            {
                "kind": "Provider",
                "name": "c",
                "type": "inworld_tts",
                "base_url": upstream.url,
                "voices": {"alloy": "Ashley"},
            },
        ]
        async with running_suite(tmp_path, topology, *forms) as running, sdk(running) as client:
            asked: list[tuple[str, list[str], list[str]]] = [
                ("Ashley", ["a/tts-1"], [""]),
                ("Dennis", ["a/tts-1", "b/m", "c/m"], ["VOICE_MISSING"] * 3),
                ("alloy", ["b/m", "a/tts-1"], ["UNSUPPORTED", ""]),
                ("alloy", ["c/m"], [""]),
            ]
            for voice, models, failures in asked:
                more = {"models": models[1:]}
                call = client.audio.speech.create(model=models[0], voice=voice, input="Hello.", extra_body=more)
                if failures[-1]:
                    with pytest.raises(openai.BadRequestError) as caught:
                        await call
                    assert "Unknown voice: Dennis" in str(caught.value)
                else:
                    assert (await call).content == SOUND
                assert [a.failure for a in records(running)[-1].attempts] == failures
            assert upstream.journal[-1].json["voiceId"] == "Ashley"


async def test_text_that_is_too_long_for_inworld_goes_to_who_can(suite: Suite) -> None:
    async with sdk(suite[0]) as client:
        text, more = "x" * 5_000, {"models": ["good/tts"]}
        await client.audio.speech.create(model="good-voice/tts", voice="v", input=text, extra_body=more)
        with pytest.raises(openai.BadRequestError, match="4,096 characters at once"):
            await client.audio.speech.create(model="good-voice/tts", voice="v", input=text)
    assert [a.failure for a in records(suite[0])[0].attempts] == ["UNSUPPORTED", ""]


async def test_text_of_openais_length_is_spoken_by_inworld_in_several_requests(suite: Suite) -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 91
    async with sdk(suite[0]) as client:
        answer = await client.audio.speech.create(model="good-voice/tts", voice="v", input=text)
    assert answer.content == SOUND * 3
    assert "".join(seen.json["text"] for seen in suite[2].journal) == text
    (record,) = records(suite[0])
    assert [(a.failure, a.success) for a in record.attempts] == [("", True)]
    assert (record.usage.characters, record.status) == (len(text), 200)


async def test_transcriptions(suite: Suite) -> None:
    async with sdk(suite[0]) as client:
        file = ("a.wav", b"RIFF" + bytes(5_000))
        answer = await client.audio.transcriptions.create(model=PAIR, file=file, prompt="Größe")
    assert answer.text == "Hé"
    check(suite, "audio.transcriptions")
    body = suite[2].journal[0].body
    assert file[1] in body
    assert b'name="model"\r\n\r\nm\r\n' in body
    assert b"inworld/pair" not in body


async def test_transcriptions_that_stream(suite: Suite) -> None:
    async with sdk(suite[0]) as client:
        stream = await client.audio.transcriptions.create(model=PAIR, file=("a.wav", b"RIFF"), stream=True)
        events = [e async for e in stream]
    assert [e.type for e in events] == ["transcript.text.delta", "transcript.text.done"]
    check(suite, "audio.transcriptions", stream=True)


async def test_transcriptions_as_text(suite: Suite) -> None:
    async with sdk(suite[0]) as client:
        asked = client.audio.transcriptions.with_raw_response.create(
            model=PAIR, file=("a.wav", b"RIFF"), response_format="srt"
        )
        answer = await asked
    assert answer.text == "1\n00:00 --> 00:01\nHé\n"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-turnout-model"] == "good/m"
    check(suite, "audio.transcriptions")


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
async def test_translations(suite: Suite) -> None:
    async with sdk(suite[0]) as client:
        answer = await client.audio.translations.create(model=PAIR, file=("a.wav", b"RIFF"))
    assert answer.text == "Hé"
    check(suite, "audio.translations")


async def test_count_tokens(suite: Suite) -> None:
    running = suite[0]
    async with anthropic.AsyncAnthropic(api_key=KEY, base_url=running.url, max_retries=0) as client:
        messages: Any = [{"role": "user", "content": "What is the capital of France?"}]
        more = {"models": ["good-claude/c"]}
        counted = await client.messages.count_tokens(model="bad-claude/c", messages=messages, extra_body=more)
        guessed = await client.messages.count_tokens(model="good/m", messages=messages)
        with pytest.raises(anthropic.NotFoundError):
            await client.messages.count_tokens(model="nobody/m", messages=messages)
    assert counted.input_tokens == 43
    assert counted.to_dict()["metadata"]["attempts"][1]["model"] == "good-claude/c"
    assert guessed.to_dict()["metadata"]["estimated"] is True
    assert [seen.path for seen in suite[2].journal] == ["/v1/messages/count_tokens"]
    assert [r.api for r in records(running)] == ["messages.count_tokens"] * 3


async def test_a_file_of_25_mb_passes(suite: Suite) -> None:
    data = b"RIFF" + bytes(range(256)) * (25 * 4096)
    async with sdk(suite[0]) as client:
        answer = await client.audio.transcriptions.create(model="good/w", file=("größe.wav", data))
    assert answer.text == "Hé"
    assert data in suite[2].journal[0].body


async def test_a_body_that_is_too_large_or_no_form_is_refused_in_words(suite: Suite) -> None:
    http = suite[0].http
    large = await http.post("/v1/audio/transcriptions", content=bytes(33 * 1024 * 1024), headers={"content-type": "x"})
    assert large.status_code == 413
    for content, told in (
        (b"", "empty"),
        (b"--x\r\nbroken", "no end of its headers"),
        (b"{}", "does not hold the boundary"),
    ):
        headers = {"content-type": "multipart/form-data; boundary=x"}
        answer = await http.post("/v1/audio/transcriptions", content=content, headers=headers)
        assert answer.status_code == 400
        assert told in answer.json()["error"]["message"]
        assert answer.json()["metadata"]["generation_id"] == answer.headers["x-generation-id"]


async def test_conditions_route_these_apis_as_well(suite: Suite) -> None:
    def to(model: str) -> dict[str, Any]:
        return {
            "route_id": model.replace("/", "-"),
            "variants": [{"weight": 100, "variant": {"variant_id": "v", "model_id": model}}],
        }

    running = suite[0]
    conditions = (
        ('tier == "gold"', "good/gold"),
        ('messages.exists(m, m.content.contains("cat"))', "good/cat"),
    )
    routes = [{"condition": {"cel_expression": text}, "route": to(model)} for text, model in conditions]
    base = {"kind": "Provider", "name": "good", "type": "openai_compatible", "base_url": f"{suite[2].url}/v1"}
    running.put(base, {"kind": "Router", "name": "c", "routes": routes, "default_route": to("good/other")})
    async with sdk(running) as client:
        await client.images.generate(model="inworld/c", prompt="a cat")
        await client.embeddings.create(model="inworld/c", input="a dog")
        await client.audio.transcriptions.create(
            model="inworld/c", file=("a.wav", b"x"), extra_body={"metadata": {"tier": "gold"}}
        )
    assert [r.model for r in records(running)] == ["good/cat", "good/other", "good/gold"]
    assert b"gold" not in suite[2].journal[2].body.replace(b'name="model"\r\n\r\ngold', b"")
