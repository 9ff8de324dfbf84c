"""Sound that comes as base64 inside JSON: taken out for callers who want bytes, or put into OpenAI's events."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from services.core.errors import Failure, FailureKind, RouterError
from services.dataplane.dialects.openai_errors import error_object_of
from services.dataplane.exchange import TRUNCATED
from services.dataplane.members import raw
from services.dataplane.operations.streams import BytesTranslation
from services.dataplane.sse import frame
from services.dataplane.translation import EVENT_STREAM, Evidence, Progress, TokenUsage

MAX_PIECE = 64 * 1024 * 1024
NOT_JSON = Failure(FailureKind.BAD_RESPONSE, "the stream holds a line that is not JSON")
NO_SOUND = Failure(FailureKind.BAD_RESPONSE, "the provider's answer holds no proper sound")
TOO_LARGE = Failure(FailureKind.BAD_RESPONSE, f"a piece of the answer is larger than {MAX_PIECE:,} bytes")

ReadPiece = Callable[[Mapping[str, Any]], tuple[str, TokenUsage | None] | Failure]
"""Base64 text and usage of one JSON object; empty text: it holds none."""


class JsonSound:
    """Decodes one answer.

    Args:
        lines: Every line is an object of its own; else the whole answer is one.
        head: Bytes that come before the sound.
    """

    def __init__(self, read: ReadPiece, *, lines: bool, head: bytes = b"") -> None:
        self.usage: TokenUsage | None = None
        self._read = read
        self._lines = lines
        self._head = head
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> bytes | Failure:
        self._size += len(data)
        if not self._lines or b"\n" not in data:
            self._pieces.append(data)
            return TOO_LARGE if self._size > MAX_PIECE else b""
        *lines, rest = b"".join((*self._pieces, data)).split(b"\n")
        self._pieces, self._size = [rest], len(rest)
        return self._sound(lines)

    def end(self) -> bytes | Failure:
        rest = b"".join(self._pieces)
        self._pieces = []
        found = self._sound([rest])
        # Half an object at the end is a stream that was cut, however cleanly the connection closed.
        return TRUNCATED if found is NOT_JSON and rest.lstrip().startswith(b"{") else found

    def _sound(self, lines: list[bytes]) -> bytes | Failure:
        sound: list[bytes] = []
        for line in lines:
            if not line.strip():
                continue
            try:
                value = msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return NOT_JSON
            piece = self._read(value) if isinstance(value, dict) else NO_SOUND
            if isinstance(piece, Failure):
                return piece
            text, usage = piece
            self.usage = usage or self.usage
            try:
                sound.append(b64decode(text, validate=True))
            except (Base64Error, ValueError):
                return NO_SOUND
        found = b"".join(sound)
        if found and self._head:
            found, self._head = self._head + found, b""
        return found


class JsonText:
    """Decodes an answer of which only the text in its JSON is wanted.

    Args:
        read: Text and usage of the whole body.
    """

    def __init__(self, read: Callable[[bytes], tuple[str, TokenUsage | None] | Failure]) -> None:
        self.usage: TokenUsage | None = None
        self._read = read
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> bytes | Failure:
        self._pieces.append(data)
        self._size += len(data)
        return TOO_LARGE if self._size > MAX_PIECE else b""

    def end(self) -> bytes | Failure:
        found = self._read(b"".join(self._pieces))
        if isinstance(found, Failure):
            return found
        text, self.usage = found
        return text.encode()


class SoundEvents(BytesTranslation):
    """Sound as OpenAI's server-sent events, for callers who ask for `stream_format` "sse"."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.facts.frames_type = EVENT_STREAM

    def _progress(self, found: bytes | Failure) -> Progress:
        progress = super()._progress(found)
        if progress.frames:
            delta = {"type": "speech.audio.delta", "audio": b64encode(progress.frames).decode()}
            progress.frames = frame(msgspec.json.encode(delta))
        return progress

    def closing(self, evidence: Evidence) -> bytes:
        used = self.facts.usage or TokenUsage()
        usage: dict[str, Any] = {"input_tokens": used.input_tokens, "output_tokens": used.output_tokens}
        usage |= {"total_tokens": used.input_tokens + used.output_tokens, "characters": used.characters}
        if evidence.cost_usd is not None:
            usage["cost"] = evidence.cost_usd
        return frame(bytes(raw({"type": "speech.audio.done", "usage": usage, "metadata": evidence.metadata})))

    def broken(self, error: RouterError, evidence: Evidence) -> bytes | None:
        return frame(bytes(raw({"error": error_object_of(error), "metadata": evidence.metadata})))


_UNKNOWN_SIZE = 0xFFFF_FFFF
_WAV_HEAD = 36
"""Bytes of a WAV file between its two sizes."""


def wav_head(rate: int, size: int | None = None) -> bytes:
    """The head of a WAV file of one channel, 16 bits.

    Args:
        rate: Samples per second.
        size: Bytes of its sound; None: not known yet, which is written as players of streams expect.
    """
    width = 2
    whole, data = (_UNKNOWN_SIZE, _UNKNOWN_SIZE) if size is None else (size + _WAV_HEAD, size)
    fields = (
        (b"RIFF", 4), (whole, 4), (b"WAVEfmt ", 8), (16, 4), (1, 2), (1, 2), (rate, 4), (rate * width, 4),
        (width, 2), (8 * width, 2), (b"data", 4), (data, 4),
    )  # fmt: skip
    return b"".join(v if isinstance(v, bytes) else v.to_bytes(size, "little") for v, size in fields)
