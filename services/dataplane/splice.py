"""Splicing: a second answer behind the text that the caller already has, without a seam.

`Continuation`  the target was given the text to go on from. Some targets repeat all of it, or the
                end of it, or the white space that was cut off before it was sent; that is removed.
`Resumption`    the target answers anew. What equals the caller's text is swallowed, what comes
                behind it is shown; an answer that says something else raises `Diverged`.
"""

from __future__ import annotations

from typing import Protocol

MIN_OVERLAP = 8
"""Characters from which on a repeated end counts as an echo; fewer happen by chance."""
DECIDED_AT = 64
"""Characters after which a continuation is no longer taken for the echo of an end."""


class Diverged(Exception):
    """The second answer says something else than the first."""


class Splice(Protocol):
    """Takes the text of a second answer and gives what comes behind the first."""

    def feed(self, text: str) -> str:
        """What of `text`, and of what was held back, is new; raises `Diverged`."""

    def end(self) -> str:
        """What is left at the end of the answer; raises `Diverged`."""


class Continuation:
    """Removes echoes from an answer that goes on from `prefix`."""

    def __init__(self, prefix: str) -> None:
        self._sent = prefix.rstrip()
        self._space = prefix[len(self._sent) :]
        self._held = ""
        self._decided = False

    def feed(self, text: str) -> str:
        if self._decided:
            return text
        self._held += text
        if self._sent.startswith(self._held):
            return ""  # so far it is an echo of all
        if not self._held.startswith(self._sent) and len(self._held) < min(DECIDED_AT, len(self._sent)):
            return ""
        return self._decide()

    def end(self) -> str:
        return "" if self._decided else self._decide()

    def _decide(self) -> str:
        self._decided = True
        held, self._held = self._held, ""
        if self._sent and held.startswith(self._sent):
            held = held[len(self._sent) :]
        elif self._sent.startswith(held) and len(held) >= MIN_OVERLAP:
            return ""  # an echo that was cut short, and nothing new
        else:
            held = held[self._overlap(held) :]
        if self._space and held:
            # The caller has the white space that was cut off; one that comes again is dropped.
            bare = held.lstrip()
            return bare if held[: len(held) - len(bare)] else held
        return held

    def _overlap(self, held: str) -> int:
        """Length of the longest beginning of `held` that ends the prefix, if it is long enough."""
        for size in range(min(len(held), len(self._sent)), MIN_OVERLAP - 1, -1):
            if self._sent.endswith(held[:size]):
                return size
        return 0


class Resumption:
    """Swallows what equals `prefix`."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._at = 0

    def feed(self, text: str) -> str:
        left = len(self._prefix) - self._at
        if left <= 0:
            return text
        known = text[:left]
        if not self._prefix.startswith(known, self._at):
            raise Diverged
        self._at += len(known)
        return text[left:]

    def end(self) -> str:
        if self._at < len(self._prefix):
            raise Diverged
        return ""
