"""Speech at providers with a protocol of their own: Inworld's lines of JSON, Mistral's one object."""

from __future__ import annotations

import base64
import json
import struct
import wave
from io import BytesIO
from typing import Any

import pytest

from services.core.errors import FailureKind, InvalidRequest
from services.dataplane.operations.inworld import MAX_INPUT
from services.dataplane.translation import Progress, TokenUsage, Untranslatable
from tests.unit.dataplane.operations.build import EVIDENCE, rendered, sent, to

K = FailureKind
SPEECH = {"model": "p/inworld-tts-2", "input": "Héllo.", "voice": "Dennis"}
ASKED = {"text": "Héllo.", "voiceId": "Dennis", "modelId": "inworld-tts-2"}


def line(sound: bytes, **more: Any) -> bytes:
    result = {"audioContent": base64.b64encode(sound).decode(), **more}
    return json.dumps({"result": result}).encode() + b"\n"


def inworld(**more: Any) -> Any:
    return to("inworld_tts", "audio.speech", {**SPEECH, **more}, model="p/inworld-tts-2")


def played(translation: Any, pieces: list[bytes]) -> Progress:
    total = Progress()
    for piece in [*pieces, b""]:
        progress = translation.feed(piece) if piece else translation.end()
        total.frames += progress.frames
        total.content |= progress.content
        total.done |= progress.done
        total.failure = total.failure or progress.failure
        if total.failure:
            break
    return total


@pytest.mark.parametrize(
    ("more", "config", "way"),
    [
        ({}, {"audioEncoding": "MP3"}, ":stream"),
        ({"response_format": "pcm"}, {"audioEncoding": "PCM", "sampleRateHertz": 24_000}, ":stream"),
        ({"response_format": "wav"}, {"audioEncoding": "PCM", "sampleRateHertz": 24_000}, ":stream"),
        ({"response_format": "opus", "speed": 1.25}, {"audioEncoding": "OGG_OPUS", "speakingRate": 1.25}, ":stream"),
        ({"response_format": "flac"}, {"audioEncoding": "FLAC"}, ""),
        ({"sample_rate": 8000}, {"audioEncoding": "MP3", "sampleRateHertz": 8000}, ":stream"),
    ],
)
def test_a_request_in_inworlds_words(more: Any, config: Any, way: str) -> None:
    translation = inworld(**more)
    assert sent(translation) == {**ASKED, "audioConfig": config}
    request = translation.request("a2V5")
    assert request.url == f"https://p.example.com/v1/tts/v1/voice{way}"
    assert request.headers["authorization"] == "Basic a2V5"
    assert "authorization" not in translation.request("").headers


