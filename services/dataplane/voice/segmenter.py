"""Text in pieces, cut anywhere, as segments that can be spoken while the rest is still being written.

Segments end where sentences do, and put together they are the text. The first one may end at a clause, so
that a voice begins soon; later ones are longer, since speech sounds better with more of a sentence to see. A
block of code is a segment of its own. How the text was cut into pieces changes nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FIRST_CLAUSE = 30
"""Characters from which on the first segment may end at a clause."""
SHORTEST = 30
"""Characters that later segments have at least, unless the text ends."""
SHORTEST_WIDE = 12
"""The same in writing without spaces, whose characters say more."""
CLAUSE = 240
"""Characters from which on any segment may end at a clause."""
WORD = 400
"""Characters from which on it may end between two words."""
LONGEST = 1_000
"""Characters that a segment of prose never has more of, white space at its end aside."""

_ENDS = ".!?…"
_WIDE_ENDS = "。！？｡"
_CLAUSES = ",;:–—"
_WIDE_CLAUSES = "，、；："
_CLOSERS = "\"'”’»)]}*_`」』）】》"
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_FENCE_BEGUN = re.compile(r" {0,3}(?:`{0,2}|~{0,2}|`{3,}[^`\n]*|~{3,}[^\n]*)\Z")
"""What may still become the line that opens a block of code."""
_FENCE_LINE = re.compile(r" {0,3}(`{3,}(?=[^`\n]*(?:\n|\Z))|~{3,})")
_LAST_WORD = re.compile(r"[^\W_]+(?:\.[^\W_]+)*\Z")
_ABBREVIATIONS = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "sr",
        "jr",
        "st",
        "vs",
        "e.g",
        "i.e",
        "approx",
        "dept",
        "gen",
        "gov",
        "hon",
        "sen",
        "rep",
        "capt",
        "lt",
        "col",
        "sgt",
        "rev",
        "jan",
        "feb",
        "mar",
        "apr",
        "jun",
        "jul",
        "aug",
        "sep",
        "sept",
        "oct",
        "nov",
        "dec",
        "bzw",
        "ca",
        "z.b",
        "d.h",
        "u.a",
        "mme",
        "mlle",
        "cf",
    ]
)
_BEFORE_NUMBERS = frozenset({"no", "nr", "fig", "figs", "vol", "p", "pp", "art", "sec", "ch", "eq"})


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of the text; `code`: it is a block of code, with its fences."""

    text: str
    code: bool = False


