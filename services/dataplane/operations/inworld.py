"""Speech by Inworld: voices, formats and speed of OpenAI's API in Inworld's words.

Sound comes in lines of JSON. FLAC is asked for whole: pieces of a FLAC file cannot be strung together.
WAV is made of raw samples behind one head, since every piece of Inworld's own has a head of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from services.core.errors import Failure, InvalidRequest
from services.core.numbers import count_of, is_number
from services.core.policy.snapshot import Target
from services.core.routing.plan import Candidate
from services.core.values import changed
from services.dataplane.operations.call import OperationCall
from services.dataplane.operations.pieces import SEAM, PiecedSound, in_pieces
from services.dataplane.operations.speech import DEFAULT_FORMAT, kind_of
from services.dataplane.operations.streams import BytesTranslation
from services.dataplane.operations.translations import Upstream, json_request
from services.dataplane.operations.voices import check_voice, classifier, reader, voice_of
from services.dataplane.operations.wrapped import NO_SOUND, JsonSound, SoundEvents, wav_head
from services.dataplane.providers.openai_errors import classify, in_stream
from services.dataplane.translation import TokenUsage, Translation, Untranslatable
from services.dataplane.transport.port import UpstreamRequest

MAX_CHARACTERS = 2_000
"""Of one request."""
MAX_INPUT = 4_096
"""Of several in a row: what OpenAI's API takes, and its callers send."""
_JOINED = ("mp3", "wav", "pcm")
"""Formats whose pieces are one sound, one behind the other. Few players go on with a second Ogg stream."""
_ENCODINGS: Mapping[str, str] = {"mp3": "MP3", "opus": "OGG_OPUS", "flac": "FLAC", "wav": "PCM", "pcm": "PCM"}
_RAW = ("wav", "pcm")
_RATE = 24_000
"""Samples per second of OpenAI's raw sound, which its callers play without asking."""
_SPEEDS = (0.5, 1.5)
_OWN = {
    "temperature": "temperature",
    "language": "language",
    "delivery_mode": "deliveryMode",
    "apply_text_normalization": "applyTextNormalization",
}
"""Fields of Inworld's that OpenAI's API does not have; callers may add them."""
_KNOWN = ("input", "voice", "response_format", "speed", "stream_format", "sample_rate", *_OWN)


def serve(call: OperationCall, candidate: Candidate) -> Translation:
    """The translation of a speech request to Inworld.

    Raises:
        InvalidRequest: A field that has to be understood is malformed.
        Untranslatable: It has no such sound or voice, or the text is too long.
    """
    target = candidate.target
    check_voice(call, target.provider)
    name = _format(call, target)
    whole, raw_sound = name == "flac", name in _RAW
    texts = _texts(call, target, whole=name not in _JOINED)
    bodies = [_body(call, target, name, text) for text in texts]
    head = wav_head(_rate(call, name)) if name == "wav" else b""
    warnings = [*call.warnings, *call.dropped(*_KNOWN)]
    path = f"/tts/v1/voice{'' if whole else ':stream'}"
    upstream = Upstream(partial(_requests, target, bodies, path), classifier(classify, call, target.provider))
    read = reader(whole_piece if whole else line_piece, call, target.provider)
    usage = TokenUsage(characters=sum(map(len, texts)))
    decoder = JsonSound(read, lines=not whole, head=head)
    if len(texts) > 1:
        decoder = PiecedSound(read, usage=usage, head=head, raw_sound=raw_sound)
    made = SoundEvents if call.value("stream_format") == "sse" else BytesTranslation
    kind = kind_of(call.text("response_format"))
    return made(upstream, candidate, warnings, kind=kind, decoder=decoder, usage=usage)


def _format(call: OperationCall, target: Target) -> str:
    name = call.text("response_format") or DEFAULT_FORMAT
    if name not in _ENCODINGS:
        raise Untranslatable.because(f"{target.provider.name} has no sound of the format {name!r}")
    return name


