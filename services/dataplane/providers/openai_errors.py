"""OpenAI-style errors: by status and code fields; by words only where `wordings` knows the whole sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.errors import Failure, FailureKind
from services.dataplane.providers.wordings import kind_told
from services.dataplane.retry_after import rate_reset, retry_after, span

_K = FailureKind

BY_CODE: Mapping[str, FailureKind] = {
    # the window
    "context_length_exceeded": _K.CONTEXT_TOO_LONG,
    "exceed_context_size_error": _K.CONTEXT_TOO_LONG,
    "string_above_max_length": _K.CONTEXT_TOO_LONG,
    "string_too_long": _K.CONTEXT_TOO_LONG,
    "token_limit_exceeded": _K.CONTEXT_TOO_LONG,
    "prompt_too_long": _K.CONTEXT_TOO_LONG,
    "TOO_MANY_TOKENS": _K.CONTEXT_TOO_LONG,
    "payload_too_large": _K.REQUEST_TOO_LARGE,
    "request_too_large": _K.REQUEST_TOO_LARGE,
    # money
    "insufficient_quota": _K.QUOTA_EXHAUSTED,
    "billing_hard_limit_reached": _K.QUOTA_EXHAUSTED,
    "billing_not_active": _K.QUOTA_EXHAUSTED,
    "billing_error": _K.QUOTA_EXHAUSTED,
    "insufficient_balance": _K.QUOTA_EXHAUSTED,
    "payment_required": _K.QUOTA_EXHAUSTED,
    "credit_limit": _K.QUOTA_EXHAUSTED,
    # the key, and what it may
    "invalid_api_key": _K.CREDENTIALS_REJECTED,
    "API_KEY_INVALID": _K.CREDENTIALS_REJECTED,
    "wrong_api_key": _K.CREDENTIALS_REJECTED,
    "authentication": _K.CREDENTIALS_REJECTED,
    "authentication_error": _K.CREDENTIALS_REJECTED,
    "permission_denied": _K.CREDENTIALS_REJECTED,
    "permission_error": _K.CREDENTIALS_REJECTED,
    "organization_restricted": _K.CREDENTIALS_REJECTED,
    "account_deactivated": _K.CREDENTIALS_REJECTED,
    "UNAUTHENTICATED": _K.CREDENTIALS_REJECTED,
    "PERMISSION_DENIED": _K.CREDENTIALS_REJECTED,
    # Google: the caller's place or plan, which is ours
    "FAILED_PRECONDITION": _K.CREDENTIALS_REJECTED,
    # the model
    "model_not_found": _K.MODEL_MISSING,
    "model_decommissioned": _K.MODEL_MISSING,
    "invalid_model": _K.MODEL_MISSING,
    "not_found": _K.MODEL_MISSING,
    "not_found_error": _K.MODEL_MISSING,
    "DeploymentNotFound": _K.MODEL_MISSING,
    "NOT_FOUND": _K.MODEL_MISSING,
    "not_supported_error": _K.UNSUPPORTED,
    "OperationNotSupported": _K.UNSUPPORTED,
    "data_residency_mismatch": _K.UNSUPPORTED,
    # the content
    "content_filter": _K.CONTENT_REFUSED,
    "content_policy_violation": _K.CONTENT_REFUSED,
    "image_content_policy_violation": _K.CONTENT_REFUSED,
    "bio_policy": _K.CONTENT_REFUSED,
    "misalignment_policy_violation": _K.CONTENT_REFUSED,
    "refusal": _K.CONTENT_REFUSED,
    "moderation_blocked": _K.CONTENT_REFUSED,
    "ResponsibleAIPolicyViolation": _K.CONTENT_REFUSED,
    # the pace
    "rate_limited": _K.RATE_LIMITED,
    "rate_limit_exceeded": _K.RATE_LIMITED,
    "rate_limit_error": _K.RATE_LIMITED,
    "too_many_requests": _K.RATE_LIMITED,
    "RateLimitReached": _K.RATE_LIMITED,
    "RESOURCE_EXHAUSTED": _K.RATE_LIMITED,
    "tokens": _K.RATE_LIMITED,
    "requests": _K.RATE_LIMITED,
    # the load
    "overloaded": _K.OVERLOADED,
    "overloaded_error": _K.OVERLOADED,
    "server_is_overloaded": _K.OVERLOADED,
    "engine_overloaded": _K.OVERLOADED,
    "provider_overloaded": _K.OVERLOADED,
    "capacity_exceeded": _K.OVERLOADED,
    "queue_exceeded": _K.OVERLOADED,
    "service_unavailable_error": _K.OVERLOADED,
    "unavailable_error": _K.OVERLOADED,
    "UNAVAILABLE": _K.OVERLOADED,
    # the provider, or the model's own mistake: its call or its JSON is not what the request asked for
    "server_error": _K.SERVER_ERROR,
    "internal_server_error": _K.SERVER_ERROR,
    "api_error": _K.SERVER_ERROR,
    "timeout_error": _K.SERVER_ERROR,
    "vector_store_timeout": _K.SERVER_ERROR,
    "provider_unavailable": _K.SERVER_ERROR,
    "server": _K.SERVER_ERROR,
    "timeout": _K.SERVER_ERROR,
    "INTERNAL": _K.SERVER_ERROR,
    "DEADLINE_EXCEEDED": _K.SERVER_ERROR,
    "tool_use_failed": _K.SERVER_ERROR,
    "json_validate_failed": _K.SERVER_ERROR,
    # the request
    "invalid_request_error": _K.INVALID_REQUEST,
    "invalid_request": _K.INVALID_REQUEST,
    "INVALID_ARGUMENT": _K.INVALID_REQUEST,
    # … and what a response, which OpenAI begins with a success, fails with
    "invalid_prompt": _K.INVALID_REQUEST,
    "invalid_image": _K.INVALID_REQUEST,
    "invalid_image_format": _K.INVALID_REQUEST,
    "invalid_base64_image": _K.INVALID_REQUEST,
    "invalid_image_url": _K.INVALID_REQUEST,
    "invalid_image_mode": _K.INVALID_REQUEST,
    "image_too_large": _K.INVALID_REQUEST,
    "image_too_small": _K.INVALID_REQUEST,
    "image_parse_error": _K.INVALID_REQUEST,
    "image_file_too_large": _K.INVALID_REQUEST,
    "image_file_not_found": _K.INVALID_REQUEST,
    "unsupported_image_media_type": _K.INVALID_REQUEST,
    "empty_image_file": _K.INVALID_REQUEST,
    "failed_to_download_image": _K.INVALID_REQUEST,
}
"""Codes, types and statuses of OpenAI and of those who speak like it. Exactly as they are written: these are no words."""

BY_STATUS: Mapping[int, FailureKind] = {
    400: _K.INVALID_REQUEST,
    401: _K.CREDENTIALS_REJECTED,
    402: _K.QUOTA_EXHAUSTED,
    403: _K.CREDENTIALS_REJECTED,
    404: _K.MODEL_MISSING,
    408: _K.SERVER_ERROR,
    409: _K.SERVER_ERROR,
    410: _K.MODEL_MISSING,
    412: _K.QUOTA_EXHAUSTED,
    413: _K.REQUEST_TOO_LARGE,
    422: _K.INVALID_REQUEST,
    425: _K.SERVER_ERROR,
    429: _K.RATE_LIMITED,
    451: _K.CONTENT_REFUSED,
    498: _K.RATE_LIMITED,
    499: _K.SERVER_ERROR,
    503: _K.OVERLOADED,
    529: _K.OVERLOADED,
}

_LONGEST_CODE = 100
"""A longer text is no code; it would only fill records, spans and messages."""

_REFINES: Mapping[FailureKind, frozenset[FailureKind]] = {
    # What a code may turn a status into; elsewhere the status has the last word.
    _K.INVALID_REQUEST: frozenset(
        {
            _K.CONTEXT_TOO_LONG,
            _K.CONTENT_REFUSED,
            _K.MODEL_MISSING,
            _K.CREDENTIALS_REJECTED,
            _K.QUOTA_EXHAUSTED,
            _K.REQUEST_TOO_LARGE,
            _K.SERVER_ERROR,
            _K.UNSUPPORTED,
        }
    ),
    _K.RATE_LIMITED: frozenset({_K.QUOTA_EXHAUSTED, _K.OVERLOADED}),
    _K.CREDENTIALS_REJECTED: frozenset(
        {_K.CONTENT_REFUSED, _K.MODEL_MISSING, _K.QUOTA_EXHAUSTED, _K.CONTEXT_TOO_LONG, _K.UNSUPPORTED}
    ),
    _K.REQUEST_TOO_LARGE: frozenset({_K.CONTEXT_TOO_LONG, _K.RATE_LIMITED}),
    _K.SERVER_ERROR: frozenset({_K.OVERLOADED, _K.RATE_LIMITED, _K.UNSUPPORTED}),
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
        retry_after=asked(kind, headers, error),
        body=body,
        content_type=headers.get("content-type", "application/json"),
    )


def asked(kind: FailureKind, headers: Mapping[str, str], error: Any) -> float | None:
    """Seconds that the provider asks to wait: by Retry-After, else, for a rate limit, by what says when it starts anew."""
    seconds = retry_after(headers)
    if seconds is not None or kind is not _K.RATE_LIMITED:
        return seconds
    delays = [span(delay) for delay in _details(error, "retryDelay")]
    told = [delay for delay in delays if delay is not None]
    if told:
        return max(told)
    return rate_reset({**headers, **_inner_headers(error)})


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
    """The fields that machines are meant to read, the most exact first."""
    if not isinstance(error, Mapping):
        return [error] if isinstance(error, str) and error in BY_CODE else []
    metadata = error.get("metadata")
    exact = metadata.get("error_type") if isinstance(metadata, Mapping) else None
    own = [error.get(name) for name in ("error_type", "code", "type", "status")]
    return [code for value in (exact, *_details(error, "reason"), *own) if (code := code_of(value))]


def code_of(value: Any) -> str:
    """`value` if it can be a code; empty: it is none."""
    return value if isinstance(value, str) and len(value) <= _LONGEST_CODE else ""


def _details(error: Any, name: str) -> list[str]:
    """A member of Google's error details, wherever it is there."""
    details = error.get("details") if isinstance(error, Mapping) else None
    rows = details if isinstance(details, list) else []
    return [value for row in rows if isinstance(row, Mapping) and isinstance(value := row.get(name), str)]


def _inner_headers(error: Any) -> dict[str, str]:
    """OpenRouter's copy of its rate limit's headers."""
    metadata = error.get("metadata") if isinstance(error, Mapping) else None
    headers = metadata.get("headers") if isinstance(metadata, Mapping) else None
    return {k.lower(): v for k, v in headers.items() if isinstance(v, str)} if isinstance(headers, Mapping) else {}


def _told(status: int, codes: list[str]) -> str:
    return f"the provider answered {status}" + (f" ({codes[0]})" if codes else "")
