"""Operations at Google: embeddings and pictures at AI Studio and Vertex AI, and Gemini's count of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from services.core.errors import Failure, FailureKind
from services.core.numbers import count_of, is_whole
from services.core.policy.provider_types import VERTEX
from services.core.policy.snapshot import Target
from services.core.routing.plan import Candidate
from services.dataplane.codec import ProviderCodec
from services.dataplane.dialects.anthropic_read import read_message_request
from services.dataplane.dialects.gemini_form import camel
from services.dataplane.dialects.gemini_overrides import googles_members
from services.dataplane.exchange import Image
from services.dataplane.members import join_members, raw, split_members
from services.dataplane.operations.call import JsonPayload, Operation, OperationCall
from services.dataplane.operations.count import COUNT_CONTENTS, counted, translation_of
from services.dataplane.operations.translations import Answer, JsonTranslation, ReadAnswer, Upstream
from services.dataplane.operations.vectors import BAD_VECTORS, answer_of, texts_of
from services.dataplane.providers.google import google_headers, model_url
from services.dataplane.providers.google_errors import classify
from services.dataplane.providers.vertex_claude import VERSION
from services.dataplane.translation import TokenUsage, Translation, Untranslatable
from services.dataplane.transport.port import UpstreamRequest

NOT_PROTOCOL = Failure(FailureKind.BAD_RESPONSE, "the provider's answer is not of this API")
NO_PICTURE = Failure(FailureKind.EMPTY_ANSWER, "the provider answered without a picture")
ALL_FILTERED = Failure(FailureKind.CONTENT_REFUSED, "the provider made no picture: its policy filtered all of them")

_TASKS: Mapping[str, str] = {
    "search_document": "RETRIEVAL_DOCUMENT",
    "search_query": "RETRIEVAL_QUERY",
    "document": "RETRIEVAL_DOCUMENT",
    "query": "RETRIEVAL_QUERY",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}
"""Google's words for what others call `input_type`; `task_type` passes as it is."""

_RATIOS: Mapping[str, str] = {
    "1024x1024": "1:1", "256x256": "1:1", "512x512": "1:1", "1792x1024": "16:9", "1024x1792": "9:16",
}  # fmt: skip
_FREE_RATIOS: Mapping[str, str] = {**_RATIOS, "1536x1024": "3:2", "1024x1536": "2:3"}
"""The same for Gemini's own pictures, which come in more shapes."""
_COUNTED = ("contents", "systemInstruction", "tools", "generationConfig")
"""What the count at Vertex AI takes of a request."""


def _is_vertex(target: Target) -> bool:
    return target.provider.protocol == VERTEX


def _place(target: Target) -> str:
    return "publishers/google/models" if _is_vertex(target) else "models"


def _upstream(target: Target, verb: str, body: Any, *, same_words: bool = False) -> Upstream:
    data = bytes(raw(body))

    def request(credential: str) -> UpstreamRequest:
        return UpstreamRequest(model_url(target, _place(target), verb), google_headers(target, credential), data)

    return Upstream(request, classify, same_words)


def _decoded(read: Any, body: bytes, headers: Mapping[str, str]) -> Answer | Failure:
    """A reader of objects as a reader of bodies."""
    del headers
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NOT_PROTOCOL
    if not isinstance(answer, dict):
        return NOT_PROTOCOL
    error = answer.get("error")
    if isinstance(error, Mapping):
        status = error.get("code")
        return classify(status if isinstance(status, int) and 400 <= status <= 599 else 500, {}, body)
    found: Answer | Failure = read(answer)
    return found


def _translation(
    call: OperationCall, candidate: Candidate, upstream: Upstream, read: Any, known: tuple[str, ...], *, names: bool
) -> Translation:
    warnings = [*call.warnings, *call.dropped(*known)]
    reader: ReadAnswer = partial(_decoded, read)
    return JsonTranslation(upstream, candidate, warnings, reader, names_model=names)


# Embeddings.


