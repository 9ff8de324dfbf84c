"""What ends an OpenAI-style stream that passes through: finishes, terminals, several answers."""

from __future__ import annotations

import json
from typing import Any

from services.core.errors import FailureKind as K
from services.core.policy.rules import ClockRule
from services.core.policy.snapshot import CompiledProvider, Target
from services.core.routing.plan import Candidate
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.translation import Progress, Translation

DONE = b"data: [DONE]\n\n"


def stream(**more: Any) -> Translation:
    form = {"model": "p/m", "messages": [{"role": "user", "content": "x"}], "stream": True, **more}
    target = Target("p/m", CompiledProvider("p", "openai_compatible", "http://127.0.0.1:1"), "m")
    return dialect_of("chat.completions").read(json.dumps(form).encode(), {}).translate(Candidate(target, ClockRule()))


def chunk(index: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    base = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(base).encode() + b"\n\n"


def start(index: int = 0) -> bytes:
    return chunk(index, {"role": "assistant", "content": ""})


def said(text: str, index: int = 0) -> bytes:
    return chunk(index, {"content": text})


def finish(index: int = 0) -> bytes:
    return chunk(index, {}, "stop")


def ended(translation: Translation, *pieces: bytes) -> Progress:
    for piece in pieces:
        progress = translation.feed(piece)
        assert progress.failure is None
    return translation.end()


def kind(progress: Progress) -> K | None:
    return progress.failure.kind if progress.failure is not None else None


def test_an_end_behind_the_finish_reason_is_whole_without_a_terminal() -> None:
    assert ended(stream(), start(), said("a"), finish()).done


def test_a_piece_of_an_event_behind_the_finish_reason_is_dropped() -> None:
    for piece in (b"data: [DO", b'data: {"id":"c","choi', b": ping"):
        assert ended(stream(), start(), said("a"), finish(), piece).done


def test_a_piece_of_an_event_before_the_finish_reason_is_a_cut() -> None:
    assert kind(ended(stream(), start(), said("a"), finish()[:-20])) is K.BAD_RESPONSE


def test_a_finish_reason_alone_may_end_the_stream() -> None:
    translation = stream()
    translation.feed(start() + said("a"))
    assert translation.feed(finish()).finished


def test_one_of_two_answers_that_finished_is_not_the_end() -> None:
    for order in ((start(), start(1), said("a"), said("b", 1), finish()), (start(), said("a"), finish())):
        translation = stream(n=2)
        assert not any(translation.feed(piece).finished for piece in order)
        assert kind(translation.end()) is K.STREAM_TRUNCATED


def test_a_terminal_while_an_answer_is_open_is_a_cut() -> None:
    translation = stream(n=2)
    translation.feed(start() + start(1) + said("a") + said("b", 1) + finish(1))
    assert kind(translation.feed(DONE)) is K.STREAM_TRUNCATED


def test_two_answers_that_both_finished_are_whole() -> None:
    for pieces in (
        (start(), start(1), said("a"), said("b", 1), finish(), finish(1)),
        (start(), said("a"), finish(), start(1), said("b", 1), finish(1)),
    ):
        assert ended(stream(n=2), *pieces).done


def test_a_provider_that_gives_one_answer_instead_of_two_may_say_that_it_is_done() -> None:
    translation = stream(n=2)
    translation.feed(start() + said("a") + finish())
    assert translation.feed(DONE).done


def test_every_answer_has_its_own_start_and_repeated_ones_are_dropped() -> None:
    translation = stream(n=2)
    shown = b"".join(translation.feed(piece).frames for piece in (start(), start(1), start(), start(1), said("a")))
    assert shown.count(b'"role"') == 2
    odd = chunk(0, {"role": "assistant", "content": "", "annotations": []})
    assert translation.feed(odd).frames, "a chunk that says more than that an answer begins is not ours to drop"


def test_a_finish_that_is_told_twice_is_shown_once() -> None:
    translation = stream()
    frames = b"".join(translation.feed(piece).frames for piece in (start(), said("a"), finish(), finish()))
    assert b'"stop"' not in frames
    again = chunk(0, {"content": "b"}, "stop")
    assert b'"b"' in translation.feed(again).frames, "content behind a finish is content"
