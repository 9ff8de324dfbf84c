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
    """The text so far. Use from one task."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._chars = 0

    def add(self, text: str) -> None:
        """Keep a piece of the answer."""
        self._chars += len(text)
        if self._chars > MAX_CHARS:
            self._pieces.clear()
        else:
            self._pieces.append(text)

    def add_answer(self, answer: ChatAnswer) -> None:
        """Keep the text of a whole answer; that of a refusal is not meant to be JSON."""
        if answer.finish_reason in _WHOLE:
            self.add("".join(part.text for part in answer.parts if isinstance(part, Text)))

    def is_invalid(self, finish_reason: str) -> bool | None:
        """Whether it is no JSON.

        None: nobody can say. It was cut, refused, too long, or has no text, as an answer that calls tools.

        Args:
            finish_reason: Why the model stopped, in OpenAI's words.
        """
        if finish_reason not in _WHOLE or self._chars > MAX_CHARS or not self._chars:
            return None
        try:
            _decode("".join(self._pieces))
        except (msgspec.DecodeError, UnicodeEncodeError):
            return True
        except RecursionError:
            # Deeper than anybody reads.
            return None
        return False