def embeddings(call: OperationCall, candidate: Candidate) -> Translation:
    """The translation of embeddings: one batch at AI Studio, instances at Vertex AI."""
    target, texts = candidate.target, texts_of(call)
    task = call.text("task_type") or _TASKS.get(call.text("input_type"), "")
    size, known = call.value("dimensions"), ["input", "encoding_format", "dimensions", "task_type"]
    if task:
        known.append("input_type")
    if _is_vertex(target):
        body: dict[str, Any] = {"instances": [{"content": t} | ({"task_type": task} if task else {}) for t in texts]}
        body |= {"parameters": {"outputDimensionality": size}} if size is not None else {}
        verb, read = "predict", _predicted
    else:
        name = target.upstream_model if "/" in target.upstream_model else f"models/{target.upstream_model}"
        more = {"taskType": task} if task else {}
        more |= {"outputDimensionality": size} if size is not None else {}
        body = {"requests": [{"model": name, "content": {"parts": [{"text": text}]}, **more} for text in texts]}
        verb, read = "batchEmbedContents", _batched
    reader = partial(read, len(texts), call.value("encoding_format"))
    return _translation(call, candidate, _upstream(target, verb, body), reader, tuple(known), names=True)


def _batched(wanted: int, encoding: Any, answer: Mapping[str, Any]) -> Answer | Failure:
    rows = answer.get("embeddings")
    vectors = [_member(row, "values") for row in rows] if isinstance(rows, list) else None
    tokens = count_of(_member(answer.get("usageMetadata"), "promptTokenCount"))
    return answer_of(vectors, wanted, encoding, TokenUsage(input_tokens=tokens) if tokens else None)


def _predicted(wanted: int, encoding: Any, answer: Mapping[str, Any]) -> Answer | Failure:
    rows = answer.get("predictions")
    if not isinstance(rows, list):
        return BAD_VECTORS
    found = [_member(row, "embeddings") for row in rows]
    tokens = sum(count_of(_member(_member(each, "statistics"), "token_count")) for each in found)
    usage = TokenUsage(input_tokens=tokens) if tokens else None
    return answer_of([_member(each, "values") for each in found], wanted, encoding, usage)


# Pictures.


def images(codec: ProviderCodec, call: OperationCall, candidate: Candidate) -> Translation:
    """The translation of pictures to Imagen, or to a Gemini model that makes them."""
    target = candidate.target
    imagen = "imagen" in target.upstream_model
    if not imagen and "image" not in target.upstream_model:
        raise Untranslatable.because(f"{target.model} makes no pictures")
    if call.stream or call.value("response_format") == "url":
        raise Untranslatable.because(f"{target.provider.name} gives pictures whole, as base64")
    ratio = _ratio(call, target, _RATIOS if imagen else _FREE_RATIOS)
    known = ("prompt", "n", "size", "response_format", "stream")
    if imagen:
        parameters = {"sampleCount": call.value("n") or 1} | ({"aspectRatio": ratio} if ratio else {})
        body: dict[str, Any] = {"instances": [{"prompt": call.text("prompt")}], "parameters": parameters}
        return _translation(call, candidate, _upstream(target, "predict", body), _pictures, known, names=False)
    if call.value("n") not in (None, 1):
        raise Untranslatable.because(f"{target.model} makes one picture at a time, not {call.value('n')!r}")
    config = {"responseModalities": ["IMAGE"]} | ({"imageConfig": {"aspectRatio": ratio}} if ratio else {})
    body = {"contents": [{"role": "user", "parts": [{"text": call.text("prompt")}]}], "generationConfig": config}
    warnings = [*call.warnings, *call.dropped(*known)]
    reader: ReadAnswer = partial(_drawn, codec)
    return JsonTranslation(_upstream(target, "generateContent", body), candidate, warnings, reader, names_model=False)


def _ratio(call: OperationCall, target: Target, ratios: Mapping[str, str]) -> str:
    """Google's word for the size that is asked for; empty: any will do."""
    size = call.value("size")
    if size in (None, "auto"):
        return ""
    ratio = ratios.get(size) if isinstance(size, str) else None
    if ratio is None:
        raise Untranslatable.because(f"{target.provider.name} makes no pictures of the size {size!r}")
    return ratio


