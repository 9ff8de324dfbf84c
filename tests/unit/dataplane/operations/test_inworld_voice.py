"""Inworld's own speech API: requests, answers and errors, at Inworld and elsewhere, without an engine."""

from __future__ import annotations

import base64
import json
import wave
from io import BytesIO
from typing import Any

import pytest

from services.core.errors import ChainFailed, Failure, FailureKind, InvalidRequest
from services.dataplane.dialects.inworld_speech import InworldSpeech
from services.dataplane.operations.inworld import MAX_CHARACTERS
from services.dataplane.operations.registry import translate
from services.dataplane.translation import STREAM_HEADER, TokenUsage, Untranslatable
from tests.unit.dataplane.operations.build import EVIDENCE, JSON_TYPE, rendered, sent, target
from tests.unit.dataplane.operations.test_speech import line, played

K = FailureKind
DIALECT = InworldSpeech(translate)
ASKED = {"text": "Héllo.", "voiceId": "Dennis", "modelId": "p/inworld-tts-2"}
RAW = {"audioEncoding": "PCM", "sampleRateHertz": 24_000}
BROKEN = ChainFailed("it broke", failure=Failure(K.DISCONNECTED, "it broke"), status=502)


def read(body: Any, *, stream: bool = True) -> Any:
    headers = {**JSON_TYPE, **({STREAM_HEADER: "true"} if stream else {})}
    return DIALECT.read(json.dumps(body).encode(), headers)


def to(kind: str, *, stream: bool = True, **more: Any) -> Any:
    return read({**ASKED, **more}, stream=stream).translate(target(kind, "p/inworld-tts-2"))


def lines(data: bytes) -> list[Any]:
    assert data.endswith(b"\n")
    return [json.loads(text) for text in data.splitlines()]


def sounds(data: bytes) -> list[bytes]:
    return [base64.b64decode(value["result"]["audioContent"]) for value in lines(data)]


@pytest.mark.parametrize(("stream", "way"), [(True, ":stream"), (False, "")])
def test_inworld_gets_the_request_as_it_is_but_for_the_model_and_routing_fields(stream: bool, way: str) -> None:
    config = {"audio_encoding": "LINEAR16", "sampleRateHertz": 8000}
    given = {"text": "Hi", "voice_id": "Dennis", "model_id": "p/inworld-tts-2", "audio_config": config}
    more = {"timestampType": "WORD", "new_field": 1, "metadata": {"plan": "pro"}, "models": ["p/m"], "user": "u"}
    found = read({**given, **more}, stream=stream)
    assert found.stream is stream
    assert (found.context.model, found.context.models) == ("p/inworld-tts-2", ("p/m",))
    assert found.context.metadata["plan"] == "pro"
    assert found.condition_messages()[0]["content"] == "Hi"
    translation = found.translate(target("inworld_tts", "p/inworld-tts-2"))
    wanted = {"text": "Hi", "voiceId": "Dennis", "modelId": "inworld-tts-2", "audioConfig": config}
    assert sent(translation) == {**wanted, "timestampType": "WORD", "new_field": 1}
    request = translation.request("a2V5")
    assert request.url == f"https://p.example.com/v1/tts/v1/voice{way}"
    assert request.headers["authorization"] == "Basic a2V5"


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"text": None}, "text"),
        ({"text": ""}, "text"),
        ({"text": 5}, "text"),
        ({"voiceId": None}, "voiceId"),
        ({"modelId": ""}, "modelId"),
        ({"audioConfig": "MP3"}, "audioConfig"),
    ],
)
def test_what_nobody_could_take_is_refused_by_its_field(more: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read({**ASKED, **more})
    assert caught.value.param == param
    status, body = DIALECT.error(caught.value, EVIDENCE)
    told = json.loads(body)
    assert (status, told["code"], told["metadata"]) == (400, 3, EVIDENCE.metadata)
    assert param in told["message"]
    assert told["details"][1]["fieldViolations"][0]["field"] == param


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_lines_of_inworld_pass_whole_with_their_time_stamps(size: int) -> None:
    first = b'{"result": {"audioContent": "", "timestampInfo": {"words": []}}}\n'
    data = first + line(b"abc", usage={"processedCharactersCount": 6}) + line(b"de", timestampInfo={"x": 1})
    translation = to("inworld_tts")
    found = played(translation, [data[i : i + size] for i in range(0, len(data), size)])
    assert found.done
    assert found.frames == data
    assert translation.facts.usage == TokenUsage(characters=6)
    assert translation.facts.frames_type == "application/x-ndjson"
    (last,) = lines(translation.closing(EVIDENCE))
    assert last == {"result": {"audioContent": "", "usage": {"cost": 0.5}}, "metadata": EVIDENCE.metadata}


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        ([], K.EMPTY_ANSWER),
        ([line(b""), line(b"")], K.EMPTY_ANSWER),
        ([line(b"a"), b'{"result":{"audioCon'], K.STREAM_TRUNCATED),
        ([b'{"error":{"code":8,"message":"slow down"}}\n'], K.RATE_LIMITED),
        ([b"<html>\n"], K.BAD_RESPONSE),
    ],
)
def test_lines_that_are_not_sound_are_failures(pieces: list[bytes], kind: FailureKind) -> None:
    found = played(to("inworld_tts"), pieces)
    assert found.failure is not None
    assert found.failure.kind is kind


