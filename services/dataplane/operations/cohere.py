"""Embeddings in Cohere's form, by Cohere itself and by others who serve its models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec

from services.core.errors import Failure
from services.core.numbers import count_of
from services.core.policy.snapshot import Target
from services.core.routing.plan import Candidate
from services.core.values import changed
from services.dataplane.codec import ProviderCodec
from services.dataplane.members import raw
from services.dataplane.operations.call import OperationCall
from services.dataplane.operations.translations import Answer, JsonTranslation, Upstream
from services.dataplane.operations.vectors import BAD_VECTORS, answer_of, texts_of
from services.dataplane.providers.openai_errors import in_stream
from services.dataplane.translation import TokenUsage, Translation, Untranslatable
from services.dataplane.transport.port import UpstreamRequest

DEFAULT_INPUT_TYPE = "search_document"
"""Cohere's newer models have to be told; this is what a store of vectors is filled with."""
_CHAT_PATH, _PATH = "/chat", "/embed"
KNOWN = ("input", "encoding_format", "dimensions", "input_type", "truncate")


def embeddings(codec: ProviderCodec, call: OperationCall, candidate: Candidate) -> Translation:
    """The translation of embeddings to Cohere."""
    body = {**embed_body(call), "model": candidate.target.upstream_model, "embedding_types": ["float"]}
    upstream = Upstream(partial(_request, codec, candidate.target, call, bytes(raw(body))), codec.classify)
    read = partial(read_embeddings, len(body["texts"]), call.value("encoding_format"))
    warnings = [*call.warnings, *call.dropped(*KNOWN)]
    return JsonTranslation(upstream, candidate, warnings, read, names_model=True)


def embed_body(call: OperationCall) -> dict[str, Any]:
    """The fields of Cohere's own that a request comes to, without the model."""
    body = {"texts": texts_of(call), "input_type": call.text("input_type") or DEFAULT_INPUT_TYPE}
    for name, theirs in (("dimensions", "output_dimension"), ("truncate", "truncate")):
        if call.value(name) is not None:
            body[theirs] = call.value(name)
    return body


def _request(
    codec: ProviderCodec, target: Target, call: OperationCall, body: bytes, credential: str
) -> UpstreamRequest:
    made = codec.request(target, credential, body, call.headers, stream=False)
    if not made.url.endswith(_CHAT_PATH):
        raise Untranslatable.because(f"{target.provider.name} has no address for {call.operation.api}")
    return changed(made, url=made.url.removesuffix(_CHAT_PATH) + _PATH)


def read_embeddings(wanted: int, encoding: Any, body: bytes, headers: Mapping[str, str]) -> Answer | Failure:
    """An answer of Cohere's, as OpenAI's; vectors come by type, or in the older form as a list."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return BAD_VECTORS
    if not isinstance(answer, Mapping):
        return BAD_VECTORS
    found = answer.get("embeddings")
    if found is None:
        return in_stream(answer) if isinstance(answer.get("message"), str) else BAD_VECTORS
    vectors = found.get("float") if isinstance(found, Mapping) else found
    answered = answer_of(vectors, wanted, encoding, _usage(answer, headers))
    identity = answer.get("id")
    if isinstance(answered, Failure) or not isinstance(identity, str):
        return answered
    return replace(answered, response_id=identity)


def _usage(answer: Mapping[str, Any], headers: Mapping[str, str]) -> TokenUsage | None:
    """Billed tokens; Amazon tells them in a header."""
    meta = answer.get("meta")
    billed = meta.get("billed_units") if isinstance(meta, Mapping) else None
    tokens = count_of(billed.get("input_tokens")) if isinstance(billed, Mapping) else 0
    tokens = tokens or count_of(headers.get("x-amzn-bedrock-input-token-count"))
    return TokenUsage(input_tokens=tokens) if tokens else None
