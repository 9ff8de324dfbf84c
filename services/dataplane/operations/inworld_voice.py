"""Inworld's own speech API: passed on to Inworld, and made of the sound of every other provider that speaks.

A streamed answer is a line of JSON for each piece of sound; the evidence comes in a last one, whose sound is empty.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from services.core.errors import Failure, FailureKind, InvalidRequest, RouterError
from services.core.policy.snapshot import Target
from services.core.routing.plan import Candidate
from services.dataplane.dialects.gemini_form import camel
from services.dataplane.dialects.inworld_errors import error_form
from services.dataplane.dialects.operations import SPEECH
from services.dataplane.exchange import EMPTY, TRUNCATED
from services.dataplane.members import join_members, raw, split_members
from services.dataplane.operations.call import JsonPayload, Operation, OperationCall
from services.dataplane.operations.inworld import MAX_CHARACTERS, line_piece, request, whole_piece
from services.dataplane.operations.streams import BytesTranslation
from services.dataplane.operations.translations import Answer, JsonTranslation, Upstream, with_evidence
from services.dataplane.operations.voices import check_voice, classifier, reader
from services.dataplane.operations.wrapped import JsonSound, ReadPiece, wav_head
from services.dataplane.providers.openai_errors import classify
from services.dataplane.translation import JSON, Evidence, Progress, TokenUsage, Translation, Untranslatable
from services.dataplane.transport.port import UpstreamRequest

VOICE = Operation("inworld.speech", "/tts/v1/voice", ("text", "voiceId", "modelId"), "audioContent")
FIELDS = frozenset(
    {
        "text", "voiceId", "modelId", "audioConfig", "temperature", "timestampType", "applyTextNormalization",
        "language", "deliveryMode",
    }
)  # fmt: skip
"""Members of a request that are Inworld's."""
LINES = "application/x-ndjson"
_DEFAULT_ENCODING = "MP3"
_FORMATS: Mapping[str, str] = {
    "MP3": "mp3", "OGG_OPUS": "opus", "FLAC": "flac", "PCM": "pcm", "LINEAR16": "pcm", "WAV": "pcm",
}  # fmt: skip
"""What others are asked for, by `audioEncoding`. Heads of WAV are made here."""
_HEADED = frozenset({"LINEAR16", "WAV"})
_RATE = 24_000
"""Samples per second of raw sound of OpenAI and those who speak its API."""
_SAMPLE = 2
"""Bytes of a sample."""
_TOLD_RATE = re.compile(r"rate=(\d{4,6})\b")

Translate = Callable[[OperationCall, Candidate], Translation]


def passed(call: OperationCall, candidate: Candidate) -> Translation:
    """The translation to Inworld: members pass byte for byte, but for the model's name.

    Raises:
        Untranslatable: The text is too long, or the voice is another vendor's.
    """
    target, text = candidate.target, call.text("text")
    check_voice(call, target.provider)
    if len(text) > MAX_CHARACTERS:
        told = f"{target.provider.name} speaks up to {MAX_CHARACTERS:,} characters at once, not {len(text):,}"
        raise Untranslatable.because(told)
    assert isinstance(call.payload, JsonPayload), "the dialect reads JSON"
    body = join_members({**call.payload.members, "modelId": raw(target.upstream_model)})
    path = f"{VOICE.path}{':stream' if call.stream else ''}"
    judged = classifier(classify, call, target.provider)
    upstream = Upstream(partial(_request, target, body, path), judged, same_words=True)
    usage, warnings = TokenUsage(characters=len(text)), list(call.warnings)
    if call.stream:
        return PassedLines(
            upstream,
            candidate,
            warnings,
            kind=LINES,
            decoder=_SoundLines(reader(line_piece, call, target.provider)),
            usage=usage,
        )
    read = partial(_read_whole, reader(whole_piece, call, target.provider), usage)
    return JsonTranslation(upstream, candidate, warnings, read, names_model=False)


def _request(target: Target, body: bytes, path: str, credential: str) -> UpstreamRequest:
    return request(target, body, path, credential)


def _read_whole(read: ReadPiece, usage: TokenUsage, body: bytes, headers: Mapping[str, str]) -> Answer | Failure:
    """An answer that is one: its sound is proper, and there is some."""
    del headers
    decoder = JsonSound(read, lines=False)
    found = decoder.feed(body)
    if not isinstance(found, Failure):
        found = decoder.end()
    if isinstance(found, Failure):
        return found
    return Answer(split_members(body), decoder.usage or usage) if found else EMPTY


class _SoundLines(JsonSound):
    """Checks lines and gives them whole. Those before the first sound wait for it, so that no answer is only talk."""

    def __init__(self, read: ReadPiece) -> None:
        super().__init__(read, lines=True)
        self._held: list[bytes] = []
        self._heard = False

    def _sound(self, lines: list[bytes]) -> bytes | Failure:
        found = super()._sound(lines)
        if isinstance(found, Failure):
            return found
        self._heard = self._heard or bool(found)
        self._held += [line.strip() + b"\n" for line in lines if line.strip()]
        if not self._heard:
            return b""
        ready, self._held = b"".join(self._held), []
        return ready


class PassedLines(BytesTranslation):
    """Lines of Inworld's."""

    def closing(self, evidence: Evidence) -> bytes:
        return _last_line(evidence, {})

    def broken(self, error: RouterError, evidence: Evidence) -> bytes | None:
        return _error_line(error, evidence)


