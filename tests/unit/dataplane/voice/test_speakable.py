"""What is read aloud of Markdown."""

from __future__ import annotations

import pytest

from services.dataplane.voice.segmenter import Segment
from services.dataplane.voice.speakable import speakable


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Plain text, 2 * 3 = 6, snake_case. ", "Plain text, 2 * 3 = 6, snake_case."),
        ("**Bold**, *soft* and __strong__ ~~gone~~", "Bold, soft and strong gone"),
        ("**cut at its sentence.", "cut at its sentence."),
        ("## A title\n\nText", "A title\nText"),
        ("> quoted\n> more", "quoted\nmore"),
        ("- one\n* two\n  + three\n- [x] done", "one\ntwo\nthree\ndone"),
        ("1. First", "1. First"),
        ("Use `pip install x` now", "Use pip install x now"),
        ("[The docs](https://example.com/a?b=c) and ![a cat](cat.png)", "The docs and a cat"),
        ("See https://www.example.com/a/b?c=d#e.", "See example.com."),
        ("| a | b |\n|---|:-:|\n| 1 | 2 |", "a, b\n1, 2"),
        ("---", ""),
        ("👋 ... !", ""),
        ("  \n ", ""),
        ("[laugh] Oh!", "[laugh] Oh!"),
        ("你好。", "你好。"),
    ],
)
def test_what_is_spoken(written: str, spoken: str) -> None:
    assert speakable(Segment(written)) == spoken


def test_code_is_not_read_aloud() -> None:
    assert speakable(Segment("```\nprint(1)\n```", code=True)) == ""
