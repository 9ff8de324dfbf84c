"""Transcriptions by Inworld: what goes there, and what is made of its answers."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from services.core.errors import FailureKind
from services.dataplane.operations.inworld_transcription import MAX_FILE, encoding_of
from services.dataplane.translation import TokenUsage, Untranslatable
from tests.unit.dataplane.operations.build import EVIDENCE, FORM_TYPE, form, rendered, sent, to

K = FailureKind
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "
TOLD = {
    "transcription": {"transcript": "Grüezi.", "isFinal": True, "wordTimestamps": []},
    "usage": {"transcribedAudioMs": "3520", "modelId": "inworld/inworld-stt-1"},
}


def asked(sound: bytes = WAV, **fields: str) -> Any:
    parts = [("model", "p/stt"), *fields.items()]
    body = form(*parts, ("file", sound, "a.wav"))
    return to("inworld_tts", "audio.transcriptions", body, FORM_TYPE, model="p/stt")


def test_a_file_goes_to_inworld_as_json() -> None:
    made = asked(language="de", prompt="Names", temperature="0")
    request = made.request("a2V5")
    assert request.url.endswith("/stt/v1/transcribe")
    assert request.headers["authorization"] == "Basic a2V5"
    config = {"modelId": "stt", "audioEncoding": "LINEAR16", "language": "de"}
    assert sent(made) == {"transcribeConfig": config, "audioData": {"content": base64.b64encode(WAV).decode()}}
    assert made.facts.warnings == [f"{name} was dropped: it has no translation" for name in ("prompt", "temperature")]
    found = rendered(made, TOLD)
    assert (found["text"], found["metadata"]) == ("Grüezi.", EVIDENCE.metadata)
    assert found["usage"] == {"type": "duration", "seconds": 3.52, "cost": EVIDENCE.cost_usd}
    assert made.facts.usage == TokenUsage(seconds=3.52)


def test_text_is_the_transcript_alone() -> None:
    made = asked(response_format="text")
    assert made.answer(json.dumps(TOLD).encode()) is None
    assert made.render(EVIDENCE).decode() == "Grüezi."
    assert made.facts.usage == TokenUsage(seconds=3.52)


def test_silence_is_an_answer() -> None:
    assert rendered(asked(), {"transcription": {}, "usage": None})["text"] == ""


@pytest.mark.parametrize(
    ("beginning", "word"),
    [
        (WAV, "LINEAR16"),
        (b"fLaC\x00", "FLAC"),
        (b"OggS\x00", "OGG_OPUS"),
        (b"ID3\x04", "MP3"),
        (b"\xff\xfb\x90", "MP3"),
        (b"\xff\xf1\x50", ""),  # AAC
        (b"\x1aE\xdf\xa3", ""),  # WebM
        (b"RIFF\x24\x00\x00\x00AVI ", ""),
        (b"\xff", ""),
        (b"", ""),
    ],
)
def test_a_file_is_known_by_its_first_bytes(beginning: bytes, word: str) -> None:
    assert encoding_of(beginning) == word


@pytest.mark.parametrize(
    ("sound", "fields", "told"),
    [
        (b"\x1aE\xdf\xa3", {}, "begins like none"),
        (WAV + bytes(MAX_FILE), {}, "up to 16,777,216 bytes"),
        (WAV, {"response_format": "srt"}, "as json or text"),
        (WAV, {"response_format": "verbose_json"}, "as json or text"),
        (WAV, {"stream": "true"}, "as json or text"),
    ],
)
def test_what_inworld_does_not_take_is_for_the_next_target(sound: bytes, fields: dict[str, str], told: str) -> None:
    with pytest.raises(Untranslatable, match=told):
        asked(sound, **fields)


def test_a_file_at_an_address_is_for_the_next_target() -> None:
    body = form(("model", "p/stt"), ("file_url", "https://example.com/a.wav"))
    with pytest.raises(Untranslatable, match="as a file of a form"):
        to("inworld_tts", "audio.transcriptions", body, FORM_TYPE, model="p/stt")


@pytest.mark.parametrize("form_of", ["json", "text"])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", K.BAD_RESPONSE),
        (b"[]", K.BAD_RESPONSE),
        (b"{}", K.BAD_RESPONSE),
        (b'{"transcription":{"transcript":7}}', K.BAD_RESPONSE),
        (b'{"error":{"code":8,"message":"m"}}', K.RATE_LIMITED),
        (b'{"error":{"code":16,"message":"m"}}', K.CREDENTIALS_REJECTED),
    ],
)
def test_an_answer_that_is_none_is_a_failure(form_of: str, body: bytes, kind: FailureKind) -> None:
    found = asked(response_format=form_of).answer(body)
    assert found is not None
    assert found.kind is kind


@pytest.mark.parametrize("told", ["9" * 5000, 10**400, True, -1, "", ["3520"], 10**13])
def test_a_length_that_is_none_is_left(told: Any) -> None:
    made = asked()
    assert "usage" not in rendered(made, {"transcription": {"transcript": "x"}, "usage": {"transcribedAudioMs": told}})
    assert made.facts.usage is None
