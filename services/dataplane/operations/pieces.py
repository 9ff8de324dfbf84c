"""A text that is too long for one request, in pieces for several, and their sound as that of one."""

from __future__ import annotations

from services.core.errors import Failure, FailureKind
from services.dataplane.operations.wrapped import JsonSound, ReadPiece
from services.dataplane.translation import TokenUsage
from services.dataplane.voice.segmenter import Segmenter

SEAM = b"\n\x1e\n"
"""Stands between the answers of two pieces. No JSON holds such a byte, so no provider's line is one."""
_MARK = SEAM.strip(b"\n")
SILENT = Failure(FailureKind.EMPTY_ANSWER, "a part of the text has no sound")
HALF_A_SAMPLE = Failure(FailureKind.BAD_RESPONSE, "the sound of a part of the text ends inside a sample")
_SAMPLE = 2
"""Bytes of a sample of raw sound."""


def in_pieces(text: str, longest: int) -> list[str]:
    """`text` in pieces of up to `longest` characters: cut at sentence ends, else between words.

    Together they are the text, but for white space that would go beyond the end of a piece, which nobody hears. None is
    white space alone, unless the text is.
    """
    segmenter = Segmenter()
    parts = [segment.text for segment in (*segmenter.feed(text), *segmenter.end())]
    pieces = [""]
    for part in (short for long in parts for short in _shortened(long, longest)):
        if len(pieces[-1]) + len(part.rstrip()) <= longest:
            pieces[-1] = (pieces[-1] + part)[:longest]
        elif pieces[-1].strip():
            pieces.append(part)
        else:
            pieces[-1] = part
    return pieces


def _shortened(part: str, longest: int) -> list[str]:
    """A segment, cut between words or within one if it is longer than a piece may be."""
    found = []
    while len(part) > longest:
        space = max(part.rfind(mark, 1, longest) for mark in " \n")
        cut = space + 1 if space > 0 else longest
        found.append(part[:cut])
        part = part[cut:]
    return [*found, part]


class PiecedSound(JsonSound):
    """The sound of several answers, one behind the other, each of which must have some.

    Args:
        raw_sound: It is bare samples, of which each answer must hold whole ones.
    """

    def __init__(self, read: ReadPiece, *, usage: TokenUsage, head: bytes = b"", raw_sound: bool = False) -> None:
        super().__init__(read, lines=True, head=head)
        self._all = usage
        self._raw_sound = raw_sound
        self._heard = 0

    def end(self) -> bytes | Failure:
        found = super().end()
        if isinstance(found, Failure):
            return found
        return self._seam() or found

    def _sound(self, lines: list[bytes]) -> bytes | Failure:
        sound: list[bytes] = []
        group: list[bytes] = []
        for line in [*lines, None]:
            if line is not None and line != _MARK:
                group.append(line)
                continue
            found = self._heard_of(group)
            group = []
            failure = found if isinstance(found, Failure) else self._seam() if line is not None else None
            if failure is not None:
                return failure
            assert isinstance(found, bytes), "a failure was returned"
            sound.append(found)
        return b"".join(sound)

    def _heard_of(self, lines: list[bytes]) -> bytes | Failure:
        head = len(self._head)
        found = super()._sound(lines)
        # What one answer says of its characters is not what all of them have.
        self.usage = self._all
        if not isinstance(found, Failure):
            self._heard += len(found) - (head - len(self._head))
        return found

    def _seam(self) -> Failure | None:
        """What is wrong with the answer that ends here; None: nothing."""
        heard, self._heard = self._heard, 0
        if not heard:
            return SILENT
        return HALF_A_SAMPLE if self._raw_sound and heard % _SAMPLE else None
