"""Speech of a text that Inworld takes only in several requests: one answer, one attempt, one cost."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from services.core.errors import ChainFailed, Failure, FailureKind
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.engine import Call
from services.dataplane.operations.inworld import MAX_CHARACTERS, MAX_INPUT
from services.dataplane.operations.pieces import HALF_A_SAMPLE, SEAM, SILENT, PiecedSound, in_pieces
from services.dataplane.operations.wrapped import NO_SOUND, wav_head
from services.dataplane.record_form import record_of
from services.dataplane.translation import TokenUsage, Untranslatable
from tests.support.inprocess import KEY
from tests.unit.dataplane.fakes import Answer, FakeTransport, Rig, provider, rig
from tests.unit.dataplane.operations.build import to
from tests.unit.dataplane.operations.test_speech import SPEECH, line, played

K = FailureKind
DIALECT = dialect_of("audio.speech")
SENTENCE = "This is a sentence of some length, and it says nothing. "
LONG = SENTENCE * 54
MODEL = {"kind": "Model", "name": "one/tts", "prices": {"per_million_characters": 10}}


def spoken(*sounds: bytes) -> Answer:
    lines = [line(sound, usage={"processedCharactersCount": 7}) for sound in sounds]
    return Answer(200, lines, {"content-type": "application/json"})


def refused(status: int) -> Answer:
    return Answer(status, [b'{"code": 14, "message": "busy"}'], {"content-type": "application/json"})


def call(**more: Any) -> Call:
    body = {"model": "one/tts", "input": LONG, "voice": "Dennis", **more}
    return Call(json.dumps(body).encode(), {"authorization": f"Bearer {KEY}"})


async def heard(found: Rig, **more: Any) -> bytes:
    return b"".join([reply.data async for reply in found.engine.stream(DIALECT, call(**more))])


def one(*answers: Answer | Failure, **more: list[Answer | Failure]) -> Rig:
    providers = [provider(name, "inworld_tts") for name in ("one", *more)]
    return rig(FakeTransport(one=list(answers), **more), *providers, MODEL)


def texts(found: Rig) -> list[str]:
    return [json.loads(request.body)["text"] for request in found.transport.asked]


def test_pieces_are_the_text_and_end_where_sentences_do() -> None:
    pieces = in_pieces(LONG, MAX_CHARACTERS)
    assert ("".join(pieces), len(pieces)) == (LONG, 2)
    assert all(piece.endswith("nothing. ") for piece in pieces)


@pytest.mark.parametrize("seed", range(40))
def test_no_piece_is_too_long_or_silent_and_no_word_is_lost(seed: int) -> None:
    random = Random(seed)
    words = [
        "Ah",
        "no.",
        "é",
        "x" * 90,
        "。",
        "\n\n",
        "   ",
        "z" * 400,
        "Dr.",
        "```\ncode\n```\n",
        " " * 150,
        "so, then!",
    ]
    text = "".join(random.choice(words) + random.choice([" ", "", "\n"]) for _ in range(random.randrange(1, 60)))
    longest = random.choice([50, 120, 300])
    pieces = in_pieces(text, longest)
    assert all(len(piece) <= longest for piece in pieces)
    assert all(piece.strip() for piece in pieces) or not text.strip()
    assert "".join("".join(pieces).split()) == "".join(text.split())


def sound(**more: Any) -> PiecedSound:
    def read(value: Any) -> Any:
        return (value["s"], None) if isinstance(value.get("s"), str) else NO_SOUND

    return PiecedSound(read, usage=TokenUsage(characters=9), **more)


def fed(decoder: PiecedSound, *pieces: bytes) -> bytes | Failure:
    found = b""
    for piece in pieces:
        progress = decoder.feed(piece)
        if isinstance(progress, Failure):
            return progress
        found += progress
    last = decoder.end()
    return last if isinstance(last, Failure) else found + last


A, B, NOTHING = b'{"s": "YWJj"}', b'{"s": "ZGVm"}\n', b'{"s": ""}\n'


@pytest.mark.parametrize("cut", [1, 3, 1_000])
def test_sounds_of_pieces_are_one_however_they_arrive(cut: int) -> None:
    whole = A + SEAM + B + B + SEAM + A
    pieces = [whole[at : at + cut] for at in range(0, len(whole), cut)]
    decoder = sound()
    assert fed(decoder, *pieces) == b"abcdefdefabc"
    assert decoder.usage == TokenUsage(characters=9)
    assert fed(sound(head=b"HEAD"), *pieces) == b"HEADabcdefdefabc"


@pytest.mark.parametrize(
    ("pieces", "failure"),
    [
        ((A, SEAM), SILENT),
        ((SEAM, A), SILENT),
        ((A, SEAM, NOTHING, SEAM, A), SILENT),
        ((NOTHING, SEAM, NOTHING), SILENT),
        ((A, SEAM, b'{"t": 1}'), NO_SOUND),
    ],
)
def test_a_piece_without_sound_is_a_failure(pieces: tuple[bytes, ...], failure: Failure) -> None:
    assert fed(sound(), *pieces) is failure


def test_raw_sound_of_a_piece_has_whole_samples() -> None:
    assert fed(sound(raw_sound=True), A, SEAM, A) is HALF_A_SAMPLE
    assert fed(sound(raw_sound=True), B + A + SEAM + B + A) == b"defabcdefabc"
    assert fed(sound(raw_sound=True, head=b"odd"), B + A + SEAM + B + A) == b"odddefabcdefabc"


@pytest.mark.parametrize("form", ["mp3", "wav", "pcm"])
async def test_a_long_text_is_spoken_in_one_attempt(form: str) -> None:
    found = one(spoken(b"abcd", b"ef"), spoken(b"gh"))
    head = wav_head(24_000) if form == "wav" else b""
    assert await heard(found, response_format=form) == head + b"abcdefgh"
    assert "".join(texts(found)) == LONG
    assert max(map(len, texts(found))) <= MAX_CHARACTERS
    record = record_of(found.trails[0], "node")
    assert [(a.success, a.usage.characters) for a in record.attempts] == [(True, len(LONG))]
    assert record.usage.cost_usd == pytest.approx(len(LONG) * 10e-6)


async def test_events_are_of_one_answer_too() -> None:
    told = await heard(one(spoken(b"ab"), spoken(b"cd")), stream_format="sse")
    events = [json.loads(text[6:]) for text in told.decode().split("\n\n") if text]
    assert [event["type"] for event in events] == ["speech.audio.delta", "speech.audio.delta", "speech.audio.done"]
    assert events[-1]["usage"]["characters"] == len(LONG)


async def test_a_whole_answer_is_of_all_pieces_too() -> None:
    answers = [spoken(b"ab"), spoken(b"cd")]
    reply = await one(*answers).engine.whole(DIALECT, call(stream=False))
    assert (reply.status, reply.data) == (200, b"abcd")
    assert all(answer.closed for answer in answers)


async def test_before_the_first_sound_another_target_speaks_all_of_it() -> None:
    found = one(refused(503), two=[spoken(b"ab"), spoken(b"cd")])
    assert await heard(found, models=["two/tts"]) == b"abcd"
    assert found.transport.hosts == ["one", "two", "two"]


async def test_held_back_sound_is_not_heard_of_a_target_that_fails_later() -> None:
    held = {"kind": "Settings", "name": "default", "commit_after": {"ms": 60_000}}
    transport = FakeTransport(one=[spoken(b"xy"), refused(503)], two=[spoken(b"ab"), spoken(b"cd")])
    found = rig(transport, provider("one", "inworld_tts"), provider("two", "inworld_tts"), MODEL, held)
    assert await heard(found, models=["two/tts"]) == b"abcd"
    assert found.transport.hosts == ["one", "one", "two", "two"]


@pytest.mark.parametrize("second", [refused(503), Failure(K.CONNECT_FAILED, "no"), spoken(), spoken(b"")])
async def test_sound_that_breaks_between_pieces_is_no_whole_answer(second: Answer | Failure) -> None:
    found = one(spoken(b"ab"), second)
    pieces: list[bytes] = []
    with pytest.raises(ChainFailed):
        pieces.extend([reply.data async for reply in found.engine.stream(DIALECT, call())])
    (ended,) = found.trails
    assert ended.outcome == "broken"
    assert len(found.transport.asked) == 2


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"input": "x" * (MAX_INPUT + 1)}, "up to 4,096 characters at once, not 4,097"),
        ({"input": LONG, "response_format": "opus"}, "up to 2,000 characters at once"),
        ({"input": LONG, "response_format": "flac"}, "up to 2,000 characters at once"),
    ],
)
def test_what_cannot_be_joined_is_for_the_next_target(more: Any, told: str) -> None:
    with pytest.raises(Untranslatable, match=told):
        to("inworld_tts", "audio.speech", {**SPEECH, **more})


def test_a_text_that_fits_is_one_request_and_believes_its_count() -> None:
    made = to("inworld_tts", "audio.speech", {**SPEECH, "input": "x" * MAX_CHARACTERS})
    request = made.request("key")
    assert request is not None
    assert request.then == ()
    assert played(made, [line(b"ab", usage={"processedCharactersCount": 7})]).done
    assert made.facts.usage == TokenUsage(characters=7)
