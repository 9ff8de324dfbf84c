"""Kinds of sound as OpenAI's speech API names them, and who may have which voice."""

from __future__ import annotations

from collections.abc import Mapping

from services.core.policy.provider_types import AZURE, INWORLD_TTS, OPENAI
from services.core.policy.snapshot import CompiledProvider

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


_OPENAI_VOICES = frozenset(
    ["alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse", "marin", "cedar"]
)
_OWN_VOICE = "voice_"
"""What ids of voices that OpenAI's customers made begin with."""


def own_voice(provider: CompiledProvider, voice: str) -> str:
    """What a provider calls a voice, as far as policy says."""
    return provider.voices.get(voice, voice)


def may_have_voice(provider: CompiledProvider, voice: str) -> bool:
    """Whether a provider may have a voice that it calls so; of most nobody knows."""
    if voice in provider.voices.values():
        return True
    is_openais = voice in _OPENAI_VOICES or voice.startswith(_OWN_VOICE)
    if provider.type in {OPENAI, AZURE}:
        return is_openais
    return not lacks_voice(provider, voice)


def lacks_voice(provider: CompiledProvider, voice: str) -> bool:
    """Whether a provider is known not to have a voice that it would call so: OpenAI's, at Inworld."""
    return provider.type == INWORLD_TTS and voice in _OPENAI_VOICES and voice not in provider.voices.values()
