"""Splicing: a second answer behind the text that the caller already has, without a seam.

`Continuation`  the target was given the text to go on from. Some targets repeat all of it, or the
                end of it, or the white space that was cut off before it was sent; that is removed.
`Resumption`    the target answers anew. What equals the caller's text is swallowed, what comes
                behind it is shown; an answer that says something else raises `Diverged`.

What no splice can know: whether an answer that goes on with the very words that the text ends with
repeats them on purpose, and whether white space was left out where the text ends in the middle of
a line. The first is taken for an echo from `MIN_OVERLAP` characters on, the second is not put back.
"""

from __future__ import annotations

from typing import Protocol

MIN_OVERLAP = 8
"""Characters from which on a repeated end counts as an echo; fewer happen by chance."""


class Diverged(Exception):
    """The second answer says something else than the first."""


class Splice(Protocol):
    """Takes the text of a second answer and gives what comes behind the first."""

    def feed(self, text: str) -> str:
        """What of `text`, and of what was held back, is new; raises `Diverged`."""

    def end(self) -> str:
        """What is left at the end of the answer; raises `Diverged`."""


class Continuation:
    """Removes echoes from an answer that goes on from `prefix`.

    Text is held back for as long as it may still be part of an echo: while it occurs in the prefix.
    """

    def __init__(self, prefix: str) -> None:
        self._sent = prefix.rstrip()
        self._space = prefix[len(self._sent) :]
        self._held = ""
        self._past_echo = not self._sent
        self._open = not prefix

    def feed(self, text: str) -> str:
        if self._open:
            return text
        self._held += text
        return self._released(last=False)

    def end(self) -> str:
        return "" if self._open else self._released(last=True)

    def _released(self, *, last: bool) -> str:
        """What of the text held back is new, as far as that can be told by now."""
        if not self._past_echo:
            rest = self._behind_echo(self._held, last=last)
            if rest is None:
                return ""
            self._held, self._past_echo = rest, True
        behind = self._behind_space(self._held, last=last)
        if behind is None:
            return ""
        self._open, self._held = True, ""
        return behind

    def _behind_echo(self, held: str, *, last: bool) -> str | None:
        """`held` without an echo at its beginning; None: more has to be seen."""
        bare, body = self._sent.lstrip(), held.lstrip()
        if body.startswith(bare) and len(body) > len(bare):
            return body[len(bare) :]
        forms = (held, body)  # white space before an echo may be a part of it, or not
        if body in self._sent:
            if not last:
                return None
            # Is the answer nothing but an echo, whole or cut short, then nothing of it is new.
            long = [form for form in forms if form == bare or len(form) >= MIN_OVERLAP]
            echo = any(bare.startswith(form.lstrip()) or self._sent.endswith(form) for form in long)
            return "" if echo else held
        for form in forms:
            size = self._overlap(form)
            if size:
                return form[size:]
        return held

    def _overlap(self, body: str) -> int:
        """Length of the longest beginning of `body` that ends the prefix, if it is long enough."""
        for size in range(min(len(body), len(self._sent)), MIN_OVERLAP - 1, -1):
            if self._sent.endswith(body[:size]):
                return size
        return 0

    def _behind_space(self, held: str, *, last: bool) -> str | None:
        """`held` without the white space that ends the prefix, which the caller has; None: more has to be seen."""
        if held.startswith(self._space):
            return held[len(self._space) :]
        space = held[: len(held) - len(held.lstrip())]
        if not self._space.startswith(space):
            return held  # it is other white space: an indent, a new line
        if space == held and not last:
            return None
        return held[len(space) :]


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
