"""The sound of an answer that is given whole."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from services.core.errors import ChainFailed, Failure, FailureKind
from services.dataplane.operations.wrapped import wav_head
from services.dataplane.voice.speaker import Spoken
from services.dataplane.voice.wish import WAV, Wish

MOST = 32 * 1024 * 1024
"""Bytes of sound; about six minutes of raw sound at 48,000 samples per second."""
_TOO_LONG = "the sound of this answer is too long for one that is given whole: ask for a stream, or for mp3"


class SoundOfAll:
    """Gathers the sound of one answer."""

    def __init__(self, wish: Wish) -> None:
        self._wish = wish
        self._size = 0
        self._segments: list[tuple[str, list[bytes]]] = []

    def take(self, transcript: str, piece: bytes) -> None:
        """Take a piece; `transcript`: what the segment says that begins with it.

        Raises:
            ChainFailed: There is too much of it.
        """
        self._size += len(piece)
        if self._size > MOST:
            raise ChainFailed(_TOO_LONG, failure=Failure(FailureKind.BAD_RESPONSE, _TOO_LONG), status=502)
        if transcript:
            self._segments.append((transcript, []))
        self._segments[-1][1].append(piece)

    def form(self, whole: int, spoken: Spoken) -> dict[str, Any]:
        """Sound and transcript of the first segments, `whole` in number: one that broke in its middle is left out."""
        kept = self._segments[:whole]
        sound = b"".join(piece for _, pieces in kept for piece in pieces)
        if self._wish.format == WAV:
            sound = wav_head(spoken.sample_rate, len(sound)) + sound
        return {"data": b64encode(sound).decode(), "transcript": "".join(told for told, _ in kept).rstrip()}