def test_inworlds_own_fields_pass_and_others_are_dropped_aloud() -> None:
    translation = inworld(
        temperature=0.8, delivery_mode="STABLE", language="en-US", instructions="whisper", voice={"id": "v"}
    )
    assert sent(translation) == {
        **ASKED,
        "voiceId": "v",
        "audioConfig": {"audioEncoding": "MP3"},
        "temperature": 0.8,
        "deliveryMode": "STABLE",
        "language": "en-US",
    }
    assert translation.facts.warnings == ["instructions was dropped: it has no translation"]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"input": "x" * (MAX_INPUT + 1)}, "up to 4,096 characters at once, not 4,097"),
        ({"response_format": "aac"}, "no sound of the format 'aac'"),
        ({"speed": 2}, "0.5 to 1.5 times its speed, not 2"),
    ],
)
def test_what_inworld_cannot_do_is_for_the_next_target(more: Any, told: str) -> None:
    with pytest.raises(Untranslatable, match=told) as caught:
        inworld(**more)
    assert caught.value.failure.kind is K.UNSUPPORTED


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"voice": None}, "voice"),
        ({"voice": 5}, "voice"),
        ({"speed": "x"}, "speed"),
        ({"sample_rate": 1.5}, "sample_rate"),
    ],
)
def test_what_is_malformed_is_the_callers_fault(more: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        inworld(**more)
    assert caught.value.param == param


@pytest.mark.parametrize("size", [1, 5, 10_000])
def test_sound_is_taken_out_of_its_lines_however_they_are_cut(size: int) -> None:
    data = line(b"ID3") + b"\r\n" + line(b"abc", usage={"processedCharactersCount": 6, "modelId": "m"}) + line(b"")
    translation = inworld()
    found = played(translation, [data[i : i + size] for i in range(0, len(data), size)])
    assert found.done
    assert found.frames == b"ID3abc"
    assert translation.facts.usage == TokenUsage(characters=6)
    assert translation.facts.frames_type == "audio/mpeg"
    assert translation.broken(None, EVIDENCE) is None


def test_the_last_line_needs_no_end() -> None:
    assert played(inworld(), [line(b"a"), line(b"b").rstrip()]).frames == b"ab"


def test_wav_is_one_file_whatever_its_length() -> None:
    samples = struct.pack("<4h", 0, 1, -1, 2)
    found = played(inworld(response_format="wav", sample_rate=16_000), [line(samples[:4]), line(samples[4:])])
    with wave.open(BytesIO(found.frames)) as read:
        assert (read.getnchannels(), read.getsampwidth(), read.getframerate()) == (1, 2, 16_000)
    assert found.frames[44:] == samples


def test_flac_comes_whole() -> None:
    body = json.dumps(
        {"audioContent": base64.b64encode(b"fLaC").decode(), "usage": {"processedCharactersCount": "6"}}, indent=1
    )
    translation = inworld(response_format="flac")
    first = translation.feed(body.encode()[:20])
    assert first.frames == b""
    found = played(translation, [body.encode()[20:]])
    assert found.done
    assert found.frames == b"fLaC"
    assert translation.facts.usage == TokenUsage(characters=6)


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        ([], K.EMPTY_ANSWER),
        ([line(b"")], K.EMPTY_ANSWER),
        ([line(b"a"), b'{"result":{"audioCon'], K.STREAM_TRUNCATED),
        ([line(b"a"), b'{"error":{"code":8,"message":"slow down"}}\n'], K.RATE_LIMITED),
        ([b'{"error":{"code":14,"message":"busy"}}'], K.OVERLOADED),
        ([b'{"error":{"code":3,"message":"no"}}'], K.INVALID_REQUEST),
        ([b'{"error":"odd"}\n'], K.STREAM_ERROR),
        ([b"<html>\n"], K.BAD_RESPONSE),
        ([b"[1]\n"], K.BAD_RESPONSE),
        ([b"{}\n"], K.BAD_RESPONSE),
        ([b'{"result":{"audioContent":"!"}}\n'], K.BAD_RESPONSE),
        ([b'{"result":{"audioContent":5}}\n'], K.BAD_RESPONSE),
        ([b"[" * 100_000 + b"\n"], K.BAD_RESPONSE),
        ([b"\xff\n"], K.BAD_RESPONSE),
        ([b'{"a":"' + b"x" * (65 * 1024 * 1024)], K.BAD_RESPONSE),
    ],
)
def test_lines_that_are_not_sound_are_failures(pieces: list[bytes], kind: FailureKind) -> None:
    found = played(inworld(), pieces)
    assert found.failure is not None
    assert found.failure.kind is kind
    assert not found.done


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"code": 3, "message": "unknown voice", "details": []}, K.VOICE_MISSING),
        (400, {"code": 3, "message": "text must not be empty", "details": []}, K.INVALID_REQUEST),
        (401, {"code": 16, "message": "no"}, K.CREDENTIALS_REJECTED),
        (429, {"code": 8, "message": "slow"}, K.RATE_LIMITED),
        (503, {"code": 14, "message": "busy"}, K.OVERLOADED),
    ],
)
def test_refusals_have_names(status: int, body: Any, kind: FailureKind) -> None:
    failure = inworld().failure(status, {}, json.dumps(body).encode())
    assert failure.kind is kind
    assert bool(failure.body) == (status == 400)


def test_events_are_made_for_those_who_ask_for_them() -> None:
    translation = inworld(stream_format="sse")
    assert translation.facts.frames_type.startswith("text/event-stream")
    found = played(translation, [line(b"abc"), line(b"de", usage={"processedCharactersCount": 6})])
    events = [json.loads(text[6:]) for text in (found.frames + translation.closing(EVIDENCE)).split(b"\n\n") if text]
    assert [e["type"] for e in events] == ["speech.audio.delta", "speech.audio.delta", "speech.audio.done"]
    assert b"".join(base64.b64decode(e["audio"]) for e in events[:2]) == b"abcde"
    zeros = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    assert events[2]["usage"] == {**zeros, "characters": 6, "cost": 0.5}
    assert events[2]["metadata"] == EVIDENCE.metadata


def mistral(**more: Any) -> Any:
    return to("mistral", "audio.speech", {**SPEECH, **more}, model="p/voxtral")


def test_mistral_speaks_in_one_object() -> None:
    translation = mistral(instructions="x", response_format="opus")
    assert sent(translation) == {"model": "voxtral", "input": "Héllo.", "response_format": "opus", "voice_id": "Dennis"}
    assert translation.facts.warnings == ["instructions was dropped: it has no translation"]
    found = played(translation, [b'{"audio_', b'data":"' + base64.b64encode(b"OggS") + b'"}'])
    assert found.done
    assert found.frames == b"OggS"
    assert translation.facts.usage == TokenUsage(characters=6)
    for body, kind in (
        (b"{}", K.BAD_RESPONSE),
        (b'{"audio_data":"', K.STREAM_TRUNCATED),
        (b'{"error":{}}', K.BAD_RESPONSE),
    ):
        failure = played(mistral(), [body]).failure
        assert failure is not None
        assert failure.kind is kind
    with pytest.raises(Untranslatable, match="aac"):
        mistral(response_format="aac")


def test_a_whole_answer_is_never_asked_of_a_stream() -> None:
    with pytest.raises(AssertionError):
        rendered(to("openai", "images", {"model": "p/i", "prompt": "x", "stream": True}), {"data": []})


@pytest.mark.parametrize("count", ["9" * 5000, 2**70, -1, True, ["6"], 0])
def test_a_count_of_characters_that_is_none_is_left(count: Any) -> None:
    translation = inworld()
    assert played(translation, [line(b"a", usage={"processedCharactersCount": count})]).done
    assert translation.facts.usage == inworld().facts.usage


def test_a_speed_beyond_all_numbers_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        inworld(speed=10**400)
    assert caught.value.param == "speed"
