"""Spoken answers through bridge and worker, in both topologies: text and sound interleaved, failover, the SDK."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.inprocess import KEY, TOPOLOGIES, Running, eventually, records, running_suite
from tests.support.upstream import (
    STREAM_END,
    STREAM_HEAD,
    Close,
    Pause,
    Seen,
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

LINES_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
SOUND_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: audio/pcm\r\ntransfer-encoding: chunked\r\n\r\n"
OVERLOADED = whole(503, {"error": {"message": "no", "type": "server_error", "param": None, "code": None}})
SENTENCES = ("Hello there, my friend. ", "This is the second sentence of it. ", "And here the third one ends.")
TEXT = "".join(SENTENCES)


def sound_of(text: str) -> bytes:
    """What our provider says for a text: two bytes per character."""
    return b"".join(bytes((ord(c) & 0xFF, 1)) for c in text)


def line(sound: bytes) -> bytes:
    return chunk(json.dumps({"result": {"audioContent": base64.b64encode(sound).decode()}}).encode() + b"\n")


def speech(seen: Seen) -> list[Step]:
    """Inworld's speech of a request, in two pieces."""
    sound = sound_of(seen.json["text"])
    return [LINES_HEAD, line(sound[:7]), line(sound[7:]), STREAM_END]


Script = Callable[[Seen], Sequence[Step]]


@asynccontextmanager
async def voiced(
    folder: Path, topology: str, text: Script, speak: Script = speech, other: Script = speech, **more: Any
) -> AsyncIterator[tuple[Running, Upstream, Upstream, Upstream]]:
    """A suite with a provider of chat and two of speech."""
    async with (
        running_upstream(text) as chat,
        running_upstream(speak) as voice,
        running_upstream(other) as second,
    ):
        forms = [
            {"kind": "Provider", "name": "llm", "type": "openai_compatible", "base_url": f"{chat.url}/v1"},
            {"kind": "Provider", "name": "claude", "type": "anthropic", "base_url": chat.url},
            {"kind": "Provider", "name": "tts", "type": "inworld_tts", "base_url": voice.url},
            {"kind": "Provider", "name": "zweite", "type": "inworld_tts", "base_url": second.url},
            {"kind": "Provider", "name": "compatible", "type": "openai_compatible", "base_url": f"{second.url}/v1"},
            {"kind": "Model", "name": "tts/inworld-tts-2", "prices": {"per_million_characters": 25}},
            {"kind": "Model", "name": "llm/m", "prices": {"input_per_million": 1, "output_per_million": 2}},
        ]
        async with running_suite(folder, topology, *forms, **more) as running:
            yield running, chat, voice, second


def says(*texts: str) -> Script:
    """A model of OpenAI's or Anthropic's protocol that says `texts`, streamed or whole."""

    def script(seen: Seen) -> Sequence[Step]:
        claude = seen.path.endswith("/messages")
        if seen.json.get("stream"):
            return streamed(anthropic_events(*texts) if claude else openai_events(*texts))
        joined = "".join(texts)
        return [whole(200, anthropic_answer(joined) if claude else openai_answer(joined))]

    return script


