"""Voices that a provider calls otherwise, and those that it does not have."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from services.core.errors import FailureKind
from services.core.routing.plan import Candidate
from services.core.values import changed
from services.dataplane.dialects.inworld_speech import InworldSpeech
from services.dataplane.operations.registry import translate
from services.dataplane.translation import Untranslatable
from tests.unit.dataplane.operations.build import JSON_TYPE, read, sent, target

K = FailureKind
SPEECH = {"model": "p/m", "input": "Unknown voice: Dennis", "voice": "Dennis"}
ASKED = {"modelId": "p/m", "text": "Hi.", "audioConfig": {"audioEncoding": "MP3"}}


def mapped(kind: str, **voices: str) -> Candidate:
    found = target(kind)
    return changed(found, target=replace(found.target, provider=replace(found.target.provider, voices=voices)))


def asked(voice: str) -> Any:
    return InworldSpeech(translate).read(json.dumps({**ASKED, "voiceId": voice}).encode(), JSON_TYPE)


def refused(kind: str, body: Any, status: int = 400, **more: Any) -> FailureKind:
    made = read("audio.speech", {**SPEECH, **more}).translate(target(kind))
    return made.failure(status, {}, json.dumps(body).encode()).kind


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("openai", {"error": {"message": "[{'type': 'enum', 'loc': ('body', 'voice'), 'msg': 'x'}]"}}),
        ("openai", {"error": {"message": "no", "type": "invalid_request_error", "param": "voice"}}),
        ("openai_compatible", {"detail": [{"loc": ["body", "voice"], "msg": "no", "type": "enum"}]}),
        ("openai_compatible", {"detail": {"status": "voice_not_found", "message": "no"}}),
        ("openai_compatible", {"error": "Voice 'Dennis' not found. Available voices: a, b"}),
        ("groq", {"error": {"message": "voice `Dennis` is not one of the voices of this model", "code": None}}),
        ("mistral", {"detail": [{"loc": ["body", "voice_id"], "msg": "no", "type": "enum"}]}),
        ("inworld_tts", {"code": 3, "message": "Invalid voice id: Dennis", "details": []}),
        ("inworld_tts", {"code": 5, "message": "Unknown voice: Dennis not found!", "details": []}),
    ],
)
def test_a_refused_voice_is_a_matter_of_the_provider(kind: str, body: Any) -> None:
    assert refused(kind, body) is K.VOICE_MISSING


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("openai", {"error": {"message": "input is too long: 'Unknown voice: Dennis'", "param": "input"}}),
        ("openai", {"error": {"message": "Unknown voice: Dennison", "param": None}}),
        ("openai_compatible", {"detail": [{"loc": ["body", "speed"], "msg": "voice", "type": "enum"}]}),
        ("inworld_tts", {"code": 3, "message": "the text 'voice Dennis not found' is refused", "details": []}),
        ("inworld_tts", ["odd"]),
        ("inworld_tts", {"code": [], "message": "m"}),
        ("openai", {"error": {"message": {}, "param": ["voice"], "status": {}}}),
        ("openai", {"detail": [["odd"], {"loc": {"voice": 1}}, {"loc": [["voice"]]}]}),
    ],
)
def test_other_refusals_stay_what_they_are(kind: str, body: Any) -> None:
    assert refused(kind, body) is K.INVALID_REQUEST


def test_a_key_that_is_refused_is_no_matter_of_voices() -> None:
    body = {"error": {"message": "Unknown voice: Dennis", "param": "voice"}}
    assert refused("openai", body, status=401) is K.CREDENTIALS_REJECTED


def test_a_voice_that_is_refused_inside_a_success_is_one_too() -> None:
    made = read("audio.speech", SPEECH).translate(target("inworld_tts"))
    progress = made.feed(b'{"error": {"code": 3, "message": "Unknown voice: Dennis", "details": []}}\n')
    assert progress.failure is not None
    assert progress.failure.kind is K.VOICE_MISSING
    assert progress.failure.message == "p has no voice 'Dennis'"


def test_openais_voices_are_not_asked_of_inworld() -> None:
    with pytest.raises(Untranslatable, match="p has no voice 'alloy'"):
        read("audio.speech", {**SPEECH, "voice": "alloy"}).translate(target("inworld_tts"))


@pytest.mark.parametrize("voice", ["alloy", {"id": "alloy"}])
def test_policy_says_what_a_voice_is_called_elsewhere(voice: Any) -> None:
    request = read("audio.speech", {**SPEECH, "voice": voice})
    assert sent(request.translate(mapped("inworld_tts", alloy="Ashley")))["voiceId"] == "Ashley"
    assert sent(request.translate(mapped("openai_compatible", alloy="af_bella")))["voice"] == "af_bella"
    assert sent(request.translate(mapped("mistral", alloy="paul")))["voice_id"] == "paul"
    assert sent(request.translate(mapped("openai", ash="other")))["voice"] == voice


def test_inworlds_callers_have_their_voices_mapped_once() -> None:
    request = asked("Dennis")
    there = mapped("openai", Dennis="alloy", alloy="nova")
    assert sent(request.translate(there))["voice"] == "alloy"
    assert sent(asked("alloy").translate(mapped("inworld_tts", alloy="Ashley")))["voiceId"] == "Ashley"
    with pytest.raises(Untranslatable, match="has no voice 'Olivia'"):
        asked("Olivia").translate(there)


def test_a_voice_that_policy_names_may_be_one_that_nobody_knows() -> None:
    request = asked("Dennis")
    assert sent(request.translate(mapped("openai", Dennis="house-voice")))["voice"] == "house-voice"
