"""The hold-back: what ends it."""

from __future__ import annotations

import pytest

from services.core.policy.rules import CommitRule
from services.dataplane.holdback import HoldBack
from services.dataplane.translation import Progress


def after(rule: CommitRule, *pieces: str, at: float = 10.0) -> HoldBack:
    hold = HoldBack(rule)
    for piece in pieces:
        hold.add(Progress(text=piece, tokens=1), at)
    return hold


@pytest.mark.parametrize(
    "pieces",
    [
        ("It works. ",),
        ("It works.", " Then"),
        ('He said "no."', "\n"),
        ("A title", "\n"),
        ("これは。",),
        ("Why?! ", ""),
    ],
)
def test_a_sentence_ends_the_hold_back(pieces: tuple[str, ...]) -> None:
    assert after(CommitRule(sentence=True), *pieces).over(10.0)


@pytest.mark.parametrize("pieces", [("Pi is 3.",), ("Pi is 3.", "14"), ("\n\n",), ("  \n", "Hel"), ("Version 1.2.3",)])
def test_a_full_stop_within_a_word_or_an_empty_line_does_not(pieces: tuple[str, ...]) -> None:
    assert not after(CommitRule(sentence=True), *pieces).over(10.0)


def test_whichever_bound_is_reached_first_ends_it() -> None:
    rule = CommitRule(tokens=3, ms=500, sentence=True)
    assert not after(rule, "a", "b").over(10.4)
    assert after(rule, "a", "b", "c").over(10.0)
    assert after(rule, "a").over(10.5)


def test_nothing_is_held_back_without_a_rule_and_nothing_is_over_before_content() -> None:
    assert after(CommitRule(), "a").over(10.0)
    assert not HoldBack(CommitRule()).over(10.0)
    assert not HoldBack(CommitRule(ms=1)).over(10.0)


@pytest.mark.parametrize("rule", [CommitRule(tokens=50), CommitRule(sentence=True)])
def test_sound_and_pictures_wait_for_no_words(rule: CommitRule) -> None:
    hold = HoldBack(rule)
    hold.add(Progress(content=True, frames=b"sound"), 10.0)
    assert hold.over(10.0)


def test_sound_waits_for_the_time_that_policy_sets() -> None:
    hold = HoldBack(CommitRule(ms=500, sentence=True))
    hold.add(Progress(content=True, frames=b"sound"), 10.0)
    assert not hold.over(10.4)
    assert hold.over(10.6)
