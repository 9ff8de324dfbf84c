"""The text of an answer to a request that asked for JSON, kept to see whether it is any.

Only such requests have one of these, and it lives no longer than the attempt: the evidence gets a yes or no.
"""

from __future__ import annotations

import msgspec

from services.dataplane.exchange import ChatAnswer, Text

MAX_CHARS = 262_144
"""Characters that are kept; a longer answer is not judged."""
_WHOLE = {"stop", "eos"}
"""Finish reasons of answers that say all they have to say; others were cut, refused, or call tools."""
_decode = msgspec.json.Decoder(msgspec.Raw).decode


class JsonText:
    """The text so far, of each answer by its number: a request may get several. Use from one task."""

    def __init__(self) -> None:
        self._texts: dict[int, list[str]] = {}
        self._reasons: dict[int, str] = {}
        self._chars = 0

    def add(self, text: str, of: int = 0) -> None:
        """Keep a piece of an answer."""
        self._chars += len(text)
        if self._chars > MAX_CHARS:
            self._texts.clear()
        elif text:
            self._texts.setdefault(of, []).append(text)

    def finished(self, reason: str, of: int = 0) -> None:
        """Note why the model stopped this one of several answers, in OpenAI's words."""
        self._reasons[of] = reason

    def add_answer(self, answer: ChatAnswer, of: int = 0) -> None:
        """Keep the text of a whole answer; that of a refusal is not meant to be JSON."""
        self.finished(answer.finish_reason, of)
        if answer.finish_reason in _WHOLE:
            self.add("".join(part.text for part in answer.parts if isinstance(part, Text)), of)

    def is_invalid(self, finish_reason: str) -> bool | None:
        """Whether one of the answers is no JSON.

        None: nobody can say. None is known to be invalid, and one was cut, refused, too long, or has no text, as an
        answer that calls tools.

        Args:
            finish_reason: Why the model stopped, in OpenAI's words, where an answer has no reason of its own.
        """
        if self._chars > MAX_CHARS:
            return None
        found = {
            self._judged(n, self._reasons.get(n, finish_reason)) for n in self._texts.keys() | self._reasons.keys()
        }
        if True in found:
            return True
        return None if None in found or not found else False

    def _judged(self, number: int, reason: str) -> bool | None:
        pieces = self._texts.get(number)
        if reason not in _WHOLE or not pieces:
            return None
        try:
            _decode("".join(pieces))
        except (msgspec.DecodeError, UnicodeEncodeError):
            return True
        except RecursionError:
            # Deeper than anybody reads.
            return None
        return False
