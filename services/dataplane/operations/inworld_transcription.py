"""Transcription by Inworld: a file in JSON, and OpenAI's json and text made of what comes back."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from services.core.errors import Failure, FailureKind
from services.core.numbers import count_of
from services.core.routing.plan import Candidate
from services.dataplane.members import raw
from services.dataplane.operations.call import FormPayload, OperationCall
from services.dataplane.operations.inworld import named, request
from services.dataplane.operations.streams import BytesTranslation
from services.dataplane.operations.translations import Answer, JsonTranslation, Upstream
from services.dataplane.operations.wrapped import JsonText
from services.dataplane.providers.openai_errors import classify, in_stream
from services.dataplane.translation import TokenUsage, Translation, Untranslatable

MAX_FILE = 16 * 1024 * 1024
"""Bytes of a file; Inworld says about 16 MB."""
NOT_PROTOCOL = Failure(FailureKind.BAD_RESPONSE, "the provider's answer is not a transcription of Inworld's")
_KNOWN = ("file", "language", "response_format", "stream")
_PATH = "/stt/v1/transcribe"


def serve(call: OperationCall, candidate: Candidate) -> Translation:
    """The translation of a transcription.

    Raises:
        Untranslatable: Inworld does not take this file, or does not answer in this form.
    """
    target = candidate.target
    name = target.provider.name
    form = call.text("response_format") or "json"
    if call.stream or form not in {"json", "text"}:
        raise Untranslatable.because(f"{name} gives transcripts whole, as json or text")
    sound = call.payload.form.file("file") if isinstance(call.payload, FormPayload) else None
    if sound is None:
        raise Untranslatable.because(f"{name} takes sound as a file of a form only")
    if len(sound) > MAX_FILE:
        raise Untranslatable.because(f"{name} takes files up to {MAX_FILE:,} bytes, not {len(sound):,}")
    encoding = encoding_of(sound)
    if not encoding:
        raise Untranslatable.because(f"{name} takes WAV, MP3, Ogg and FLAC; this file begins like none of them")
    config = {"modelId": target.upstream_model, "audioEncoding": encoding}
    config |= {"language": call.text("language")} if call.value("language") else {}
    body = {"transcribeConfig": config, "audioData": {"content": b64encode(sound).decode()}}
    upstream = Upstream(partial(request, target, body, _PATH), classify)
    warnings = [*call.warnings, *call.dropped(*_KNOWN)]
    if form == "text":
        kind = "text/plain; charset=utf-8"
        return BytesTranslation(upstream, candidate, warnings, kind=kind, decoder=JsonText(_read), may_be_empty=True)
    return JsonTranslation(upstream, candidate, warnings, _answer, names_model=False)


def encoding_of(sound: bytes) -> str:
    """Inworld's word for what a file is, by its first bytes; empty: it has none for it."""
    if sound[:4] == b"RIFF" and sound[8:12] == b"WAVE":
        return "LINEAR16"
    beginnings = {b"fLaC": "FLAC", b"OggS": "OGG_OPUS", b"ID3": "MP3"}
    found = next((word for beginning, word in beginnings.items() if sound.startswith(beginning)), "")
    # A frame of MP3 begins with eleven set bits, and layer 3.
    framed = len(sound) > 1 and sound[0] == 0xFF and sound[1] & 0xE6 == 0xE2
    return found or ("MP3" if framed else "")


def _read(body: bytes) -> tuple[str, TokenUsage | None] | Failure:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NOT_PROTOCOL
    if not isinstance(answer, dict):
        return NOT_PROTOCOL
    if answer.get("error"):
        return in_stream(named(answer["error"]))
    found = answer.get("transcription")
    # Google's JSON leaves out what is empty.
    text = found.get("transcript", "") if isinstance(found, Mapping) else None
    if not isinstance(text, str):
        return NOT_PROTOCOL
    return text, _usage(answer.get("usage"))


_LONGEST = 10**12
"""Milliseconds; no recording is as long."""


def _usage(told: Any) -> TokenUsage | None:
    milliseconds = count_of(told.get("transcribedAudioMs")) if isinstance(told, Mapping) else 0
    return TokenUsage(seconds=milliseconds / 1_000) if 0 < milliseconds < _LONGEST else None


def _answer(body: bytes, headers: Mapping[str, str]) -> Answer | Failure:
    del headers
    found = _read(body)
    if isinstance(found, Failure):
        return found
    text, usage = found
    members = {"text": raw(text)}
    if usage is not None:
        members["usage"] = raw({"type": "duration", "seconds": usage.seconds})
    return Answer(members, usage)
