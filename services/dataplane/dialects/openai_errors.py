"""Errors in OpenAI's words, so that official SDKs raise the class that their users catch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.errors import ChainFailed, FailureKind, InvalidRequest, RouterError
from services.dataplane.providers.openai_errors import error_object
from services.dataplane.translation import CALLERS_FAULT, Evidence

_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}
_CODES: Mapping[str, str] = {
    "UNAUTHENTICATED": "invalid_api_key",
    "UNKNOWN_MODEL": "model_not_found",
    "REQUEST_TOO_LARGE": "request_too_large",
}
_KIND_CODES: Mapping[FailureKind, str] = {
    FailureKind.CONTEXT_TOO_LONG: "context_length_exceeded",
    FailureKind.CONTENT_REFUSED: "content_policy_violation",
    FailureKind.RATE_LIMITED: "rate_limit_exceeded",
    FailureKind.MODEL_MISSING: "model_not_found",
}


def error_body(error: RouterError, evidence: Evidence | None, name: str = "metadata") -> bytes:
    """The body of an error response, with the evidence under `name`."""
    body: dict[str, Any] = {"error": error_object_of(error)}
    if evidence is not None:
        body[name] = evidence.metadata
    return msgspec.json.encode(body)


def error_object_of(error: RouterError) -> dict[str, Any]:
    """The `error` object: the provider's own words where the caller can act on them, else ours."""
    param: Any = error.param or None if isinstance(error, InvalidRequest) else None
    found: dict[str, Any] = {
        "message": error.message,
        "type": _TYPES.get(error.status, "server_error"),
        "param": param,
        "code": _CODES.get(error.reason, error.reason.lower()),
    }
    if isinstance(error, ChainFailed):
        failure = error.failure
        found["code"] = _KIND_CODES.get(failure.kind, failure.kind.value.lower())
        if failure.kind in CALLERS_FAULT and failure.body:
            theirs = error_object(failure.body)
            if isinstance(theirs, Mapping) and isinstance(theirs.get("message"), str):
                found.update({k: theirs[k] for k in ("message", "type", "param", "code") if theirs.get(k) is not None})
    return found
