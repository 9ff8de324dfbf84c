"""Operations at Amazon Bedrock: embeddings by InvokeModel, each vendor in its own form, and counts for Claude."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec

from services.core.errors import Failure, FailureKind
from services.core.numbers import count_of, is_whole
from services.core.policy.snapshot import Target
from services.core.routing.plan import Candidate
from services.dataplane.codec import ProviderCodec
from services.dataplane.dialects.anthropic_read import read_message_request
from services.dataplane.members import raw
from services.dataplane.operations import cohere
from services.dataplane.operations.call import Operation, OperationCall
from services.dataplane.operations.count import counted
from services.dataplane.operations.translations import Answer, JsonTranslation, ReadAnswer, Upstream, json_request
from services.dataplane.operations.vectors import BAD_VECTORS, answer_of, texts_of
from services.dataplane.providers.bedrock_errors import classify
from services.dataplane.providers.bedrock_sign import authentication, region_of
from services.dataplane.translation import TokenUsage, Translation, Untranslatable
from services.dataplane.transport.port import UpstreamRequest

NOT_PROTOCOL = Failure(FailureKind.BAD_RESPONSE, "the provider's answer is not of this API")
TOKENS_HEADER = "x-amzn-bedrock-input-token-count"
_PURPOSES: Mapping[str, str] = {
    "search_query": "GENERIC_RETRIEVAL",
    "query": "GENERIC_RETRIEVAL",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}
_CONVERSE = ("messages", "system", "toolConfig", "additionalModelRequestFields")
"""What the count takes of a request to Converse."""


def _upstream(target: Target, verb: str, body: Any) -> Upstream:
    url = f"{target.provider.base_url}/model/{quote(target.upstream_model, safe='-_.~')}/{verb}"
    plain = json_request(url, bytes(raw(body)), target, {"accept": "application/json"})

    def request(credential: str) -> UpstreamRequest:
        signed = authentication(url, plain.headers, plain.body, credential, region_of(target.provider))
        return UpstreamRequest(url, {**plain.headers, **signed}, plain.body)

    return Upstream(request, classify)


def embeddings(call: OperationCall, candidate: Candidate) -> Translation:
    """The translation of embeddings to the vendor whose model it is.

    Raises:
        Untranslatable: The model is none that embeds, or takes one text at a time and there are several.
    """
    target, encoding = candidate.target, call.value("encoding_format")
    name = target.upstream_model
    known: tuple[str, ...] = ("input", "encoding_format", "dimensions")
    if "cohere." in name:
        body: dict[str, Any] = cohere.embed_body(call)
        read: ReadAnswer = partial(cohere.read_embeddings, len(body["texts"]), encoding)
        known = cohere.KNOWN
    elif "titan-embed" in name:
        body = {"inputText": _one(call, target)} | _sized(call, "dimensions")
        read = partial(_read, encoding, _titan)
    elif "nova" in name and "embed" in name:
        purpose = _PURPOSES.get(call.text("input_type"), "GENERIC_INDEX")
        text = {"truncationMode": "NONE", "value": _one(call, target)}
        single = {"embeddingPurpose": purpose, "text": text} | _sized(call, "embeddingDimension")
        body = {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": single}
        read = partial(_read, encoding, _nova)
        known = (*known, "input_type")
    else:
        raise Untranslatable.because(f"{target.model} is no model whose embeddings are known here")
    warnings = [*call.warnings, *call.dropped(*known)]
    return JsonTranslation(_upstream(target, "invoke", body), candidate, warnings, read, names_model=True)


def _one(call: OperationCall, target: Target) -> str:
    texts = texts_of(call)
    if len(texts) > 1:
        raise Untranslatable.because(f"{target.model} embeds one text at a time, not {len(texts)}")
    return texts[0]


def _sized(call: OperationCall, name: str) -> dict[str, Any]:
    size = call.value("dimensions")
    return {name: size} if size is not None else {}


def _read(encoding: Any, vector_of: Any, body: bytes, headers: Mapping[str, str]) -> Answer | Failure:
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return BAD_VECTORS
    if not isinstance(answer, Mapping):
        return BAD_VECTORS
    tokens = count_of(answer.get("inputTextTokenCount")) or count_of(headers.get(TOKENS_HEADER))
    return answer_of([vector_of(answer)], 1, encoding, TokenUsage(input_tokens=tokens) if tokens else None)


def _titan(answer: Mapping[str, Any]) -> Any:
    return answer.get("embedding")


def _nova(answer: Mapping[str, Any]) -> Any:
    rows = answer.get("embeddings")
    return rows[0].get("embedding") if isinstance(rows, list) and rows and isinstance(rows[0], Mapping) else None


def counts(target: Target) -> bool:
    """Whether Amazon counts the tokens of this model; it does so for Claude."""
    return "anthropic." in target.upstream_model or "claude" in target.upstream_model


def count_tokens(codec: ProviderCodec, call: OperationCall, candidate: Candidate) -> Translation:
    """The translation of Anthropic's count to Amazon's, by way of the exchange model."""
    request = read_message_request(call.payload.values())
    encoded, dropped = codec.encode(request, candidate.target)
    converse = {n: v for n, v in msgspec.json.decode(encoded).items() if n in _CONVERSE}
    upstream = _upstream(candidate.target, "count-tokens", {"input": {"converse": converse}})
    warnings = [*call.warnings, *request.warnings, *dropped]
    return JsonTranslation(upstream, candidate, warnings, partial(_counted, call.operation), names_model=False)


def _counted(operation: Operation, body: bytes, headers: Mapping[str, str]) -> Answer | Failure:
    del headers
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return NOT_PROTOCOL
    tokens = answer.get("inputTokens") if isinstance(answer, Mapping) else None
    if not is_whole(tokens):
        return NOT_PROTOCOL
    return counted(operation, tokens)
