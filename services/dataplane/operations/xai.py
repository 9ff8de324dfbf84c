"""xAI's transcription: a form at an address of its own, which names no model and has its file last."""

from __future__ import annotations

from functools import partial

from services.core.errors import Failure
from services.core.routing.plan import Candidate
from services.dataplane.codec import ProviderCodec
from services.dataplane.members import decoded
from services.dataplane.operations import openai_like
from services.dataplane.operations.call import FormPayload, OperationCall
from services.dataplane.operations.streams import BytesTranslation
from services.dataplane.operations.translations import JsonTranslation, Upstream
from services.dataplane.operations.wrapped import JsonText
from services.dataplane.translation import TokenUsage, Translation, Untranslatable

_PATH = "/stt"
_SILENT = ("model", "response_format", "stream")
"""Fields that are not there, and whose meaning is kept all the same."""
_NOT_THERE = ("prompt", "temperature", "timestamp_granularities", "include", "chunking_strategy", "user")


def transcription(codec: ProviderCodec, call: OperationCall, candidate: Candidate) -> Translation:
    """The translation of a transcription; `codec` is that of the provider's chat.

    Raises:
        Untranslatable: xAI does not answer in this form.
    """
    target, payload = candidate.target, call.payload
    form = call.text("response_format") or "json"
    if call.stream or form not in {"json", "text"} or not isinstance(payload, FormPayload):
        raise Untranslatable.because(f"{target.provider.name} gives transcripts of files whole, as json or text")
    lost = [name for name in _NOT_THERE if payload.has(name)]
    warnings = [*call.warnings, *(f"{name} was dropped: {target.provider.name} does not take it" for name in lost)]
    body = payload.rewritten("", (*_SILENT, *lost), {}, files_last=True)
    request = partial(openai_like.request, codec, target, call, body, _PATH)
    upstream = Upstream(request, codec.classify, same_words=True)
    if form == "text":
        kind = "text/plain; charset=utf-8"
        decoder = JsonText(partial(_text, call))
        return BytesTranslation(upstream, candidate, warnings, kind=kind, decoder=decoder, may_be_empty=True)
    read = partial(openai_like.read_answer, call.operation)
    return JsonTranslation(upstream, candidate, warnings, read, names_model=False)


def _text(call: OperationCall, body: bytes) -> tuple[str, TokenUsage | None] | Failure:
    found = openai_like.read_answer(call.operation, body, {})
    if isinstance(found, Failure):
        return found
    text = decoded(found.members, ("text",)).get("text")
    return (text, found.usage) if isinstance(text, str) else openai_like.NOT_PROTOCOL