def spoken_elsewhere(call: OperationCall, candidate: Candidate, translate: Translate) -> Translation:
    """The translation to a provider that is not Inworld, by way of OpenAI's speech.

    Raises:
        InvalidRequest: A field that has to be understood is malformed.
        Untranslatable: It has no such sound or voice.
    """
    name = candidate.target.provider.name
    check_voice(call, candidate.target.provider)
    config = {camel(key): value for key, value in (call.value("audioConfig") or {}).items() if value is not None}
    encoding = config.pop("audioEncoding", _DEFAULT_ENCODING)
    form = _FORMATS.get(encoding) if isinstance(encoding, str) else None
    if form is None:
        raise Untranslatable.because(f"{name} has no sound of the encoding {encoding!r}")
    if form == "pcm" and config.pop("sampleRateHertz", None) != _RATE:
        raise Untranslatable.because(
            f"{name} gives {encoding} with {_RATE} samples per second: ask for sampleRateHertz"
        )
    if encoding == "WAV" and call.stream:
        raise Untranslatable.because(f"{name} has no WAV in pieces; LINEAR16 has a head in each")
    told: dict[str, Any] = {"input": call.text("text"), "voice": call.text("voiceId"), "response_format": form}
    if "speakingRate" in config:
        told["speed"] = _number(config.pop("speakingRate"))
    lost = [f"audioConfig.{key}" for key in config]
    lost += [key for key in call.payload.names() if key in FIELDS - {*VOICE.required, "audioConfig"}]
    warnings = (*call.warnings, *(f"{key} was dropped: {name} does not take it" for key in lost))
    members = {"model": raw(candidate.target.model), **{key: raw(value) for key, value in told.items()}}
    speech = replace(call, operation=SPEECH, payload=JsonPayload(members), warnings=warnings)
    return SpokenLines(translate(speech, candidate), raw_sound=form == "pcm", headed=encoding in _HEADED)


def _number(value: Any) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise InvalidRequest("`audioConfig.speakingRate` must be a number", param="audioConfig.speakingRate")


class SpokenLines:
    """Sound of another provider, as Inworld's lines or its one object.

    Args:
        sound: The translation that gives the bare sound.
        raw_sound: It is bare samples, of which pieces have to be whole.
        headed: Each piece gets the head of a WAV file.
    """

    stream_type = ""
    answer_type = JSON

    def __init__(self, sound: Translation, *, raw_sound: bool, headed: bool) -> None:
        self.facts = sound.facts
        self.facts.frames_type = LINES
        self._inner = sound
        self._raw = raw_sound
        self._headed = headed
        self._rest = b""

    def request(self, credential: str) -> UpstreamRequest | None:
        return self._inner.request(credential)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        return self._inner.failure(status, headers, body)

    def answer(self, body: bytes) -> Failure | None:
        return self._inner.answer(body) or self._other_rate()

    def render(self, evidence: Evidence) -> bytes:
        sound = self._inner.render(evidence)
        members = {"audioContent": raw(self._wrapped(sound)), "usage": raw(self._usage(evidence))}
        return join_members(with_evidence(members, evidence))

    def feed(self, data: bytes) -> Progress:
        return self._lines(self._inner.feed(data))

    def end(self) -> Progress:
        progress = self._lines(self._inner.end())
        if progress.done and self._rest:
            progress.done, progress.failure = False, TRUNCATED
        return progress

    def closing(self, evidence: Evidence) -> bytes:
        return _last_line(evidence, self._usage(evidence))

    def broken(self, error: RouterError, evidence: Evidence) -> bytes | None:
        return _error_line(error, evidence)

    def _lines(self, progress: Progress) -> Progress:
        self.facts.frames_type = LINES
        progress.failure = progress.failure or self._other_rate()
        if progress.failure is not None:
            return Progress(failure=progress.failure)
        sound = self._rest + progress.frames
        stop = len(sound) - len(sound) % _SAMPLE if self._raw else len(sound)
        self._rest, sound = sound[stop:], sound[:stop]
        progress.content = bool(sound)
        progress.frames = _line({"result": {"audioContent": self._wrapped(sound)}}) if sound else b""
        return progress

    def _wrapped(self, sound: bytes) -> str:
        return b64encode(wav_head(_RATE, len(sound)) + sound if self._headed else sound).decode()

    def _usage(self, evidence: Evidence) -> dict[str, Any]:
        used = self.facts.usage or TokenUsage()
        return {"processedCharactersCount": used.characters, "modelId": evidence.model}

    def _other_rate(self) -> Failure | None:
        """Why raw sound is not what was asked for; None: it is, as far as the provider says."""
        told = _TOLD_RATE.search(self._inner.answer_type) if self._raw else None
        if told is None or int(told[1]) == _RATE:
            return None
        return Failure(FailureKind.BAD_RESPONSE, f"the sound has {told[1]} samples per second, not {_RATE}")


def _last_line(evidence: Evidence, usage: dict[str, Any]) -> bytes:
    if evidence.cost_usd is not None:
        usage = {**usage, "cost": evidence.cost_usd}
    result = {"audioContent": "", **({"usage": usage} if usage else {})}
    return _line({"result": result, "metadata": evidence.metadata})


def _error_line(error: RouterError, evidence: Evidence) -> bytes:
    return _line({"error": error_form(error), "metadata": evidence.metadata})


def _line(value: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(value) + b"\n"