def test_a_whole_answer_of_inworld_passes_with_evidence() -> None:
    translation = to("inworld_tts", stream=False)
    answer = {"audioContent": "YWJj", "usage": {"processedCharactersCount": "6"}, "timestampInfo": {"x": 1}}
    assert rendered(translation, answer) == {
        **answer,
        "usage": {"processedCharactersCount": "6", "cost": 0.5},
        "metadata": EVIDENCE.metadata,
    }
    assert translation.facts.usage == TokenUsage(characters=6)
    bad: tuple[tuple[bytes, FailureKind], ...] = (
        (b'{"audioContent": ""}', K.EMPTY_ANSWER),
        (b'{"audioContent": 5}', K.BAD_RESPONSE),
        (b"no", K.BAD_RESPONSE),
        (b'{"error": {"code": 14, "message": "busy"}}', K.OVERLOADED),
    )
    for body, kind in bad:
        failure = to("inworld_tts", stream=False).answer(body)
        assert failure is not None
        assert failure.kind is kind


def test_a_broken_stream_says_so_in_a_line_of_its_own() -> None:
    for kind in ("inworld_tts", "openai_compatible"):
        (told,) = lines(to(kind).broken(BROKEN, EVIDENCE))
        assert (told["error"]["code"], told["error"]["message"]) == (14, "it broke")
        assert told["metadata"] == EVIDENCE.metadata


@pytest.mark.parametrize(
    ("more", "form", "dropped"),
    [
        ({}, {"response_format": "mp3"}, []),
        (
            {
                "audio_config": {"audio_encoding": "OGG_OPUS", "speaking_rate": 1.25, "bit_rate": 64_000},
                "temperature": 1,
            },
            {"response_format": "opus", "speed": 1.25},
            ["audioConfig.bitRate", "temperature"],
        ),
        ({"audioConfig": RAW}, {"response_format": "pcm"}, []),
    ],
)
def test_others_are_asked_for_speech_as_openais_callers_do(more: Any, form: Any, dropped: list[str]) -> None:
    translation = to("openai_compatible", **more)
    assert sent(translation) == {"model": "inworld-tts-2", "input": "Héllo.", "voice": "Dennis", **form}
    assert translation.facts.warnings == [f"{name} was dropped: p does not take it" for name in dropped]
    assert translation.request("k").url.endswith("/audio/speech")


