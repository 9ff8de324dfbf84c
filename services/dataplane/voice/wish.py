"""What a chat request says of the voice that its answer is to be spoken by: its member `audio`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.core.errors import InvalidRequest, RouterError
from services.dataplane.dialects.reading import integer, items, text
from services.dataplane.translation import Evidence, InboundRequest

PCM = "pcm16"
WAV = "wav"
FORMATS: Mapping[str, str] = {PCM: "pcm", "pcm": "pcm", WAV: "pcm", "mp3": "mp3", "opus": "opus", "aac": "aac"}
"""What `audio.format` may be, and what speech is asked for. Pieces of FLAC cannot be strung together."""
LEAST_RATE, MOST_RATE = 8_000, 48_000
PASSED = (
    "speed", "instructions", "language", "delivery_mode", "temperature", "apply_text_normalization",
)  # fmt: skip
"""Wishes for speech that go to whoever takes them."""
_KNOWN = frozenset({"voice", "model", "models", "format", "sample_rate", "required", *PASSED})


@dataclass(frozen=True, slots=True)
class Wish:
    """How an answer is to be spoken.

    Attributes:
        models: Names of models that shall speak, the first one first; empty: policy chooses.
        voices: By such a name, the voice to take there; `voice` where there is none.
        format: As the caller calls it.
        sample_rate: Samples per second of raw sound; None: the provider's best.
        required: Without its sound the text is of no use.
        more: Those of `PASSED` that are given.
    """

    voice: str
    models: tuple[str, ...] = ()
    voices: Mapping[str, str] = field(default_factory=dict)
    format: str = PCM
    sample_rate: int | None = None
    required: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def is_raw(self) -> bool:
        """Whether the sound is bare samples, of 16 bits and one channel."""
        return FORMATS[self.format] == "pcm"


class Speakable:
    """A chat request whose answer may be spoken."""

    audio: Any = None
    """The member `audio`, as it was given; None: the answer is not to be spoken."""

    asks_model: bool = False
    """It asks the model itself for sound, by `modalities`."""

    def as_text(self) -> InboundRequest:
        """The same request for an answer that is text."""
        raise NotImplementedError

    def error_frame(self, error: RouterError, evidence: Evidence) -> bytes:
        """The frame that ends a stream by an error."""
        raise NotImplementedError


def names_speech(audio: Any) -> bool:
    """Whether `audio` names a model of speech, so that the model of the chat is not meant to speak."""
    return isinstance(audio, Mapping) and any(audio.get(name) for name in ("model", "models"))


def read_wish(audio: Any) -> Wish:
    """The wish of a member `audio`.

    Raises:
        InvalidRequest: It is not well formed.
    """
    if not isinstance(audio, Mapping):
        raise InvalidRequest('`audio` must be an object such as {"voice": "Dennis"}', param="audio")
    kind = text(audio, "format", "audio.format") or PCM
    if kind not in FORMATS:
        told = f"`audio.format` must be one of {', '.join(FORMATS)} for an answer that is spoken sentence by sentence"
        raise InvalidRequest(told, param="audio.format")
    models, voices = _models(audio)
    unknown = [name for name in audio if name not in _KNOWN]
    return Wish(
        voice=_voice(audio.get("voice"), "audio.voice"),
        models=models,
        voices=voices,
        format=kind,
        sample_rate=_rate(audio),
        required=_flag(audio, "required"),
        more={name: audio[name] for name in PASSED if audio.get(name) is not None},
        warnings=tuple(f"audio.{name} was dropped: it is not known here" for name in unknown),
    )


def _voice(value: Any, path: str) -> str:
    if isinstance(value, Mapping):
        value = value.get("id")
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"`{path}` must name a voice", param=path)
    return value


def _models(audio: Mapping[str, Any]) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """Names of models, `model` first, and the voices that go with some of them."""
    first = text(audio, "model", "audio.model")
    names, voices = [first] if first else [], {}
    for index, item in enumerate(items(audio.get("models"), "audio.models")):
        path = f"audio.models[{index}]"
        name = item.get("model") if isinstance(item, Mapping) else item
        if not isinstance(name, str) or not name:
            raise InvalidRequest(f"`{path}` must be the name of a model, or an object with `model`", param=path)
        if isinstance(item, Mapping) and item.get("voice") is not None:
            voices[name] = _voice(item["voice"], f"{path}.voice")
        names.append(name)
    return tuple(dict.fromkeys(names)), voices


def _rate(audio: Mapping[str, Any]) -> int | None:
    rate = integer(audio, "sample_rate", "audio.sample_rate")
    if rate is not None and not LEAST_RATE <= rate <= MOST_RATE:
        told = f"`audio.sample_rate` must be a whole number from {LEAST_RATE} to {MOST_RATE}"
        raise InvalidRequest(told, param="audio.sample_rate")
    return rate


def _flag(audio: Mapping[str, Any], name: str) -> bool:
    value = audio.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise InvalidRequest(f"`audio.{name}` must be true or false", param=f"audio.{name}")
