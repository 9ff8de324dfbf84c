"""Splices: what a second answer adds is joined to what the caller has, without a seam, however it comes in pieces.

The texts of the random tests have no character twice but for white space, so that nothing repeats itself by
accident. For other texts some cases cannot be decided by anybody who has only the two texts, and are not
tested: an answer that goes on, on purpose, with the last eight or more characters that the caller has (a refrain,
"ha ha ha ha ha"), or with all that the caller has ("1", then "11"), which is taken for an echo; an echo of
fewer than eight characters, which is taken for new text; white space that the second answer leaves out where the
caller's text does not end in it; and white space that it does not send again where the caller's text ends within
a run of white space, of which the first half is then taken for what is to come.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.dataplane.splice import MIN_OVERLAP, Continuation, Diverged, Resumption, Splice

SPACES = [" ", "\n", "\n\n", "  ", "\n    ", "\t"]
ECHOES = ("none", "part", "all")
characters = st.characters(exclude_categories=("Cs", "Cc", "Z"))


def no_white_space(character: str) -> bool:
    return not character.isspace()


@st.composite
def texts(draw: st.DrawFn, least: int = 2) -> list[str]:
    """A text as a list of characters and runs of white space; no character occurs twice."""
    letters = draw(st.lists(characters.filter(no_white_space), unique=True, min_size=least, max_size=60))
    pieces = []
    for letter in letters[:-1]:
        pieces += [letter] + ([draw(st.sampled_from(SPACES))] if draw(st.integers(0, 3)) == 0 else [])
    return [*pieces, letters[-1]]


def echo_of(kind: str, sent: str, size: int) -> str:
    """What the second answer repeats of the text that it was sent."""
    return {"none": "", "all": sent, "part": sent[-size:]}[kind]


def cut(text: str, places: list[int]) -> list[str]:
    ends = sorted({min(place, len(text)) for place in places} | {len(text)})
    return [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]


def joined(splice: Splice, pieces: list[str]) -> str:
    return "".join([*(splice.feed(piece) for piece in pieces), splice.end()])


places = st.lists(st.integers(0, 120), max_size=30)


@settings(max_examples=400, deadline=None)
@given(st.data(), texts(), places)
def test_a_continuation_leaves_no_seam(data: st.DataObject, text: list[str], cuts: list[int]) -> None:
    at = data.draw(st.integers(0, len(text)))
    prefix, rest = "".join(text[:at]), "".join(text[at:])
    sent = prefix.rstrip()
    kind = data.draw(st.sampled_from(ECHOES))
    if kind == "part" and len(sent) < MIN_OVERLAP:
        kind = "none"
    size = data.draw(st.integers(MIN_OVERLAP, max(MIN_OVERLAP, len(sent))))
    echo = echo_of(kind, sent, size)
    space = prefix[len(sent) :]
    again = data.draw(st.sampled_from([space, ""]))  # the white space that was cut off, sent again or not
    long = len(echo.lstrip()) >= MIN_OVERLAP or kind == "all"
    before = data.draw(st.sampled_from(["", " ", "\n"])) if echo and long else ""
    answer = before + echo + again + rest
    assert prefix + joined(Continuation(prefix), cut(answer, cuts)) == prefix + rest


@settings(max_examples=200, deadline=None)
@given(st.data(), texts(), places)
def test_an_answer_cut_within_white_space_goes_on_where_the_caller_is(
    data: st.DataObject, text: list[str], cuts: list[int]
) -> None:
    whole = "".join(text)
    at = data.draw(st.integers(0, len(whole)))
    prefix, rest = whole[:at], whole[at:]
    sent = prefix.rstrip()
    answer = data.draw(st.sampled_from(["", sent])) + prefix[len(sent) :] + rest
    assert joined(Continuation(prefix), cut(answer, cuts)) == rest


STORY = (
    "The switch at the yard had two settings, and the yardmaster liked neither of them. On the first, trains\n"
    "went straight to the river; on the second, they went to the hills, where nobody waited for anything.\n\n"
    "So he built a third one:\n\n    def route(train):\n        return river if train.late else hills\n\n"
    "- It worked by day, and by night as well.\n- Nobody asked him how."
)


@pytest.mark.parametrize("kind", ECHOES)
@pytest.mark.parametrize("step", [1, 3, 1_000])
def test_real_text_cut_anywhere_goes_on(kind: str, step: int) -> None:
    for at in range(1, len(STORY)):
        prefix, rest = STORY[:at], STORY[at:]
        sent = prefix.rstrip()
        if kind == "part" and len(sent) < 20:
            continue
        answer = echo_of(kind, sent, 20) + prefix[len(sent) :] + rest
        pieces = [answer[i : i + step] for i in range(0, len(answer), step)]
        assert joined(Continuation(prefix), pieces) == rest, f"cut at {at}"


def test_an_answer_that_is_nothing_but_an_echo_adds_nothing() -> None:
    for echo in (STORY, STORY[:40], STORY[-40:]):
        assert joined(Continuation(STORY), list(echo)) == ""


def test_text_that_is_no_echo_is_held_back_no_longer_than_it_may_be_one() -> None:
    splice = Continuation("The quick brown fox")
    assert splice.feed(" jum") == " jum"
    assert splice.feed("ps") == "ps"
    assert Continuation("").feed("Hello") == "Hello"


def test_an_indent_behind_a_line_that_the_caller_has_is_kept() -> None:
    assert joined(Continuation("def f():\n"), ["\n", "    return 1"]) == "    return 1"
    assert joined(Continuation("One. "), ["\n", "\nTwo."]) == "\n\nTwo."


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40), st.text(max_size=40), places)
def test_a_resumption_shows_what_comes_behind_equal_text(prefix: str, rest: str, cuts: list[int]) -> None:
    assert joined(Resumption(prefix), cut(prefix + rest, cuts)) == rest


@settings(max_examples=300, deadline=None)
@given(st.text(min_size=1, max_size=40), st.text(max_size=60), places)
def test_a_resumption_of_anything_else_diverges_and_shows_nothing_wrong(
    prefix: str, answer: str, cuts: list[int]
) -> None:
    splice, shown = Resumption(prefix), ""
    try:
        for piece in cut(answer, cuts):
            shown += splice.feed(piece)
        shown += splice.end()
    except Diverged:
        assert not answer.startswith(prefix)
        assert shown == ""
    else:
        assert prefix + shown == answer