def test_sound_of_others_comes_in_lines_and_whole_with_usage() -> None:
    translation = to("openai_compatible")
    translation.facts.headers = {"content-type": "audio/mpeg"}
    found = played(translation, [b"ID3", b"abc"])
    assert found.done
    assert sounds(found.frames) == [b"ID3", b"abc"]
    assert translation.facts.frames_type == "application/x-ndjson"
    (last,) = lines(translation.closing(EVIDENCE))
    used = {"processedCharactersCount": 6, "modelId": "openai/gpt-5", "cost": 0.5}
    assert last == {"result": {"audioContent": "", "usage": used}, "metadata": EVIDENCE.metadata}
    whole = rendered(to("openai_compatible", stream=False), b"ID3abc", {"content-type": "audio/mpeg"})
    assert whole == {"audioContent": "SUQzYWJj", "usage": used, "metadata": EVIDENCE.metadata}


def test_each_piece_of_linear16_is_a_wav_file_of_whole_samples() -> None:
    translation = to("openai_compatible", audioConfig={**RAW, "audioEncoding": "LINEAR16"})
    translation.facts.headers = {"content-type": "audio/pcm;rate=24000"}
    found = played(translation, [b"\x01", b"\x02\x03", b"\x04\x05\x06"])
    assert found.done
    frames = b""
    for sound in sounds(found.frames):
        with wave.open(BytesIO(sound)) as file:
            assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
            frames += file.readframes(file.getnframes())
    assert frames == b"\x01\x02\x03\x04\x05\x06"
    cut = played(to("openai_compatible", audioConfig=RAW), [b"\x01\x02\x03"])
    assert cut.failure is not None
    assert cut.failure.kind is K.STREAM_TRUNCATED


def test_raw_sound_of_another_rate_is_a_failure() -> None:
    translation = to("openai_compatible", audioConfig=RAW)
    translation.facts.headers = {"content-type": "audio/pcm;rate=48000"}
    failure = played(translation, [b"\x01\x02"]).failure
    assert failure is not None
    assert "48000 samples per second, not 24000" in failure.message


@pytest.mark.parametrize(
    ("kind", "more", "told"),
    [
        ("inworld_tts", {"text": "x" * (MAX_CHARACTERS + 1)}, "up to 2,000 characters at once, not 2,001"),
        ("inworld_tts", {"voiceId": "alloy"}, "no voice 'alloy'"),
        ("openai", {}, "no voice 'Dennis'"),
        ("openai_compatible", {"audioConfig": {"audioEncoding": "MULAW"}}, "no sound of the encoding 'MULAW'"),
        ("openai_compatible", {"audioConfig": {"audioEncoding": 5}}, "no sound of the encoding 5"),
        ("openai_compatible", {"audioConfig": {"audioEncoding": "PCM"}}, "with 24000 samples per second"),
        ("openai_compatible", {"audioConfig": {**RAW, "audioEncoding": "WAV"}}, "no WAV in pieces"),
        ("anthropic", {}, "has no audio.speech"),
    ],
)
def test_what_a_target_cannot_do_is_for_the_next_one(kind: str, more: Any, told: str) -> None:
    with pytest.raises(Untranslatable, match=told) as caught:
        to(kind, **more)
    assert caught.value.failure.kind is K.UNSUPPORTED


def test_a_speed_that_is_no_number_is_the_callers_fault() -> None:
    with pytest.raises(InvalidRequest) as caught:
        to("openai_compatible", audioConfig={"speakingRate": "fast"})
    assert caught.value.param == "audioConfig.speakingRate"


def test_an_error_that_the_caller_can_act_on_is_in_inworlds_words() -> None:
    failure = to("inworld_tts").failure(400, {}, b'{"code": 3, "message": "unknown voice", "details": []}')
    assert failure.kind is K.VOICE_MISSING
    _, body = DIALECT.error(ChainFailed("refused", failure=failure, status=400), None)
    told = json.loads(body)
    assert (told["code"], told["message"]) == (3, "unknown voice")
