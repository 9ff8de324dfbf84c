"""Errors in OpenRouter's words, which hold OpenAI's as well."""

from __future__ import annotations

from typing import Any

import msgspec

from services.core.errors import ChainFailed, RouterError
from services.dataplane.dialects.openai_errors import error_object_of
from services.dataplane.translation import CALLERS_FAULT, Evidence
from services.wire.openrouter_words import error_type


def error_object(error: RouterError) -> dict[str, Any]:
    """The `error` object: `code` is a number, and what OpenAI calls code is in `metadata`."""
    found = error_object_of(error)
    metadata: dict[str, Any] = {"error_type": error_type(error), "code": found["code"]}
    if isinstance(error, ChainFailed):
        failure = error.failure
        provider = error.fields.get("provider", "")
        metadata |= {"provider_name": provider} if provider else {}
        metadata |= {"provider_code": failure.code} if failure.code else {}
        if failure.kind in CALLERS_FAULT and failure.body:
            # Other bodies may speak of the operator's account.
            metadata["raw"] = failure.body.decode("utf-8", "replace")
    return {**found, "code": error.status, "metadata": metadata}


def error_body(error: RouterError, evidence: Evidence | None) -> bytes:
    """The body of an error response."""
    body: dict[str, Any] = {"error": error_object(error)}
    if evidence is not None:
        body["metadata"] = evidence.metadata
    return msgspec.json.encode(body)


def error_chunk(error: RouterError, evidence: Evidence, *, chunk_id: str, created: int, model: str) -> bytes:
    """The data of the chunk that ends a stream with an error; the status is 200 by then."""
    choice = {
        "index": 0,
        "delta": {"content": ""},
        "logprobs": None,
        "finish_reason": "error",
        "native_finish_reason": "error",
    }
    body: dict[str, Any] = {
        "id": chunk_id or f"gen-{evidence.generation_id}",
        "object": "chat.completion.chunk",
        "created": created,
        "model": model,
        "choices": [choice],
        "error": error_object(error),
        "metadata": evidence.metadata,
    }
    if evidence.provider:
        body["provider"] = evidence.provider
    return msgspec.json.encode(body)