def _drawn(codec: ProviderCodec, body: bytes, headers: Mapping[str, str]) -> Answer | Failure:
    """The pictures of an answer of chat; those that a model tries while it thinks are not among its parts."""
    del headers
    answer = codec.decode(body)
    if isinstance(answer, Failure):
        return answer
    found = [part for part in answer.parts if isinstance(part, Image) and part.data]
    if not found:
        return ALL_FILTERED if answer.finish_reason == "content_filter" else NO_PICTURE
    used = answer.usage
    members = {"created": raw(0), "data": raw([{"b64_json": image.data} for image in found])}
    kind = found[0].media_type.partition("/")[2]
    members |= {"output_format": raw(kind)} if kind else {}
    if used is not None:
        given, made = used.input_tokens, used.output_tokens
        members["usage"] = raw({"input_tokens": given, "output_tokens": made, "total_tokens": given + made})
    return Answer(members, used or TokenUsage(images=len(found)), answer.id)


def _pictures(answer: Mapping[str, Any]) -> Answer | Failure:
    rows = answer.get("predictions")
    given = rows if isinstance(rows, list) else ()
    found = [data for row in given if isinstance(data := _member(row, "bytesBase64Encoded"), str) and data]
    if not found:
        # With every picture filtered, Google answers reasons, or nothing at all.
        return ALL_FILTERED if isinstance(rows, list) or not answer else NOT_PROTOCOL
    members = {"created": raw(0), "data": raw([{"b64_json": data} for data in found])}
    return Answer(members, TokenUsage(images=len(found)))


# Counts.


def count_tokens(codec: ProviderCodec, call: OperationCall, candidate: Candidate) -> Translation:
    """The translation of Anthropic's count to Gemini's, by way of the exchange model."""
    target = candidate.target
    request = read_message_request(call.payload.values())
    encoded, dropped = codec.encode(request, target)
    body = msgspec.json.decode(encoded)
    if _is_vertex(target):
        body = {name: value for name, value in body.items() if name in _COUNTED}
    else:
        body = {"generateContentRequest": {"model": f"models/{target.upstream_model}", **body}}
    reader: ReadAnswer = partial(_decoded, partial(_counted, call.operation))
    warnings = [*call.warnings, *request.warnings, *dropped]
    return JsonTranslation(_upstream(target, "countTokens", body), candidate, warnings, reader, names_model=False)


def count_claude(codec: ProviderCodec, call: OperationCall, candidate: Candidate) -> Translation:
    """The translation of a count to Anthropic's models at Vertex AI, which have one address for all of them."""
    target = candidate.target
    members = split_members(call.payload.rewritten(target.upstream_model, ("user",), {}))
    members.setdefault("anthropic_version", raw(VERSION))
    body = join_members(members)
    url = f"{target.provider.base_url}/publishers/anthropic/models/count-tokens:rawPredict"

    def request(credential: str) -> UpstreamRequest:
        return UpstreamRequest(url, google_headers(target, credential), body)

    return translation_of(request, codec, call, candidate)


def count_contents(call: OperationCall, candidate: Candidate) -> Translation:
    """The translation of Google's count to Google: what is counted keeps its bytes, and so does the answer."""
    target, warnings = candidate.target, list(call.warnings)
    assert isinstance(call.payload, JsonPayload), "a count is JSON"
    body = googles_members(call.payload.members, warnings)
    if _is_vertex(target):
        lost = [name for name in body if camel(name) not in (*_COUNTED, "labels")]
        warnings += [f"{name} was dropped: the count at Vertex AI does not take it" for name in lost]
        body = {name: value for name, value in body.items() if camel(name) in _COUNTED}
    else:
        body.pop("labels", None)
        inner = {"model": raw(f"models/{target.upstream_model}"), **body}
        body = {"generateContentRequest": msgspec.Raw(join_members(inner))}
    upstream = _upstream(target, "countTokens", msgspec.Raw(join_members(body)), same_words=True)
    reader: ReadAnswer = partial(_decoded, partial(_counted, call.operation))
    return JsonTranslation(upstream, candidate, warnings, reader, names_model=False)


def _counted(operation: Operation, answer: Mapping[str, Any]) -> Answer | Failure:
    """A count; Google's own callers get all that Google says of it."""
    # A count of zero is left out, as Google leaves out every zero.
    tokens = answer.get("totalTokens", 0)
    if not is_whole(tokens):
        return NOT_PROTOCOL
    if operation.api != COUNT_CONTENTS:
        return counted(operation, tokens)
    return Answer({name: raw(value) for name, value in {**answer, "totalTokens": tokens}.items()})


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None
