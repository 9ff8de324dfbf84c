"""What a voice reads of an answer's frames, and writes into them."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest

from services.core.errors import NoProvider
from services.dataplane.sse import SseEvent, frame
from services.dataplane.voice.frames import AudioEvidence, Frames, audio_form, is_end, object_in, text_of
from services.dataplane.voice.speaker import Spoken
from services.dataplane.voice.wish import Wish

CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "p/m", "provider": "p"}


def data(**more: Any) -> bytes:
    return json.dumps({**CHUNK, **more}).encode()


def said(text: Any, index: int = 0) -> list[dict[str, Any]]:
    return [{"index": index, "delta": {"content": text}}]


def read(told: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in told.decode().splitlines() if line]


def test_sound_looks_like_the_text_that_it_belongs_to() -> None:
    frames = Frames(Wish("v", format="wav"), "audio_turnout_1", 5)
    frames.events(frame(data(choices=said("Hi"), usage=None, obfuscation="xx")))
    start, first = read(frames.sound("Hi there. ", b"ab", Spoken(sample_rate=16_000)))
    assert {name: start[name] for name in CHUNK} == CHUNK
    assert "obfuscation" not in start
    assert start["choices"][0]["delta"]["audio"] == {
        "id": "audio_turnout_1",
        "transcript": "Hi there. ",
        "expires_at": 5,
        "format": "wav",
        "sample_rate": 16_000,
    }
    sound = b64decode(first["choices"][0]["delta"]["audio"]["data"])
    assert (sound[:4], sound[24:28], sound[44:]) == (b"RIFF", (16_000).to_bytes(4, "little"), b"ab")
    (second,) = read(frames.sound("", b"cd", Spoken(sample_rate=16_000)))
    assert b64decode(second["choices"][0]["delta"]["audio"]["data"]) == b"cd"


@pytest.mark.parametrize(
    ("told", "ends"),
    [
        (data(choices=said("x")), False),
        (data(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}]), True),
        (data(choices=[], error={"message": "no"}), True),
        (data(choices=[], restart=True, metadata={"generation_id": "g"}), False),
        (data(choices=[], metadata={"generation_id": "g"}), True),
        (data(choices=said("x"), metadata={"of": "the provider"}), False),
        (b"[DONE]", True),
        (b"[" * 5_000, False),
    ],
)
def test_where_the_text_ends(told: bytes, ends: bool) -> None:
    ((event, chunk),) = Frames(Wish("v"), "a", 1).events(frame(told))
    assert is_end(event, chunk) is ends


@pytest.mark.parametrize(
    ("chunk", "text"),
    [
        ({"choices": said("x")}, "x"),
        ({"choices": said("x", 1)}, ""),
        ({"choices": said(None)}, ""),
        ({"choices": said([1])}, ""),
        ({"choices": [1, {"delta": None}]}, ""),
        ({"choices": "x"}, ""),
        ({}, ""),
    ],
)
def test_the_text_of_a_chunk(chunk: dict[str, Any], text: str) -> None:
    assert text_of(chunk) == text


@pytest.mark.parametrize("told", [b"", b"1", b"{", b"\xff", b'{"a":' * 5_000])
def test_what_is_no_object_is_none(told: bytes) -> None:
    assert object_in(told) is None


def evidence(cost: float | None) -> AudioEvidence:
    return AudioEvidence({"model": "t/m"}, ["w"], 7.5, Spoken(cost_usd=cost))


@pytest.mark.parametrize(
    ("usage", "cost", "found"),
    [
        ({"cost": 1.0}, 0.5, {"cost": 1.5, "cost_details": {"text": 1.0, "audio": 0.5}}),
        ({"cost": 1.0}, None, {"cost": 1.0}),
        ({"tokens": 1}, 0.5, {"tokens": 1, "cost_details": {"text": None, "audio": 0.5}}),
        (
            {"cost": 1.0, "cost_details": {"upstream_inference_cost": 1.0}},
            0.5,
            {"cost": 1.5, "cost_details": {"upstream_inference_cost": 1.5, "text": 1.0, "audio": 0.5}},
        ),
    ],
)
def test_costs_are_added_and_itemised(usage: dict[str, Any], cost: float | None, found: dict[str, Any]) -> None:
    told = json.loads(evidence(cost).put(data(usage=usage, metadata={"attempts": []})))
    assert told["usage"] == found
    assert told["metadata"] == {"attempts": [], "audio": {"model": "t/m"}, "total_duration_ms": 7.5, "warnings": ["w"]}


def test_an_error_stays_at_the_beginning_of_its_frame() -> None:
    told = evidence(None).put(b'{"error":{"message":"no"},"metadata":{}}')
    assert told.startswith(b'{"error":')
    assert evidence(None).put(b"not JSON") == b"not JSON"


def test_what_is_told_of_the_speech() -> None:
    spoken = Spoken(model="t/m", provider="t", voice="v", sample_rate=8_000, first_at=10.25, characters=3, attempts=2)
    told = audio_form(Wish("v"), spoken, 10.0, NoProvider("nobody"))
    assert (told["time_to_first_audio_ms"], told["sample_rate"], told["cost"]) == (250.0, 8_000, None)
    assert told["error"]["message"] == "nobody"
    silent = audio_form(Wish("v"), Spoken(), 10.0, None)
    assert (silent["model"], "error" in silent, "time_to_first_audio_ms" in silent) == (None, False, False)


def test_an_event_keeps_its_bytes() -> None:
    ((event, _),) = Frames(Wish("v"), "a", 1).events(frame(data(choices=said("x"))))
    assert isinstance(event, SseEvent)
    assert event.raw + b"\n\n" == frame(data(choices=said("x")))
