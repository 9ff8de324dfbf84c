"""Google's words for what can go wrong, for the worker's dialect and for the bridge's own errors.

An error is `google.rpc.Status` in JSON: `code` is the HTTP status, `status` the canonical word, and `details` holds
typed messages: ErrorInfo says which error it is, RetryInfo when to come back, BadRequest which field is wrong.
https://google.aip.dev/193
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TYPE = "type.googleapis.com/google.rpc."
_WORDS: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    412: "FAILED_PRECONDITION",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    431: "INVALID_ARGUMENT",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

_CODES: Mapping[int, int] = {
    400: 3,
    401: 16,
    403: 7,
    404: 5,
    405: 12,
    409: 10,
    413: 3,
    429: 8,
    499: 1,
    501: 12,
    502: 14,
    503: 14,
    504: 4,
}


def rpc_code(status: int) -> int:
    """The code of google.rpc for an HTTP status; 13, internal, for one that has none."""
    return _CODES.get(status, 13)


def google_error(
    status: int, message: str, *, reason: str = "", field: str = "", retry_after: float | None = None
) -> dict[str, Any]:
    """The `error` object.

    Args:
        status: HTTP status, 400 to 599.
        reason: Which error it is, in capitals; empty: not said.
        field: The member of the request that is wrong; empty: none is.
        retry_after: Seconds after which to come back; None: not said.
    """
    details: list[dict[str, Any]] = []
    if reason:
        details.append({"@type": f"{_TYPE}ErrorInfo", "reason": reason, "domain": "turnout"})
    if field:
        violations = [{"field": field, "description": message}]
        details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": violations})
    if retry_after is not None:
        seconds = f"{max(retry_after, 0.0):.3f}".rstrip("0").rstrip(".")
        details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{seconds}s"})
    word = _WORDS.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
    return {"code": status, "message": message, "status": word, "details": details}
