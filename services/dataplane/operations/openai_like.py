"""Operations at providers that speak OpenAI's own protocol: bytes pass, but for the model and routing fields.

Which providers those are is what the chat codecs say: whoever takes OpenAI's chat completions takes its
other APIs at the neighbouring paths, or answers 404 and the next target is tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import msgspec

from services.core.errors import Failure, FailureKind
from services.core.policy.provider_types import quirks_of
from services.core.policy.snapshot import Target
from services.core.routing.plan import Candidate
from services.core.values import changed
from services.dataplane.codec import ProviderCodec
from services.dataplane.exchange import EMPTY
from services.dataplane.members import Members, NotAnObject, split_members
from services.dataplane.operations import vectors
from services.dataplane.operations.call import JsonPayload, Operation, OperationCall
from services.dataplane.operations.speech import kind_of
from services.dataplane.operations.streams import BytesTranslation, EventTranslation
from services.dataplane.operations.translations import Answer, JsonTranslation, Upstream
from services.dataplane.operations.usage import usage_of
from services.dataplane.operations.voices import classifier
from services.dataplane.providers.openai_errors import error_object, in_stream
from services.dataplane.translation import TokenUsage, Translation, Untranslatable
from services.dataplane.transport.port import UpstreamRequest

NOT_PROTOCOL = Failure(FailureKind.BAD_RESPONSE, "the provider's answer is not of this API")
_TEXT_FORMATS = {"text": "text/plain; charset=utf-8", "srt": "text/plain; charset=utf-8", "vtt": "text/vtt"}


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a provider that speaks OpenAI's protocol differs from it.

    Attributes:
        path: Its own path; empty: OpenAI's.
        renamed: Its own names of fields.
        dropped: Fields that it refuses.
        no_float: It takes `encoding_format` only for base64.
    """

    path: str = ""
    renamed: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    no_float: bool = False


DIFFERENCES: Mapping[tuple[str, str], Difference] = {
    ("mistral", "embeddings"): Difference(renamed={"dimensions": "output_dimension"}, dropped=("user",)),
    ("voyage", "embeddings"): Difference(renamed={"dimensions": "output_dimension"}, dropped=("user",), no_float=True),
    ("perplexity", "embeddings"): Difference(path="/v1/embeddings"),
    ("openrouter", "images"): Difference(path="/images"),
}
"""By provider type and API."""

_SAME = Difference()


def serve(codec: ProviderCodec, call: OperationCall, candidate: Candidate) -> Translation:
    """The translation of a request to a provider that speaks OpenAI's protocol; `codec` is its chat codec."""
    operation, target = call.operation, candidate.target
    difference = DIFFERENCES.get((target.provider.type, operation.api), _SAME)
    dropped = [name for name in difference.dropped if call.payload.has(name)]
    warnings = [*call.warnings, *(f"{name} was dropped: {target.provider.name} does not take it" for name in dropped)]
    if difference.no_float and call.value("encoding_format") == "float":
        dropped.append("encoding_format")
    body = call.payload.rewritten(target.upstream_model, dropped, difference.renamed)
    classify = classifier(codec.classify, call, target.provider) if operation.api == "audio.speech" else codec.classify
    upstream = Upstream(partial(request, codec, target, call, body, difference.path), classify, same_words=True)
    return translation_of(upstream, call, candidate, warnings)


def translation_of(upstream: Upstream, call: OperationCall, candidate: Candidate, warnings: list[str]) -> Translation:
    """The translation for what the caller asked for: sound, text, events or JSON."""
    operation = call.operation
    if operation.api == "audio.speech":
        characters = len(call.text("input"))
        if call.value("stream_format") == "sse":
            assert operation.events is not None, "speech can be streamed"
            return EventTranslation(upstream, candidate, warnings, operation.events, characters=characters)
        usage = TokenUsage(characters=characters)
        return BytesTranslation(upstream, candidate, warnings, kind=kind_of(call.text("response_format")), usage=usage)
    if call.stream:
        assert operation.events is not None, "the dialect refuses streams of APIs that have none"
        return EventTranslation(upstream, candidate, warnings, operation.events, answers=_asked(call))
    text = _TEXT_FORMATS.get(call.text("response_format")) if operation.result == "text" else None
    if text is not None:
        return BytesTranslation(upstream, candidate, warnings, kind=text, may_be_empty=True)
    read = partial(read_answer, operation)
    if operation.api == "embeddings":
        read = partial(vectors.read_answer, read, call.value("encoding_format"), vectors.count_inputs(call))
    return JsonTranslation(upstream, candidate, warnings, read, names_model=operation.names_model)


def request(
    codec: ProviderCodec, target: Target, call: OperationCall, body: bytes, path: str, credential: str
) -> UpstreamRequest:
    """As the chat codec makes its requests, with the same authentication, at the operation's path, or at `path`."""
    made = codec.request(target, credential, body, call.headers, stream=call.stream)
    chat = quirks_of(target.provider.type).path
    url, found, query = made.url.rpartition(chat)
    if not found:
        raise Untranslatable.because(f"{target.provider.name} has no address for {call.operation.api}")
    kind = call.payload.content_type
    return changed(
        made, url=f"{url}{path or call.operation.path}{query}", headers={**made.headers, "content-type": kind}
    )


def _asked(call: OperationCall) -> int:
    """How many pictures are asked for; forms have numbers as text."""
    asked = call.value("n") if isinstance(call.payload, JsonPayload) else call.text("n")
    try:
        return max(1, min(100, int(asked or 1)))
    except (TypeError, ValueError):
        return 1  # the provider refuses it


def read_answer(operation: Operation, body: bytes, headers: Mapping[str, str]) -> Answer | Failure:
    """A whole answer that is one: JSON, no error inside, with a result that holds something."""
    del headers
    try:
        members = split_members(body)
    except NotAnObject:
        return NOT_PROTOCOL
    if bytes(members.get("error", b"null")) != b"null":
        return in_stream(error_object(body))
    result = bytes(members.get(operation.result, b"null")).strip()
    if result == b"null":
        return NOT_PROTOCOL
    if not operation.may_be_empty and result in {b"[]", b'""', b"{}"}:
        return EMPTY
    try:
        return Answer(members, _usage(operation, members), _id(members))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NOT_PROTOCOL


def _usage(operation: Operation, members: Members) -> TokenUsage | None:
    told = {name: msgspec.json.decode(members[name]) for name in ("usage", "duration") if name in members}
    images = len(msgspec.json.decode(members["data"], type=list[msgspec.Raw])) if _makes_images(operation) else 0
    return usage_of(told.get("usage"), seconds=told.get("duration"), images=images)


def _makes_images(operation: Operation) -> bool:
    return operation.api in {"images", "image.edits"}


def _id(members: Members) -> str:
    found = msgspec.json.decode(members["id"]) if "id" in members else ""
    return found if isinstance(found, str) else ""
