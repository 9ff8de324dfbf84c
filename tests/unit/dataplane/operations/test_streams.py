"""Streams of operations: bytes and events, whole, broken and hostile, cut anywhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from services.core.errors import ChainFailed, Failure, FailureKind
from services.dataplane.translation import Progress, TokenUsage, Translation
from tests.unit.dataplane.operations.build import EVIDENCE, FORM_TYPE, form, to

K = FailureKind
BROKEN = ChainFailed("it broke", failure=Failure(K.DISCONNECTED, "it broke"), status=502)
SPEECH = {"model": "p/tts", "input": "Hello.", "voice": "alloy"}
USAGE = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}


def event(value: Any, name: str = "") -> bytes:
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"


def played(translation: Translation, pieces: list[bytes], kind: str = "text/event-stream") -> Progress:
    """Everything that a stream brings, until it is done or failed."""
    translation.facts.headers = {"content-type": kind}
    total = Progress()
    for piece in [*pieces, b""]:
        progress = translation.feed(piece) if piece else translation.end()
        total.frames += progress.frames
        total.content |= progress.content
        total.done |= progress.done
        total.failure = total.failure or progress.failure
        if total.done or total.failure:
            break
    return total


def cuts(data: bytes) -> list[list[bytes]]:
    return [[data], [data[i : i + 1] for i in range(len(data))], [data[:7], data[7:31], data[31:]]]


def images(n: int = 1) -> Translation:
    return to("openai", "images", {"model": "p/i", "prompt": "cat", "stream": True, "partial_images": 1, "n": n})


def transcription(kind: str = "openai") -> Translation:
    body = form(("model", "p/w"), ("file", b"x", "a.wav"), ("stream", "true"))
    return to(kind, "audio.transcriptions", body, FORM_TYPE)


PARTIAL = event(
    {"type": "image_generation.partial_image", "b64_json": "aGk=", "partial_image_index": 0},
    "image_generation.partial_image",
)
COMPLETED = event(
    {"type": "image_generation.completed", "b64_json": "aGk=", "usage": USAGE}, "image_generation.completed"
)
DELTA = event({"type": "transcript.text.delta", "delta": "Hé"})
DONE = event({"type": "transcript.text.done", "text": "Hé", "usage": USAGE})
END = event(b"[DONE]")


@pytest.mark.parametrize("cut", range(3))
def test_events_pass_and_the_last_one_carries_the_evidence(cut: int) -> None:
    translation = images()
    found = played(translation, cuts(PARTIAL + COMPLETED)[cut])
    assert found.failure is None
    assert found.done
    assert found.frames == PARTIAL
    name, data = translation.closing(EVIDENCE).split(b"\n")[:2]
    assert name == b"event: image_generation.completed"
    last = json.loads(data.removeprefix(b"data: "))
    assert last["metadata"] == EVIDENCE.metadata
    assert last["usage"] == {**USAGE, "cost": 0.5}
    assert translation.facts.usage == TokenUsage(input_tokens=5, output_tokens=7, output_image_tokens=7, images=1)


@pytest.mark.parametrize("cut", range(3))
def test_a_transcript_ends_with_done_if_the_providers_does(cut: int) -> None:
    translation = transcription()
    found = played(translation, cuts((DELTA + DONE + END).replace(b"\n", b"\r\n"))[cut])
    assert found.done
    assert found.frames == DELTA
    closing = translation.closing(EVIDENCE)
    assert closing.endswith(b"data: [DONE]\n\n")
    assert json.loads(closing.split(b"\n")[0].removeprefix(b"data: "))["text"] == "Hé"


def test_a_last_event_that_is_the_only_one_is_content() -> None:
    for translation, data in ((images(), COMPLETED), (transcription(), DONE)):
        found = played(translation, [data])
        assert found.done
        assert found.content
        assert found.frames == b""


def test_every_picture_has_its_last_event() -> None:
    translation = images(2)
    found = played(translation, [PARTIAL, COMPLETED, COMPLETED])
    assert found.done
    assert found.frames == PARTIAL + COMPLETED
    assert translation.facts.usage is not None
    assert translation.facts.usage.images == 2
    assert played(images(2), [PARTIAL, COMPLETED]).failure is not None


def test_the_stream_may_end_without_its_connection() -> None:
    translation = images()
    translation.facts.headers = {"content-type": "text/event-stream"}
    progress = translation.feed(COMPLETED)
    assert progress.finished
    assert not progress.done
    assert translation.end().done


@pytest.mark.parametrize(
    ("pieces", "kind"),
    [
        ([], K.STREAM_TRUNCATED),
        ([PARTIAL], K.STREAM_TRUNCATED),
        ([PARTIAL, END], K.STREAM_TRUNCATED),
        ([PARTIAL, COMPLETED[:-10]], K.BAD_RESPONSE),
        ([event(b"{")], K.BAD_RESPONSE),
        ([event(b"[]")], K.BAD_RESPONSE),
        ([event(b"\xff")], K.BAD_RESPONSE),
        ([event({"type": 5, "error": None})], K.STREAM_TRUNCATED),
        ([PARTIAL, event({"error": {"code": "rate_limit_exceeded"}})], K.RATE_LIMITED),
        ([event({"type": "error", "error": {"message": "m", "type": "server_error"}}, "error")], K.SERVER_ERROR),
        ([event({"message": "m"}, "error")], K.STREAM_ERROR),
    ],
)
def test_a_stream_that_is_not_whole_never_ends_well(pieces: list[bytes], kind: FailureKind) -> None:
    for cut in (pieces, [bytes([b]) for b in b"".join(pieces)]):
        found = played(images(), cut)
        assert found.failure is not None, cut
        assert found.failure.kind is kind
        assert not found.done


ODD = [b'{"input_tokens": 1e999}', b'{"input_tokens": 5, "x": "\xff"}', b"[1e999]"]
"""Usage that nothing but a decoder finds fault with."""


@pytest.mark.parametrize("usage", ODD)
@pytest.mark.parametrize(
    ("translation", "first", "last"),
    [
        (images, PARTIAL, b'{"type": "image_generation.completed", "b64_json": "aGk=", "usage": %b}'),
        (transcription, DELTA, b'{"type": "transcript.text.done", "text": "H", "usage": %b}'),
        (partial(transcription, "mistral"), DELTA, b'{"type": "transcription.done", "text": "H", "usage": %b}'),
    ],
)
def test_usage_that_cannot_be_read_is_a_failure_of_the_provider(
    translation: Callable[[], Translation], first: bytes, last: bytes, usage: bytes
) -> None:
    found = played(translation(), [first, event(last % usage), END])
    assert found.failure is not None
    assert found.failure.kind is K.BAD_RESPONSE
    assert not found.done


@pytest.mark.parametrize("usage", [b"null", b"7", b'"x"', b"[]", b'{"input_tokens": -1, "output_tokens": "many"}'])
def test_usage_that_is_none_is_not_counted(usage: bytes) -> None:
    translation = images()
    last = b'{"type": "image_generation.completed", "b64_json": "aGk=", "usage": %b}' % usage
    assert played(translation, [PARTIAL, event(last), END]).done
    assert translation.facts.usage == TokenUsage(images=1)


def test_half_an_event_behind_the_last_one_does_no_harm() -> None:
    assert played(transcription(), [DELTA, DONE, b"data: [DO"]).done


def test_a_broken_stream_of_events_says_so_inside() -> None:
    told = images().broken(BROKEN, EVIDENCE)
    assert told is not None
    body = json.loads(told.removeprefix(b"data: "))
    assert body["error"]["message"] == "it broke"
    assert body["metadata"] == EVIDENCE.metadata


@pytest.mark.parametrize("kind", ["audio/mpeg", "audio/L16; rate=24000; channels=1", 'audio/x; a="b c"'])
def test_sound_passes_as_it_comes_under_the_providers_type(kind: str) -> None:
    translation = to("openai", "audio.speech", SPEECH)
    found = played(translation, [b"\x7b\x22", b"\xff\x00"], kind)
    assert found.done
    assert found.frames == b"\x7b\x22\xff\x00"
    assert translation.facts.frames_type == kind
    assert translation.facts.usage == TokenUsage(characters=6)
    assert translation.closing(EVIDENCE) == b""
    assert translation.broken(BROKEN, EVIDENCE) is None


@pytest.mark.parametrize("kind", ["application/octet-stream", "", "nonsense", "audio/x\r\nset-cookie: a=b"])
def test_a_type_that_says_nothing_is_that_of_the_format(kind: str) -> None:
    translation = to("openai", "audio.speech", {**SPEECH, "response_format": "flac"})
    assert played(translation, [b"fLaC"], kind).done
    assert translation.facts.frames_type == "audio/flac"


@pytest.mark.parametrize(
    ("kind", "body", "failure"),
    [
        ("application/json", b'{"error":{"message":"m","code":"insufficient_quota"}}', K.QUOTA_EXHAUSTED),
        ("application/json; charset=utf-8", b'{"audio":"x"}', K.BAD_RESPONSE),
        ("text/html", b"<html>", K.BAD_RESPONSE),
        ("audio/mpeg", b"", K.EMPTY_ANSWER),
    ],
)
def test_speech_that_is_none_is_a_failure(kind: str, body: bytes, failure: FailureKind) -> None:
    found = played(to("openai", "audio.speech", SPEECH), [body] if body else [], kind)
    assert found.failure is not None
    assert found.failure.kind is failure
    assert found.frames == b""


def test_speech_as_events_counts_its_tokens_and_characters() -> None:
    translation = to("openai", "audio.speech", {**SPEECH, "stream_format": "sse"})
    delta = event({"type": "speech.audio.delta", "audio": base64.b64encode(b"snd").decode()})
    found = played(translation, [delta, event({"type": "speech.audio.done", "usage": USAGE})])
    assert found.done
    assert found.frames == delta
    assert translation.facts.usage == TokenUsage(input_tokens=5, output_tokens=7, characters=6)
    silent = to("openai", "audio.speech", {**SPEECH, "stream_format": "sse"})
    nothing = played(silent, [event({"type": "speech.audio.done", "usage": USAGE})])
    assert nothing.failure is not None
    assert nothing.failure.kind is K.EMPTY_ANSWER


def test_mistrals_events_are_told_in_openais_words() -> None:
    translation = transcription("mistral")
    found = played(
        translation,
        [
            event({"type": "transcription.language", "audio_language": "en"}, "transcription.language"),
            event({"type": "transcription.text.delta", "text": "Hi"}, "transcription.text.delta"),
            event({"type": "transcription.segment", "text": "Hi", "start": 0, "end": 1, "speaker_id": "s"}),
            event(
                {
                    "type": "transcription.done",
                    "model": "v",
                    "text": "Hi",
                    "language": "en",
                    "usage": {"prompt_audio_seconds": 3},
                }
            ),
        ],
    )
    assert found.done
    shown = [json.loads(line.removeprefix(b"data: ")) for line in found.frames.split(b"\n\n") if line]
    assert shown == [
        {"type": "transcript.text.delta", "delta": "Hi"},
        {"type": "transcript.text.segment", "text": "Hi", "start": 0, "end": 1, "speaker": "s"},
    ]
    assert json.loads(translation.closing(EVIDENCE).split(b"\n")[0][6:])["type"] == "transcript.text.done"
    assert translation.facts.usage == TokenUsage(seconds=3.0)
