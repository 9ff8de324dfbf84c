"""OpenRouter's words for what can go wrong, for the worker's dialect and for the bridge's own errors.

Its errors are a superset of OpenAI's: `code` is the HTTP status as a number, and `metadata` holds the canonical
`error_type`, the provider's name and, where the caller may read them, the provider's own words.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.core.errors import ChainFailed, FailureKind, RouterError

_K = FailureKind
_OF_KIND: Mapping[FailureKind, str] = {
    _K.CONTEXT_TOO_LONG: "context_length_exceeded",
    _K.CONTENT_REFUSED: "content_policy_violation",
    _K.RATE_LIMITED: "rate_limit_exceeded",
    _K.OVERLOADED: "provider_overloaded",
    _K.INVALID_REQUEST: "invalid_request",
    _K.UNSUPPORTED: "invalid_request",
    _K.REQUEST_TOO_LARGE: "payload_too_large",
    _K.MODEL_MISSING: "not_found",
}
_OF_REASON: Mapping[str, str] = {"POLICY_NOT_READY": "provider_unavailable", "OVERLOADED": "provider_overloaded"}
_OF_STATUS: Mapping[int, str] = {
    400: "invalid_request",
    401: "authentication",
    402: "payment_required",
    403: "permission_denied",
    404: "not_found",
    405: "invalid_request",
    408: "timeout",
    412: "precondition_failed",
    413: "payload_too_large",
    415: "invalid_request",
    422: "unprocessable",
    429: "rate_limit_exceeded",
    431: "payload_too_large",
    500: "server",
    502: "provider_unavailable",
    503: "provider_unavailable",
    504: "timeout",
}


def status_type(status: int) -> str:
    """The canonical error type of an HTTP status."""
    return _OF_STATUS.get(status, "unmapped")


def error_type(error: RouterError) -> str:
    """The canonical error type of one of our errors."""
    if isinstance(error, ChainFailed):
        return _OF_KIND.get(error.failure.kind, status_type(error.status))
    return _OF_REASON.get(error.reason, status_type(error.status))
