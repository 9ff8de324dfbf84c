"""Errors in Anthropic's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.errors import ChainFailed, FailureKind, RouterError
from services.dataplane.providers.openai_errors import error_object
from services.dataplane.translation import CALLERS_FAULT, Evidence

_TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}

_OVERLOADED = 529
"""What Anthropic answers when it is overloaded; its SDKs raise a class of its own for it."""


def status_of(error: RouterError) -> int:
    """HTTP status of an error response."""
    overloaded = isinstance(error, ChainFailed) and error.failure.kind is FailureKind.OVERLOADED
    return _OVERLOADED if overloaded else error.status


def error_body(error: RouterError, evidence: Evidence | None) -> bytes:
    """The body of an error response: the provider's own, unmodified, where the caller can act on it, else ours.

    Clients such as Claude Code recover by the provider's exact words, so those are never wrapped.
    """
    if isinstance(error, ChainFailed) and error.failure.kind in CALLERS_FAULT and _is_error(error.failure.body):
        return error.failure.body
    return msgspec.json.encode(error_form(error, evidence))


def error_form(error: RouterError, evidence: Evidence | None) -> dict[str, Any]:
    """Our own error, as a body or as the data of an `error` event."""
    message = _their_words(error) or error.message
    details: dict[str, Any] = {"type": _TYPES.get(error.status, "api_error"), "message": message}
    form: dict[str, Any] = {"type": "error", "error": details}
    if evidence is not None:
        form["request_id"] = evidence.generation_id
        form["metadata"] = evidence.metadata
    return form


def _their_words(error: RouterError) -> str:
    """What a provider of another protocol told the caller; empty: nothing that is the caller's to read."""
    if not isinstance(error, ChainFailed) or error.failure.kind not in CALLERS_FAULT:
        return ""
    theirs = error_object(error.failure.body)
    message = theirs.get("message") if isinstance(theirs, Mapping) else None
    return message if isinstance(message, str) else ""


def _is_error(body: bytes) -> bool:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return isinstance(value, Mapping) and value.get("type") == "error" and isinstance(value.get("error"), Mapping)
