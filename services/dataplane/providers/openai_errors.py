"""OpenAI-style errors: by status and code fields; by words only where `wordings` knows the whole sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.errors import Failure, FailureKind
from services.dataplane.providers.wordings import kind_told
from services.dataplane.retry_after import retry_after

_K = FailureKind

BY_CODE: Mapping[str, FailureKind] = {
    "context_length_exceeded": _K.CONTEXT_TOO_LONG,
    "exceed_context_size_error": _K.CONTEXT_TOO_LONG,
    "string_above_max_length": _K.CONTEXT_TOO_LONG,
    "insufficient_quota": _K.QUOTA_EXHAUSTED,
    "billing_hard_limit_reached": _K.QUOTA_EXHAUSTED,
    "billing_not_active": _K.QUOTA_EXHAUSTED,
    "insufficient_balance": _K.QUOTA_EXHAUSTED,
    "invalid_api_key": _K.CREDENTIALS_REJECTED,
    "authentication_error": _K.CREDENTIALS_REJECTED,
    "permission_error": _K.CREDENTIALS_REJECTED,
    "model_not_found": _K.MODEL_MISSING,
    "content_filter": _K.CONTENT_REFUSED,
    "content_policy_violation": _K.CONTENT_REFUSED,
    "moderation_blocked": _K.CONTENT_REFUSED,
    "rate_limit_exceeded": _K.RATE_LIMITED,
    "rate_limit_error": _K.RATE_LIMITED,
    "tokens": _K.RATE_LIMITED,
    "requests": _K.RATE_LIMITED,
    "overloaded_error": _K.OVERLOADED,
    "server_is_overloaded": _K.OVERLOADED,
    "engine_overloaded": _K.OVERLOADED,
    "server_error": _K.SERVER_ERROR,
    "internal_server_error": _K.SERVER_ERROR,
    "invalid_request_error": _K.INVALID_REQUEST,
}

BY_STATUS: Mapping[int, FailureKind] = {
    400: _K.INVALID_REQUEST,
    401: _K.CREDENTIALS_REJECTED,
    402: _K.QUOTA_EXHAUSTED,
    403: _K.CREDENTIALS_REJECTED,
    404: _K.MODEL_MISSING,
    408: _K.SERVER_ERROR,
    409: _K.SERVER_ERROR,
    413: _K.REQUEST_TOO_LARGE,
    422: _K.INVALID_REQUEST,
    425: _K.SERVER_ERROR,
    429: _K.RATE_LIMITED,
    498: _K.RATE_LIMITED,
    503: _K.OVERLOADED,
    529: _K.OVERLOADED,
}

_LONGEST_CODE = 100
"""A longer text is no code; it would only fill records, spans and messages."""

_REFINES: Mapping[FailureKind, frozenset[FailureKind]] = {
    # What a code may turn a status into; elsewhere the status has the last word.
    _K.INVALID_REQUEST: frozenset(
        {_K.CONTEXT_TOO_LONG, _K.CONTENT_REFUSED, _K.MODEL_MISSING, _K.CREDENTIALS_REJECTED, _K.QUOTA_EXHAUSTED}
    ),
    _K.RATE_LIMITED: frozenset({_K.QUOTA_EXHAUSTED, _K.OVERLOADED}),
    _K.CREDENTIALS_REJECTED: frozenset({_K.CONTENT_REFUSED, _K.MODEL_MISSING, _K.QUOTA_EXHAUSTED}),
    _K.REQUEST_TOO_LARGE: frozenset({_K.CONTEXT_TOO_LONG, _K.RATE_LIMITED}),
    _K.SERVER_ERROR: frozenset({_K.OVERLOADED, _K.RATE_LIMITED}),
    _K.OVERLOADED: frozenset({_K.RATE_LIMITED}),
}


def classify(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """The failure that an answer with an error status means."""
    error = error_object(body)
    codes = _codes(error)
    if 300 <= status < 400:
        return Failure(_K.BAD_RESPONSE, f"the provider answered with a redirect ({status})", status=status)
    kind = BY_STATUS.get(status, _K.SERVER_ERROR if status >= 500 or status < 400 else _K.INVALID_REQUEST)
    for code in codes:
        refined = BY_CODE.get(code)
        if refined is not None and refined in _REFINES.get(kind, frozenset()):
            kind = refined
            break
    if kind is _K.INVALID_REQUEST:
        kind = kind_told(error) or kind
    return Failure(
        kind,
        _told(status, codes),
        status=status,
        code=codes[0] if codes else "",
        retry_after=retry_after(headers),
        body=body,
        content_type=headers.get("content-type", "application/json"),
    )


def in_stream(error: Any) -> Failure:
    """The failure that an error object inside a stream, or inside a 200, means."""
    codes = _codes(error)
    number = error.get("code") if isinstance(error, Mapping) else None
    status = number if isinstance(number, int) and 400 <= number <= 599 else 0
    kind = BY_STATUS.get(status, _K.SERVER_ERROR if status else _K.STREAM_ERROR)
    for code in codes:
        if code in BY_CODE:
            kind = BY_CODE[code]
            break
    code = codes[0] if codes else ""
    told = f"the provider reported an error inside a success ({code or status or 'no code'})"
    return Failure(kind, told, status=status, code=code)


def error_object(body: bytes) -> Any:
    """The `error` of a body, or the body itself when it has none; None when it is not JSON."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, Mapping) and value.get("error") is not None:
        return value["error"]
    return value


def _codes(error: Any) -> list[str]:
    """`code`, then `type`: the fields that machines are meant to read."""
    if not isinstance(error, Mapping):
        return [error] if isinstance(error, str) and error in BY_CODE else []
    return [code for name in ("code", "type", "status") if (code := code_of(error.get(name)))]


def code_of(value: Any) -> str:
    """`value` if it can be a code; empty: it is none."""
    return value if isinstance(value, str) and len(value) <= _LONGEST_CODE else ""


def _told(status: int, codes: list[str]) -> str:
    return f"the provider answered {status}" + (f" ({codes[0]})" if codes else "")