def _texts(call: OperationCall, target: Target, *, whole: bool) -> list[str]:
    """The text, in as many pieces as it takes; `whole`: their sound could not be strung together."""
    text = call.text("input")
    longest = MAX_CHARACTERS if whole else MAX_INPUT
    if len(text) > longest:
        told = f"{target.provider.name} speaks up to {longest:,} characters at once, not {len(text):,}"
        raise Untranslatable.because(told)
    return [text] if len(text) <= MAX_CHARACTERS else in_pieces(text, MAX_CHARACTERS)


def _requests(target: Target, bodies: list[dict[str, Any]], path: str, credential: str) -> UpstreamRequest:
    first, *rest = (request(target, body, path, credential) for body in bodies)
    return changed(first, then=tuple(rest), seam=SEAM) if rest else first


def _body(call: OperationCall, target: Target, name: str, text: str) -> dict[str, Any]:
    """The body of the request for `text` as sound of the format `name`."""
    voice = voice_of(call)
    if not voice:
        raise InvalidRequest("`voice` must name a voice", param="voice")
    config: dict[str, Any] = {"audioEncoding": _ENCODINGS[name]}
    rate = _rate(call, name)
    if rate:
        config["sampleRateHertz"] = rate
    speed = _number(call, "speed")
    if speed is not None:
        if not _SPEEDS[0] <= speed <= _SPEEDS[1]:
            told = f"{target.provider.name} speaks at {_SPEEDS[0]} to {_SPEEDS[1]} times its speed, not {speed:g}"
            raise Untranslatable.because(told)
        config["speakingRate"] = speed
    body = {"text": text, "voiceId": voice, "modelId": target.upstream_model, "audioConfig": config}
    return body | {theirs: call.value(ours) for ours, theirs in _OWN.items() if call.value(ours) is not None}


def _rate(call: OperationCall, name: str) -> int:
    rate = _number(call, "sample_rate")
    if rate is None:
        return _RATE if name in _RAW else 0
    if rate != int(rate) or not 8_000 <= rate <= 48_000:
        raise InvalidRequest("`sample_rate` must be a whole number from 8000 to 48000", param="sample_rate")
    return int(rate)


def _number(call: OperationCall, name: str) -> float | None:
    value = call.value(name)
    if value is None or is_number(value):
        return value
    raise InvalidRequest(f"`{name}` must be a number", param=name)


def request(target: Target, body: dict[str, Any] | bytes, path: str, credential: str) -> UpstreamRequest:
    """A request to `path` of Inworld's API, whose keys are for Basic."""
    headers = {}
    if credential:
        headers["authorization"] = credential if credential.startswith("Basic ") else f"Basic {credential}"
    return json_request(f"{target.provider.base_url}{path}", body, target, headers)


def line_piece(value: Mapping[str, Any]) -> tuple[str, TokenUsage | None] | Failure:
    """Base64 text and usage of a line of a stream."""
    error = value.get("error")
    if error:
        return in_stream(named(error))
    result = value.get("result")
    return whole_piece(result) if isinstance(result, Mapping) else NO_SOUND


def whole_piece(value: Mapping[str, Any]) -> tuple[str, TokenUsage | None] | Failure:
    """Base64 text and usage of a whole answer."""
    if value.get("error"):
        return in_stream(named(value["error"]))
    sound, used = value.get("audioContent", ""), value.get("usage")
    if not isinstance(sound, str):
        return NO_SOUND
    count = count_of(used.get("processedCharactersCount")) if isinstance(used, Mapping) else 0
    return sound, TokenUsage(characters=count) if count else None


_RPC: Mapping[int, str] = {
    3: "INVALID_ARGUMENT", 4: "DEADLINE_EXCEEDED", 5: "NOT_FOUND", 7: "PERMISSION_DENIED", 8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION", 13: "INTERNAL", 14: "UNAVAILABLE", 16: "UNAUTHENTICATED",
}  # fmt: skip


def named(error: Any) -> Any:
    """A google.rpc.Status with its code by name."""
    code = error.get("code") if isinstance(error, Mapping) else None
    return {**error, "status": _RPC[code]} if isinstance(code, int) and code in _RPC else error
