"""Text into segments: whatever the pieces, whatever the text, nothing is lost and nothing depends on the cuts."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.dataplane.voice.segmenter import LONGEST, Segment, Segmenter

SOUP = st.text(st.sampled_from("ab A.B!?…\n\n`~ \t1,;:。！，」\"')*_#-|é漢👋"), max_size=400)
PROSE = st.lists(
    st.sampled_from(
        ["Hello there. ", "He met Dr. Smith, e.g. at 3.14 p.m. today! ", "好。", "「はい！」", "\n\n", "```py\nx = 1.\n```\n",
         "1. First\n2. Second\n", "Wait... what? ", "word " * 120, "x" * 1200, "## Head\n", "- item\n", "~~~\n", "``` a", "…"]
    )
).map("".join)  # fmt: skip


def cut(text: str, *sizes: int) -> list[Segment]:
    """The segments of `text`, given in pieces of `sizes`, the rest whole."""
    segmenter, found, at = Segmenter(), [], 0
    for size in sizes:
        found += segmenter.feed(text[at : at + size])
        at += size
    return [*found, *segmenter.feed(text[at:]), *segmenter.end()]


def texts(text: str) -> list[str]:
    return [segment.text for segment in cut(text)]


@given(st.one_of(st.text(max_size=300), SOUP, PROSE), st.lists(st.integers(1, 9), max_size=60))
@example("``" + "`" + "\na\n```", [1, 1, 1, 1])
def test_segments_are_the_text_wherever_it_is_cut(text: str, sizes: list[int]) -> None:
    whole = cut(text)
    assert "".join(segment.text for segment in whole) == text
    assert cut(text, *sizes) == whole
    assert cut(text, *([1] * len(text))) == whole


@given(st.one_of(SOUP, PROSE))
def test_segments_of_prose_are_never_long_and_never_empty(text: str) -> None:
    for segment in cut(text):
        assert segment.text
        assert segment.code or len(segment.text.strip()) <= LONGEST


def test_the_first_segment_comes_with_the_word_behind_its_sentence() -> None:
    segmenter = Segmenter()
    assert segmenter.feed("Hi there.") == []
    assert segmenter.feed(" ") == []
    assert segmenter.feed("How") == [Segment("Hi there. ")]


def test_the_first_segment_may_end_at_a_clause_and_later_ones_do_not() -> None:
    clause = "Well, that is something that we should look at, "
    assert texts(clause * 3 + "now.") == [clause, clause * 2 + "now."]


def test_short_sentences_behind_the_first_are_spoken_together() -> None:
    assert texts("Yes. No. Maybe so. That is enough for one. End.") == [
        "Yes. ",
        "No. Maybe so. That is enough for one. ",
        "End.",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "I met Dr. Smith and Mrs. Jones there",
        "Use fruit, e.g. Apples or i.e. Pears",
        "It costs 3.14 or 1,000.50 now",
        "See No. 5 and Fig. 3 there",
        "J. R. Tolkien wrote it",
        "Well... maybe you are right",
        "It was “odd!” he said",
        "Visit example.com or a.b.c today",
        "1. First thing",
    ],
)
def test_full_stops_that_end_nothing(text: str) -> None:
    assert texts(text) == [text]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Really?! Yes", ["Really?! ", "Yes"]),
        ("He said “Stop.” Then he left", ["He said “Stop.” ", "Then he left"]),
        ("It was I. Then came you", ["It was I. ", "Then came you"]),
        ("It was in 1999. Then", ["It was in 1999. ", "Then"]),
        ("你好。我是助手！", ["你好。", "我是助手！"]),
        ("「はい。」次です", ["「はい。」", "次です"]),
        ("Wait… Now", ["Wait… ", "Now"]),
        ("Title\n\ntext", ["Title\n\n", "text"]),
        ("A list:\n- One", ["A list:\n", "- One"]),
        ("wrapped\nprose goes on", ["wrapped\nprose goes on"]),
    ],
)
def test_ends(text: str, found: list[str]) -> None:
    assert texts(text) == found


def test_a_block_of_code_is_one_segment() -> None:
    code = "```py\nprint('Hi. There.')\n\n# x\n```\n"
    assert cut(f"Look:\n{code}Done. ") == [Segment("Look:\n"), Segment(code, code=True), Segment("Done. ")]
    assert cut("~~~~\na\n~~~\nb. C\n~~~~") == [Segment("~~~~\na\n~~~\nb. C\n~~~~", code=True)]
    assert cut("```never closed. So") == [Segment("```never closed. So", code=True)]


def test_code_in_a_line_is_no_block() -> None:
    assert texts("```x``` is code. Then") == ["```x``` is code. ", "Then"]


def test_code_inside_a_list_is_found() -> None:
    assert cut("- a\n  ```\n  x\n  ```\nb")[1] == Segment("  ```\n  x\n  ```\n", code=True)


def test_text_without_any_end_is_cut_between_words() -> None:
    found = texts("word " * 300)
    assert len(found) == 4
    assert all(len(text) <= 405 and text.endswith("word ") for text in found)
