"""Kinds of sound, as OpenAI's speech API names them."""

from __future__ import annotations

from collections.abc import Mapping

DEFAULT_FORMAT = "mp3"

KINDS: Mapping[str, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
"""Content types by `response_format`."""


def kind_of(response_format: str) -> str:
    """Content type of a `response_format`; of one that is not known, bytes."""
    return KINDS.get(response_format or DEFAULT_FORMAT, "application/octet-stream")