def ask(audio: Any = None, **more: Any) -> dict[str, Any]:
    base = {"model": "llm/m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
    return {**base, "audio": audio or {"voice": "Dennis", "model": "inworld-tts-2"}, **more}


async def chunks(suite: Running, body: dict[str, Any]) -> list[Any]:
    """The objects of a stream, `[DONE]` as text."""
    found = []
    async with suite.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for told in answer.aiter_lines():
            if told.startswith("data: "):
                data = told.removeprefix("data: ")
                found.append(data if data == "[DONE]" else json.loads(data))
    return found


def delta(value: Any) -> dict[str, Any]:
    choices = value.get("choices") if isinstance(value, dict) else None
    found: dict[str, Any] = choices[0].get("delta", {}) if choices else {}
    return found


def text_in(found: Sequence[Any]) -> str:
    return "".join(delta(value).get("content") or "" for value in found)


def sounds(found: Sequence[Any]) -> list[tuple[str, bytes]]:
    """Transcript and sound of each segment."""
    segments: list[tuple[str, bytes]] = []
    for value in found:
        audio = delta(value).get("audio") or {}
        if "transcript" in audio:
            segments.append((audio["transcript"], b""))
        if "data" in audio:
            told, before = segments[-1]
            segments[-1] = (told, before + base64.b64decode(audio["data"]))
    return segments


def metadata(found: Sequence[Any]) -> dict[str, Any]:
    told: dict[str, Any] = next(v["metadata"] for v in reversed(found) if isinstance(v, dict) and "metadata" in v)
    return told


SPOKEN = [(text, sound_of(text.strip())) for text in SENTENCES]


@pytest.fixture(params=TOPOLOGIES)
def topology(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("model", ["llm/m", "claude/m"])
async def test_text_and_sound_come_in_order_and_the_end_waits_for_both(
    tmp_path: Path, topology: str, model: str
) -> None:
    async with voiced(tmp_path, topology, says(*(TEXT[i : i + 3] for i in range(0, len(TEXT), 3)))) as (
        suite,
        _,
        tts,
        _,
    ):
        found = await chunks(suite, ask(model=model, stream_options={"include_usage": True}))
        assert text_in(found) == TEXT
        assert sounds(found) == SPOKEN
        assert found[-1] == "[DONE]"
        last = max(i for i, value in enumerate(found) if delta(value).get("audio"))
        finish = next(
            i for i, v in enumerate(found) if isinstance(v, dict) and v["choices"] and v["choices"][0]["finish_reason"]
        )
        assert last < finish
        first = delta(next(v for v in found if delta(v).get("audio")))["audio"]
        assert (first["format"], first["sample_rate"], first["id"][:14]) == ("pcm16", 48_000, "audio_turnout_")
        told = metadata(found)
        audio = told["audio"]
        spoken = sum(len(text.strip()) for text in SENTENCES)
        assert (audio["model"], audio["voice"], audio["segments"]) == ("tts/inworld-tts-2", "Dennis", 3)
        assert (audio["characters"], audio["cost"]) == (spoken, pytest.approx(spoken * 25e-6))
        assert 0 < audio["time_to_first_audio_ms"] <= told["total_duration_ms"]
        assert [a["model"] for a in told["attempts"]] == [model]
        assert [seen.json["audioConfig"] for seen in tts.journal] == [
            {"audioEncoding": "PCM", "sampleRateHertz": 48000}
        ] * 3
        assert all("audio" not in seen.json for seen in tts.journal)


async def test_the_first_sound_comes_before_the_text_is_finished(tmp_path: Path, topology: str) -> None:
    pause = Pause()
    frames = openai_events(SENTENCES[0], "This", *SENTENCES[1:])
    script = [STREAM_HEAD, *(chunk(f) for f in frames[:3]), pause, *(chunk(f) for f in frames[3:]), STREAM_END]
    found: list[Any] = []
    async with (
        voiced(tmp_path, topology, lambda seen: script) as (suite, chat, _, _),
        suite.http.stream("POST", "/v1/chat/completions", json=ask()) as answer,
        asyncio.timeout(20),
    ):
        async for told in answer.aiter_lines():
            if not told.startswith("data: {"):
                continue
            found.append(json.loads(told[6:]))
            if not pause.go.is_set() and sounds(found) and sounds(found)[0] == SPOKEN[0]:
                # All of the first sentence was heard, and the model waits in the middle of the second.
                assert text_in(found) == SENTENCES[0] + "This"
                chat.release(pause)
    assert pause.go.is_set()
    assert len(sounds(found)) == 3


async def test_text_never_waits_for_sound(tmp_path: Path, topology: str) -> None:
    pause = Pause()

    def slow(seen: Seen) -> list[Step]:
        return [LINES_HEAD, pause, *speech(seen)[1:]]

    texts = [f"This is the sentence with the number {n} of many. " for n in range(12)]
    async with voiced(tmp_path, topology, says(*texts), slow) as (suite, _, tts, _):
        found: list[Any] = []
        async with suite.http.stream("POST", "/v1/chat/completions", json=ask()) as answer, asyncio.timeout(20):
            async for told in answer.aiter_lines():
                if told.startswith("data: {"):
                    found.append(json.loads(told[6:]))
                    if not pause.go.is_set() and text_in(found) == "".join(texts):
                        assert not sounds(found)
                        assert len(tts.journal) <= 1, "the others wait until the first one begins"
                        tts.release(pause)
        assert [text for text, _ in sounds(found)] == texts


async def test_the_number_of_segments_ahead_is_bounded(tmp_path: Path, topology: str) -> None:
    pause = Pause()

    def held(seen: Seen) -> list[Step]:
        sound = sound_of(seen.json["text"])
        return [LINES_HEAD, line(sound[:8]), pause, line(sound[8:]), STREAM_END]

    texts = [f"This is the sentence with the number {n} of many. " for n in range(12)]
    async with voiced(tmp_path, topology, says(*texts), held) as (suite, _, tts, _):
        found: list[Any] = []
        async with suite.http.stream("POST", "/v1/chat/completions", json=ask()) as answer, asyncio.timeout(20):
            async for told in answer.aiter_lines():
                if told.startswith("data: {"):
                    found.append(json.loads(told[6:]))
                    if not pause.go.is_set() and text_in(found) == "".join(texts) and sounds(found):
                        await eventually(lambda: len(tts.journal) == 3)
                        assert len(sounds(found)) == 1
                        tts.release(pause)
        assert [text for text, _ in sounds(found)] == texts
        assert len(tts.journal) == 12


async def test_another_provider_speaks_when_the_first_cannot(tmp_path: Path, topology: str) -> None:
    audio = {
        "voice": "Dennis",
        "model": "tts/inworld-tts-2",
        "models": [{"model": "zweite/inworld-tts-2", "voice": "Ashley"}],
    }
    async with voiced(tmp_path, topology, says(*SENTENCES), lambda seen: [OVERLOADED]) as (suite, _, tts, other):
        found = await chunks(suite, ask(audio))
        assert sounds(found) == SPOKEN
        told = metadata(found)["audio"]
        assert (told["model"], told["voice"], told["attempts"]) == ("zweite/inworld-tts-2", "Ashley", 4)
        assert "error" not in told
        # Who spoke first speaks on: the voice does not change in the middle.
        assert (len(tts.journal), len(other.journal)) == (1, 3)
        assert {seen.json["voiceId"] for seen in other.journal} == {"Ashley"}


async def test_speech_that_breaks_in_a_segment_is_told_and_the_text_is_whole(tmp_path: Path, topology: str) -> None:
    def breaks(seen: Seen) -> list[Step]:
        if not seen.json["text"].startswith("This"):
            return speech(seen)
        return [LINES_HEAD, line(sound_of(seen.json["text"])[:8]), Close]

    async with voiced(tmp_path, topology, says(*SENTENCES), breaks) as (suite, _, _, _):
        found = await chunks(suite, ask())
        assert text_in(found) == TEXT
        assert found[-1] == "[DONE]"
        assert sounds(found) == [SPOKEN[0], (SENTENCES[1], SPOKEN[1][1][:8])]
        told = metadata(found)
        assert told["audio"]["segments"] == 1
        assert told["audio"]["error"]["code"] == "disconnected"
        assert any("not spoken to its end" in warning for warning in told["warnings"])
        chat = next(r for r in records(suite) if r.api == "chat.completions")
        assert (chat.outcome, list(chat.warnings)) == ("ok", told["warnings"])
        assert [r.outcome for r in records(suite) if r.api == "audio.speech"][:2] == ["ok", "broken"]


@pytest.mark.parametrize("stream", [True, False])
async def test_text_stays_whole_when_nobody_can_speak(tmp_path: Path, topology: str, stream: bool) -> None:
    async with voiced(tmp_path, topology, says(*SENTENCES), lambda seen: [OVERLOADED]) as (suite, _, _, _):
        if stream:
            found = await chunks(suite, ask())
            assert (text_in(found), sounds(found), found[-1]) == (TEXT, [], "[DONE]")
            told = metadata(found)
        else:
            answer = (await suite.http.post("/v1/chat/completions", json=ask(stream=False))).json()
            assert answer["choices"][0]["message"]["content"] == TEXT
            assert "audio" not in answer["choices"][0]["message"]
            told = answer["metadata"]
        assert told["audio"]["error"]["code"] == "overloaded"
        assert "time_to_first_audio_ms" not in told["audio"]
        assert told["warnings"]


@pytest.mark.parametrize("stream", [True, False])
async def test_sound_that_is_required_ends_the_answer(tmp_path: Path, topology: str, stream: bool) -> None:
    audio = {"voice": "Dennis", "model": "inworld-tts-2", "required": True}
    async with voiced(tmp_path, topology, says(*SENTENCES), lambda seen: [OVERLOADED]) as (suite, _, _, _):
        if stream:
            found = await chunks(suite, ask(audio))
            assert found[-1]["error"]["code"] == "overloaded"
            assert found[-1]["metadata"]["audio"]["error"]["code"] == "overloaded"
        else:
            answer = await suite.http.post("/v1/chat/completions", json=ask(audio, stream=False))
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "overloaded")
        record = next(r for r in records(suite) if r.api == "chat.completions")
        assert record.outcome == ("broken" if stream else "failed")


async def test_a_caller_that_goes_away_ends_text_and_speech(tmp_path: Path, topology: str) -> None:
    silent = [LINES_HEAD, line(sound_of("Hell")), Pause()]
    frames = openai_events(SENTENCES[0], SENTENCES[1])
    text = [STREAM_HEAD, *(chunk(f) for f in frames[:3]), Pause()]
    async with voiced(tmp_path, topology, lambda seen: text, lambda seen: silent) as (suite, chat, tts, _):
        async with suite.http.stream("POST", "/v1/chat/completions", json=ask()) as answer:
            found = []
            async with aclosing(answer.aiter_lines()) as lines:
                async for told in lines:
                    if told.startswith("data: {"):
                        found.append(json.loads(told[6:]))
                        if sounds(found) and sounds(found)[0][1]:
                            break
        await asyncio.wait_for(_all_ended(chat, tts), 5)
        await eventually(lambda: len(records(suite)) == 2)
        assert {(r.api, r.outcome) for r in records(suite)} == {
            ("chat.completions", "cancelled"),
            ("audio.speech", "cancelled"),
        }
        assert suite.worker.engine.in_flight == 0


async def test_a_caller_of_a_whole_answer_that_goes_away_ends_its_speech(tmp_path: Path, topology: str) -> None:
    silent = [LINES_HEAD, line(sound_of("Hell")), Pause()]
    async with voiced(tmp_path, topology, says(TEXT), lambda seen: silent) as (suite, _, tts, _):
        call = asyncio.ensure_future(suite.http.post("/v1/chat/completions", json=ask(stream=False)))
        await asyncio.wait_for(tts.arrived.wait(), 5)
        call.cancel()
        await asyncio.wait({call})
        await eventually(lambda: len(records(suite)) >= 2)
        await asyncio.wait_for(_all_ended(tts), 5)
        assert {r.outcome for r in records(suite)} == {"cancelled"}
        assert suite.worker.engine.in_flight == 0


async def _all_ended(*upstreams: Upstream) -> None:
    for upstream in upstreams:
        for seen in upstream.journal:
            await seen.ended.wait()


async def test_text_that_breaks_ends_the_speech(tmp_path: Path, topology: str) -> None:
    frames = openai_events(SENTENCES[0], SENTENCES[1])
    script = [STREAM_HEAD, *(chunk(f) for f in frames[:3]), Close]
    async with voiced(tmp_path, topology, lambda seen: script) as (suite, _, _, _):
        found = await chunks(suite, ask())
        assert "error" in found[-1]
        assert "audio" in found[-1]["metadata"]
        assert next(r for r in records(suite) if r.api == "chat.completions").outcome == "broken"


@pytest.mark.parametrize("model", ["llm/m", "claude/m"])
@pytest.mark.parametrize("kind", ["pcm16", "wav", "mp3"])
async def test_a_whole_answer_has_all_of_its_sound(tmp_path: Path, topology: str, model: str, kind: str) -> None:
    audio = {"voice": "Dennis", "model": "inworld/inworld-tts-2", "format": kind}
    async with voiced(tmp_path, topology, says(TEXT)) as (suite, _, _, _):
        answer = (await suite.http.post("/v1/chat/completions", json=ask(audio, model=model, stream=False))).json()
        message = answer["choices"][0]["message"]
        assert message["content"] == TEXT
        sound = base64.b64decode(message["audio"]["data"])
        expected = b"".join(piece for _, piece in SPOKEN)
        if kind == "wav":
            assert sound[:4] == b"RIFF"
            assert int.from_bytes(sound[40:44], "little") == len(expected)
            sound = sound[44:]
        assert sound == expected
        assert message["audio"]["transcript"] == TEXT
        assert message["audio"].get("sample_rate") == (None if kind == "mp3" else 48_000)
        if model == "llm/m":
            cost = answer["usage"]["cost_details"]
            assert cost["text"] == pytest.approx((9 * 1 + 4 * 2) / 1e6)
            assert answer["usage"]["cost"] == pytest.approx(cost["text"] + cost["audio"])


async def test_the_official_sdk_reads_streams_and_whole_answers(tmp_path: Path, topology: str) -> None:
    audio: Any = {"voice": "Dennis", "model": "inworld-tts-2", "format": "wav"}
    turn: Any = {"role": "user", "content": "Hi"}
    async with (
        voiced(tmp_path, topology, says(*SENTENCES)) as (suite, chat, _, _),
        openai.AsyncOpenAI(api_key=KEY, base_url=f"{suite.url}/v1", max_retries=0) as client,
    ):
        answer = await client.chat.completions.create(model="llm/m", messages=[turn], audio=audio)
        message = answer.choices[0].message
        assert message.audio is not None
        assert message.audio.transcript == message.content == TEXT
        assert base64.b64decode(message.audio.data)[:4] == b"RIFF"
        assert message.audio.expires_at > 0
        stream = await client.chat.completions.create(model="llm/m", messages=[turn], audio=audio, stream=True)
        transcript, sound = "", b""
        async for event in stream:
            told = getattr(event.choices[0].delta, "audio", None) if event.choices else None
            if told is not None:
                transcript += told.transcript or ""
                sound += base64.b64decode(told.data or "")
        assert transcript == TEXT
        assert sound[:4] == b"RIFF"
        assert sound[44:] == b"".join(piece for _, piece in SPOKEN)
        # The turn goes back as the SDK gives it; the model hears the words.
        again: Any = [turn, message.model_dump(exclude={"content"}, exclude_none=True), turn]
        await client.chat.completions.create(model="llm/m", messages=again, audio=audio)
        assert chat.journal[-1].json["messages"][1] == {"role": "assistant", "content": TEXT}


async def test_records_and_links(tmp_path: Path, topology: str) -> None:
    async with voiced(tmp_path, topology, says(*SENTENCES)) as (suite, _, _, _):
        await chunks(suite, ask())
        found = {r.generation_id: r for r in records(suite)}
        chat = next(r for r in found.values() if r.api == "chat.completions")
        spoken = [r for r in found.values() if r.api == "audio.speech"]
        assert len(spoken) == 3
        assert chat.HasField("time_to_first_audio_ms")
        assert chat.time_to_first_audio_ms >= chat.time_to_first_token_ms
        for record in spoken:
            assert record.parent_generation_id == chat.generation_id
            assert (record.trace_id, record.parent_span_id) == (chat.trace_id, chat.span_id)
            assert (record.model, record.outcome, record.api_key_name) == ("tts/inworld-tts-2", "ok", "test")
            assert record.usage.cost_usd == pytest.approx(record.usage.characters * 25e-6)


async def test_a_model_that_speaks_itself_is_left_alone(tmp_path: Path, topology: str) -> None:
    audio = {"voice": "alloy", "format": "mp3"}
    answer = openai_answer()
    answer["choices"][0]["message"] |= {
        "content": None,
        "audio": {"id": "audio_1", "data": "AAAA", "transcript": "Hi", "expires_at": 1},
    }
    async with voiced(tmp_path, topology, lambda seen: [whole(200, answer)]) as (suite, chat, tts, _):
        body = ask(audio, modalities=["text", "audio"], stream=False)
        got = (await suite.http.post("/v1/chat/completions", json=body)).json()
        assert got["choices"][0]["message"]["audio"]["id"] == "audio_1"
        assert chat.journal[0].json["audio"] == audio
        assert not tts.journal


async def test_openais_shape_is_served_for_models_that_do_not_speak(tmp_path: Path, topology: str) -> None:
    async with voiced(tmp_path, topology, says(TEXT)) as (suite, chat, _, _):
        body = ask({"voice": "Dennis", "format": "pcm16"}, model="claude/m", modalities=["text", "audio"], stream=False)
        got = (await suite.http.post("/v1/chat/completions", json=body)).json()
        assert got["choices"][0]["message"]["audio"]["transcript"] == TEXT
        assert got["metadata"]["audio"]["model"] == "tts/inworld-tts-2"
        assert not {"audio", "modalities"} & chat.journal[0].json.keys()


@pytest.mark.parametrize(
    ("audio", "param", "told"),
    [
        (True, "audio", "must be an object"),
        ({"model": "inworld-tts-2"}, "audio.voice", "must name a voice"),
        ({"voice": "Dennis", "format": "flac"}, "audio.format", "must be one of"),
        ({"voice": "Dennis", "model": "nobody/x"}, "audio.model", "no provider 'nobody'"),
        ({"voice": "Dennis", "model": "claude/m"}, "audio.model", "no provider of 'claude/m' makes speech"),
        ({"voice": "alloy"}, "audio.model", "nothing in the policy fits the voice 'alloy'"),
        ({"voice": "Dennis", "sample_rate": 1}, "audio.sample_rate", "from 8000 to 48000"),
        ({"voice": "Dennis", "required": "yes"}, "audio.required", "true or false"),
        ({"voice": "Dennis", "models": [1]}, "audio.models[0]", "name of a model"),
    ],
)
async def test_a_wish_that_cannot_be_fulfilled_is_refused(tmp_path: Path, audio: Any, param: str, told: str) -> None:
    async with voiced(tmp_path, "fused", says(TEXT)) as (suite, chat, _, _):
        answer = await suite.http.post("/v1/chat/completions", json=ask(audio))
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, param)
        assert told in error["message"]
        assert not chat.journal


