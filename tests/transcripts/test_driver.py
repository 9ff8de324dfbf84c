"""The driver of transcripts itself: what it must refuse, and what it may rewrite."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.transcript import Arguments, BadTranscript, Command, run_transcript

GOOD = """# Adding up.

sum of=numbers 1 2
3
----
6

# And nothing.

quiet
----
"""


def added(arguments: Arguments) -> str:
    assert arguments.text("of") == "numbers"
    first, second = int(arguments.word()), int(arguments.word())
    return str(first + second + sum(map(int, arguments.input())))


COMMANDS: dict[str, Command] = {
    "sum": added,
    "quiet": lambda _: "",
    "blank": lambda _: "a\n\nb",
    "metadata": lambda a: str(a.rest()),
    "needs": lambda a: a.text("x") + a.word(),
}


def run(folder: Path, text: str) -> str:
    """Run `text` as a transcript; the file afterwards."""
    path = folder / "t.txt"
    path.write_text(text, encoding="utf-8")
    run_transcript(path, COMMANDS)
    return path.read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def checking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TURNOUT_GOLDEN", raising=False)


def test_a_transcript_that_is_true_passes_and_stays_as_it_is(tmp_path: Path) -> None:
    assert run(tmp_path, GOOD) == GOOD


@pytest.mark.parametrize(
    "wrong",
    [
        GOOD.replace("6\n", "7\n"),
        GOOD.replace("6\n", ""),
        GOOD.replace("6\n", "6\n6\n"),
        GOOD + "loud\n",
    ],
)
def test_a_transcript_that_is_not_true_fails(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(AssertionError):
        run(tmp_path, wrong)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("quiet\n----\n", "begins with a comment"),
        ("# x\n\nquiet\n", "no ---- follows"),
        ("# x\n\nsing\n----\n", "expected one of sum, quiet"),
        ("# x\n\nquiet lowd=1\n----\n", "does not know 'lowd'"),
        ("# x\n\nquiet please\n----\n", "does not know 'please'"),
        ("# x\n\nquiet\ninput\n----\n", "does not know 'input'"),
        ("# x\n\nneeds word\n----\n", "x= is missing"),
        ("# x\n\nneeds x=1\n----\n", "a word is missing"),
        ("# x\n\nsum of=numbers one two\n----\n", "invalid literal"),
        ("# x\n\nblank\n----\na\n", "cannot be kept"),
    ],
)
def test_a_transcript_that_is_at_fault_itself_says_where(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(BadTranscript, match=told):
        run(tmp_path, text)


def test_rewriting_replaces_what_was_expected_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNOUT_GOLDEN", "rewrite")
    assert run(tmp_path, GOOD.replace("6\n", "seven\nor eight\n") + "loud\n") == GOOD


def test_values_may_have_spaces_and_equal_signs(tmp_path: Path) -> None:
    text = "# x\n\nmetadata a='b c' d=e=f\n----\n{'a': 'b c', 'd': 'e=f'}\n"
    assert run(tmp_path, text) == text
