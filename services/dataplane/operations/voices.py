"""Voices at one provider: what policy calls them there, and how a refusal of one is told from other refusals.

A provider that does not have the voice says no more than that the request is invalid, which would end the
chain; another provider may have it. The refusal is known by the field that it names, or by a whole sentence
around the voice of this very request, never by a word in it (docs/adr/0005-whole-sentences.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from services.core.errors import Failure, FailureKind
from services.core.policy.snapshot import CompiledProvider
from services.dataplane.members import raw
from services.dataplane.operations.call import JsonPayload, OperationCall
from services.dataplane.operations.speech import may_have_voice, own_voice
from services.dataplane.operations.wrapped import ReadPiece
from services.dataplane.providers.openai_errors import error_object
from services.dataplane.translation import TokenUsage, Untranslatable

Classify = Callable[[int, Mapping[str, str], bytes], Failure]

_FIELDS: Mapping[str, str] = {"audio.speech": "voice", "inworld.speech": "voiceId"}
"""The field that names the voice, by API."""
_PARAMS = frozenset({"voice", "voice_id", "voiceId", "voice.id"})
_CODES = frozenset({"voice_not_found", "invalid_voice", "voice_does_not_exist", "unsupported_voice"})
_LONGEST = 100
"""Characters of a voice that a message repeats."""
_LOCATED = re.compile(r"\[\{'type': '\w+', 'loc': \('body', 'voice'.*", re.DOTALL)
"""OpenAI's message for a voice that its list does not have: the problems of a validator as text, with no code."""
_SENTENCES = (
    r"(?:unknown|invalid|unsupported) voice(?:[ _]?id)?",  # and nothing else
    r"(?:unknown|invalid|unsupported) voice(?:[ _]?id)?:? [`'\"]?{voice}(?:\W.*)?",
    r"(?:the )?voice(?:[ _]?id)?:? [`'\"]?{voice}[`'\"]? (?:(?:is|was) not|is un|does not|not |doesn't).*",
)


def renamed(call: OperationCall, provider: CompiledProvider) -> OperationCall:
    """The request with the voice as policy says that the provider calls it."""
    field = _FIELDS.get(call.operation.api, "")
    if not field or not provider.voices or not isinstance(call.payload, JsonPayload):
        return call
    voice = own_voice(provider, voice_of(call))
    if voice == voice_of(call):
        return call
    return replace(call, payload=JsonPayload({**call.payload.members, field: raw(voice)}))


def voice_of(call: OperationCall) -> str:
    """The voice that a request names; empty: it names none."""
    value = call.value(_FIELDS[call.operation.api])
    if isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, str) else ""


def check_voice(call: OperationCall, provider: CompiledProvider) -> None:
    """Refuse a voice that is known to be another vendor's.

    Raises:
        Untranslatable: It is.
    """
    if not may_have_voice(provider, voice_of(call)):
        raise Untranslatable.because(_told(provider.name, voice_of(call)))


def classifier(classify: Classify, call: OperationCall, provider: CompiledProvider) -> Classify:
    """`classify`, but that a refused voice is a matter of the provider."""
    return partial(_classified, classify, voice_of(call), provider.name)


def reader(read: ReadPiece, call: OperationCall, provider: CompiledProvider) -> ReadPiece:
    """`read`, but that a refused voice inside a success is a matter of the provider."""
    return partial(_read, read, voice_of(call), provider.name)


def _classified(
    classify: Classify, voice: str, provider: str, status: int, headers: Mapping[str, str], body: bytes
) -> Failure:
    failure = classify(status, headers, body)
    if failure.kind not in {FailureKind.INVALID_REQUEST, FailureKind.MODEL_MISSING}:
        return failure
    return _judged(failure, error_object(body), voice, provider)


def _read(
    read: ReadPiece, voice: str, provider: str, value: Mapping[str, Any]
) -> tuple[str, TokenUsage | None] | Failure:
    found = read(value)
    if not isinstance(found, Failure):
        return found
    return _judged(found, value.get("error"), voice, provider)


def _judged(failure: Failure, error: Any, voice: str, provider: str) -> Failure:
    if not _refuses(error, voice):
        return failure
    return replace(failure, kind=FailureKind.VOICE_MISSING, message=_told(provider, voice))


def _told(provider: str, voice: str) -> str:
    return f"{provider} has no voice {voice[:_LONGEST]!r}"


def _refuses(error: Any, voice: str) -> bool:
    """Whether an error says that there is no such voice."""
    if not voice:
        return False
    if not isinstance(error, Mapping):
        return isinstance(error, str) and _is_sentence(error, voice)
    if _is_one(error.get("param"), _PARAMS) or any(_is_one(error.get(name), _CODES) for name in ("code", "status")):
        return True
    detail = error.get("detail")
    if isinstance(detail, Mapping):
        return _refuses(detail, voice)
    if isinstance(detail, list):
        return any(isinstance(row, Mapping) and _is_place(row.get("loc")) for row in detail)
    message = error.get("message") or detail
    return isinstance(message, str) and _is_sentence(message, voice)


def _is_place(loc: Any) -> bool:
    return isinstance(loc, list) and any(_is_one(part, _PARAMS) for part in loc)


def _is_one(value: Any, words: frozenset[str]) -> bool:
    return isinstance(value, str) and value in words


def _is_sentence(message: str, voice: str) -> bool:
    if _LOCATED.fullmatch(message):
        return True
    named = re.escape(voice)
    return any(
        re.fullmatch(sentence.replace("{voice}", named), message, re.IGNORECASE | re.DOTALL) for sentence in _SENTENCES
    )