async def test_openrouters_clients_get_it_too(tmp_path: Path, topology: str) -> None:
    async with voiced(tmp_path, topology, says(*SENTENCES)) as (suite, _, _, _):
        answer = await suite.http.post("/api/v1/chat/completions", json=ask())
        found = [json.loads(told[6:]) for told in answer.text.splitlines() if told.startswith("data: {")]
        assert sounds(found) == SPOKEN
        assert all(value["provider"] == "llm" for value in found)


async def test_speech_at_a_provider_of_openais_protocol(tmp_path: Path, topology: str) -> None:
    def plain(seen: Seen) -> list[Step]:
        sound = sound_of(seen.json["input"])
        return [SOUND_HEAD, chunk(sound[:5]), chunk(sound[5:]), STREAM_END]

    audio = {"voice": "af_bella", "model": "compatible/kokoro-tts", "speed": 1.1, "delivery_mode": "STABLE"}
    async with voiced(tmp_path, topology, says(*SENTENCES), speech, plain) as (suite, _, _, other):
        found = await chunks(suite, ask(audio))
        assert sounds(found) == SPOKEN
        told = metadata(found)
        assert (told["audio"]["sample_rate"], told["audio"]["cost"]) == (24_000, None)
        assert any("delivery_mode was dropped" in warning for warning in told["warnings"])
        assert any("price of the speech is not known" in warning for warning in told["warnings"])
        sent = other.journal[0].json
        assert sent == {
            "model": "kokoro-tts",
            "input": SENTENCES[0].strip(),
            "voice": "af_bella",
            "response_format": "pcm",
            "speed": 1.1,
        }
