"""Mistral's speech and transcription, where they differ from OpenAI's: sound inside JSON, names of events."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from services.core.errors import Failure
from services.core.routing.plan import Candidate
from services.dataplane.codec import ProviderCodec
from services.dataplane.members import Members, raw
from services.dataplane.operations import openai_like
from services.dataplane.operations.call import OperationCall
from services.dataplane.operations.speech import DEFAULT_FORMAT, KINDS, kind_of
from services.dataplane.operations.streams import BytesTranslation, EventTranslation
from services.dataplane.operations.translations import Upstream
from services.dataplane.operations.voices import classifier
from services.dataplane.operations.wrapped import NO_SOUND, JsonSound, SoundEvents
from services.dataplane.providers.openai_errors import in_stream
from services.dataplane.translation import TokenUsage, Translation, Untranslatable

_FORMATS = KINDS.keys() - {"aac"}
_KNOWN = ("input", "voice", "voice_id", "ref_audio", "response_format", "stream_format")
_EVENTS = {
    "transcription.text.delta": ("transcript.text.delta", {"text": "delta"}),
    "transcription.segment": ("transcript.text.segment", {"speaker_id": "speaker"}),
    "transcription.done": ("transcript.text.done", {}),
}
"""Their events, ours, and the members that are called otherwise."""


def speech(codec: ProviderCodec, call: OperationCall, candidate: Candidate) -> Translation:
    """The translation of a speech request: the whole sound comes in one JSON object."""
    target = candidate.target
    name = call.text("response_format") or DEFAULT_FORMAT
    if name not in _FORMATS:
        raise Untranslatable.because(f"{target.provider.name} has no sound of the format {name!r}")
    voice = call.value("voice_id") or call.value("voice")
    body: dict[str, Any] = {"model": target.upstream_model, "input": call.text("input"), "response_format": name}
    body |= {"voice_id": voice.get("id") if isinstance(voice, Mapping) else voice} if voice else {}
    body |= {"ref_audio": call.value("ref_audio")} if call.value("ref_audio") else {}
    send = partial(openai_like.request, codec, target, call, bytes(raw(body)), "")
    upstream = Upstream(send, classifier(codec.classify, call, target.provider), same_words=True)
    made = SoundEvents if call.value("stream_format") == "sse" else BytesTranslation
    usage = TokenUsage(characters=len(call.text("input")))
    warnings = [*call.warnings, *call.dropped(*_KNOWN)]
    decoder = JsonSound(_sound, lines=False)
    return made(upstream, candidate, warnings, kind=kind_of(name), decoder=decoder, usage=usage)


def _sound(value: Mapping[str, Any]) -> tuple[str, TokenUsage | None] | Failure:
    if value.get("error") or value.get("object") == "error":
        return in_stream(value.get("error") or value)
    sound = value.get("audio_data")
    return (sound, None) if isinstance(sound, str) and sound else NO_SOUND


def transcription(codec: ProviderCodec, call: OperationCall, candidate: Candidate) -> Translation:
    """The translation of a transcription: a form that passes, and events that are renamed."""
    events = call.operation.events
    made = openai_like.serve(codec, call, candidate)
    if not isinstance(made, EventTranslation) or events is None:
        return made
    return EventTranslation(made.upstream, candidate, made.facts.warnings, events, reword=reworded)


def reworded(kind: str, members: Members) -> Members | None:
    """An event in OpenAI's words; None: there are none for it."""
    if kind not in _EVENTS:
        return None
    name, renamed = _EVENTS[kind]
    return {**{renamed.get(n, n): value for n, value in members.items()}, "type": raw(name)}
