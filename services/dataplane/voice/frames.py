"""Answers of chat completions as a voice meets them: text is read from their frames, sound is written into them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.errors import RouterError
from services.dataplane.dialects.openai_errors import error_object_of
from services.dataplane.members import NotAnObject, join_members, raw, split_members
from services.dataplane.operations.wrapped import wav_head
from services.dataplane.providers.openai import DONE
from services.dataplane.sse import SseEvent, SseParser, frame
from services.dataplane.voice.speaker import Spoken
from services.dataplane.voice.wish import WAV, Wish

MAX_FRAME = 64 * 1024 * 1024
_NOT_SHARED = frozenset({"choices", "usage", "metadata", "obfuscation", "restart", "openrouter_metadata"})


class Frames:
    """The frames of one streamed answer.

    Args:
        audio_id: Id of its sound.
        expires_at: Seconds since the Unix epoch.
    """

    def __init__(self, wish: Wish, audio_id: str, expires_at: int) -> None:
        self._parser = SseParser(MAX_FRAME)
        self._wish = wish
        self._id = audio_id
        self._expires_at = expires_at
        self._shared: dict[str, Any] = {}
        self._headed = False

    def events(self, piece: bytes) -> list[tuple[SseEvent, Mapping[str, Any]]]:
        """The events of a piece of the text's stream, each with its object; that of `[DONE]` is empty."""
        found: list[tuple[SseEvent, Mapping[str, Any]]] = []
        for event in self._parser.feed(piece):
            chunk = object_in(event.data) or {}
            if chunk.get("choices") and not self._shared:
                self._shared = {name: item for name, item in chunk.items() if name not in _NOT_SHARED}
            found.append((event, chunk))
        return found

    def begin_again(self) -> None:
        """The answer is given anew, with its sound."""
        self._headed, self._shared = False, {}

    def sound(self, transcript: str, piece: bytes, spoken: Spoken) -> bytes:
        """The frames of a piece of sound; `transcript`: what the segment says that begins with it."""
        out = b""
        if transcript:
            told = {"transcript": transcript, "expires_at": self._expires_at, **sound_kind(self._wish, spoken)}
            out = self._chunk(told)
        if self._wish.format == WAV and not self._headed:
            piece = wav_head(spoken.sample_rate) + piece
        self._headed = True
        return out + self._chunk({"data": b64encode(piece).decode()})

    def _chunk(self, audio: Mapping[str, Any]) -> bytes:
        choice = {"index": 0, "delta": {"audio": {"id": self._id, **audio}}, "logprobs": None, "finish_reason": None}
        return frame(msgspec.json.encode({**self._shared, "choices": [choice]}))


def sound_kind(wish: Wish, spoken: Spoken) -> dict[str, Any]:
    """What a player has to know: the format and, of raw sound, its rate in samples per second."""
    return {"format": wish.format, **({"sample_rate": spoken.sample_rate} if spoken.sample_rate else {})}


def object_in(data: bytes) -> dict[str, Any] | None:
    """The object that JSON text holds; None: it holds none that can be read, such as one that is nested too deeply."""
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def text_of(chunk: Mapping[str, Any], name: str = "delta") -> str:
    """The text of an answer's first choice, or of the piece of it that a chunk holds."""
    for choice in _choices(chunk):
        inner = choice.get(name)
        content = inner.get("content") if isinstance(inner, dict) else None
        if not choice.get("index") and isinstance(content, str):
            return content
    return ""


def is_end(event: SseEvent, chunk: Mapping[str, Any]) -> bool:
    """Whether the text is over with this event: finish reason, evidence, error, or the last of all."""
    if event.data == DONE or chunk.get("error") is not None:
        return True
    metadata = chunk.get("metadata")
    told = isinstance(metadata, dict) and "generation_id" in metadata and not chunk.get("restart")
    return told or any(choice.get("finish_reason") for choice in _choices(chunk))


def _choices(chunk: Mapping[str, Any]) -> list[dict[str, Any]]:
    choices = chunk.get("choices")
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


class AudioEvidence:
    """What the caller is told of the speech, beside what it is told of the text.

    Args:
        audio: The object `metadata.audio`.
        warnings: All of the request's.
        duration_ms: Of all of the request.
    """

    def __init__(self, audio: Mapping[str, Any], warnings: list[str], duration_ms: float, spoken: Spoken) -> None:
        self._audio = audio
        self._warnings = warnings
        self._duration = duration_ms
        self._cost = spoken.cost_usd

    def put(self, data: bytes, audio: Mapping[str, Any] | None = None) -> bytes:
        """A body, or the data of an event, with the evidence where it has evidence of the text.

        Args:
            audio: What a whole answer's message gets.
        """
        try:
            members = split_members(data)
        except NotAnObject:
            return data
        for name, change in (("metadata", self.metadata), ("usage", self._usage)):
            value = object_in(bytes(members[name])) if name in members else None
            if value is not None:
                members[name] = raw(change(value))
        if audio is not None:
            choices = msgspec.json.decode(members["choices"])
            choices[0]["message"]["audio"] = audio
            members["choices"] = raw(choices)
        return join_members(members)

    def metadata(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """The metadata of the text with those of the speech."""
        told = {**metadata, "audio": self._audio, "total_duration_ms": self._duration}
        return {**told, "warnings": self._warnings} if self._warnings else told

    def _usage(self, usage: dict[str, Any]) -> dict[str, Any]:
        """The usage with the cost of both, and of each; a sum with an unknown part would be none."""
        if self._cost is None:
            return usage
        text = usage.get("cost")
        details = usage.get("cost_details")
        shown = {**(details if isinstance(details, dict) else {}), "text": text, "audio": self._cost}
        total = None if text is None else text + self._cost
        if total is not None and "upstream_inference_cost" in shown:
            shown["upstream_inference_cost"] = total
        return {**usage, **({} if total is None else {"cost": total}), "cost_details": shown}


def audio_form(wish: Wish, spoken: Spoken, began: float, failure: RouterError | None) -> dict[str, Any]:
    """The object `metadata.audio`.

    Args:
        began: Monotonic instant at which the request arrived.
        failure: Why not all was spoken; None: all was.
    """
    told: dict[str, Any] = {"model": spoken.model or None, "provider": spoken.provider or None}
    told |= {"voice": spoken.voice or wish.voice, **sound_kind(wish, spoken)}
    if spoken.first_at:
        told["time_to_first_audio_ms"] = round((spoken.first_at - began) * 1000.0, 1)
    told |= {"characters": spoken.characters, "segments": spoken.segments, "attempts": spoken.attempts}
    told["cost"] = spoken.cost_usd
    if failure is not None:
        told["error"] = {name: error_object_of(failure)[name] for name in ("message", "type", "code")}
    return told