class Segmenter:
    """Cuts one text."""

    def __init__(self) -> None:
        self._text = ""
        self._at = 0
        self._first = True
        self._new_line = True
        self._fence = ""

    def feed(self, piece: str) -> list[Segment]:
        """The segments that are complete now."""
        self._text += piece
        return self._cut(final=False)

    def end(self) -> list[Segment]:
        """The rest."""
        found = self._cut(final=True)
        if self._text:
            found.append(self._taken(len(self._text)))
        return found

    def _cut(self, *, final: bool) -> list[Segment]:
        found: list[Segment] = []
        while True:
            end = self._fence_end(final=final) if self._fence else self._segment_end(final=final)
            if end is None:
                return found
            found.append(self._taken(end))

    def _taken(self, end: int) -> Segment:
        segment = Segment(self._text[:end], bool(self._fence))
        gap = segment.text[len(segment.text.rstrip()) :]
        self._new_line = "\n" in gap or bool(self._fence)
        self._text, self._at, self._fence = self._text[end:], 0, ""
        self._first = self._first and not any(c.isalnum() for c in segment.text)
        return segment

    def _segment_end(self, *, final: bool) -> int | None:
        """Where the segment that is being read ends; None: not in what is there."""
        text = self._text
        while self._at < len(text):
            at = self._at
            if self._begins_line(at):
                if not final and _FENCE_BEGUN.match(text, at):
                    return None
                fence = _FENCE_LINE.match(text, at)
                if fence is not None:
                    if text[:at].strip():
                        return at
                    self._fence, self._at = fence[1], fence.end()
                    return self._fence_end(final=final)
            behind = self._boundary(at, final=final)
            if behind is None:
                return None
            if behind < 0:
                self._at = -behind
            elif text[:behind].strip():
                return behind
            else:
                self._at = behind
        return None

    def _fence_end(self, *, final: bool) -> int | None:
        """Where the block of code ends: behind the line that closes it."""
        text = self._text
        while True:
            line = text.find("\n", self._at)
            if line < 0:
                return None
            start, stop = line + 1, text.find("\n", line + 1)
            if stop < 0 and not final:
                self._at = line
                return None
            last = text[start:] if stop < 0 else text[start:stop]
            closing = _FENCE.match(last)
            if closing is not None and closing[1].startswith(self._fence) and not last[closing.end() :].strip():
                return len(text) if stop < 0 else stop + 1
            if stop < 0:
                return None
            self._at = stop

    def _begins_line(self, at: int) -> bool:
        line = self._text.rfind("\n", 0, at) + 1
        return line == at and (line > 0 or self._new_line)

    def _boundary(self, at: int, *, final: bool) -> int | None:
        """Where a segment ends because of what stands at `at`; negative: it does not, read on there; None: wait."""
        text, char = self._text, self._text[at]
        if at + 1 >= LONGEST:
            return at + 1
        if char.isspace():
            return self._gap(at, at, final=final)
        if char in _ENDS or char in _WIDE_ENDS:
            return self._sentence(at, final=final)
        limit = FIRST_CLAUSE if self._first else CLAUSE
        if at >= limit and char in _WIDE_CLAUSES:
            return at + 1
        if at >= limit and char in _CLAUSES:
            if at + 1 == len(text):
                return None
            return self._gap(at + 1, at + 1, final=final, soft=True) if text[at + 1].isspace() else -(at + 1)
        return -(at + 1)

    def _sentence(self, at: int, *, final: bool) -> int | None:
        """What `_boundary` says of a mark that may end a sentence."""
        text, stop = self._text, at
        while stop < len(text) and text[stop] in _ENDS + _WIDE_ENDS:
            stop += 1
        wide = text[stop - 1] in _WIDE_ENDS
        marks = stop
        while stop < len(text) and text[stop] in _CLOSERS:
            stop += 1
        if stop >= LONGEST:
            return LONGEST
        if stop == len(text):
            return None
        if wide:
            return stop if self._first or stop >= SHORTEST_WIDE else -stop
        if not text[stop].isspace() or (marks == at + 1 and self._is_no_end(at, stop)):
            return -stop
        return self._gap(stop, stop, final=final, ended=True)

    def _gap(self, start: int, at: int, *, final: bool, ended: bool = False, soft: bool = False) -> int | None:
        """What `_boundary` says of white space from `start` on.

        Args:
            at: Characters before it.
            ended: A sentence ends before it; `soft`: a clause does.
        """
        text, stop = self._text, start
        while stop < len(text) and text[stop].isspace():
            stop += 1
        if stop == len(text):
            return None
        if not text[:at].strip():
            return -_line_start(text, start, stop)
        breaks = text.count("\n", start, stop)
        long_enough = at >= SHORTEST or self._first
        lower = text[stop].islower()
        if soft or at >= WORD or breaks > 1:
            return _line_start(text, start, stop)
        if ended and breaks == 0 and text[stop].isdigit() and _word_before(text, at) in _BEFORE_NUMBERS:
            return -stop
        if long_enough and not lower and (ended or breaks):
            return _line_start(text, start, stop)
        return -_line_start(text, start, stop)

    def _is_no_end(self, at: int, stop: int) -> bool:
        """Whether the full stop at `at` belongs to an abbreviation, an initial or the number of a list's item."""
        if self._text[at] != "." or stop != at + 1:
            return False
        word = _word_before(self._text, at + 1)
        if word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha() and word not in {"i"}):
            return True
        line = self._text.rfind("\n", 0, at) + 1
        begins = self._text[line:at].strip() == word and (line > 0 or self._new_line)
        return word.isdigit() and len(word) < 4 and begins


def _line_start(text: str, start: int, stop: int) -> int:
    """Where reading goes on behind white space: at the begin of its last line, whose indent may belong to a fence."""
    line = text.rfind("\n", start, stop) + 1
    return line if line else stop


def _word_before(text: str, at: int) -> str:
    """The word before `at`, and before the full stop there, in lower case."""
    found = _LAST_WORD.search(text[max(0, at - 24) : at].removesuffix("."))
    return found[0].lower() if found else ""
