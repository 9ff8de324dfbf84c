"""Anthropic's errors: by status and `error.type`; by words only where `wordings` knows the whole sentence.

A prompt that exceeds the context window is an ordinary invalid_request_error
there, unless `error.details.error_code` says more, or, at OpenRouter, `error.error_type`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.errors import Failure, FailureKind
from services.dataplane.providers.openai_errors import BY_CODE, BY_STATUS, asked, code_of, error_object
from services.dataplane.providers.wordings import kind_told

_K = FailureKind

BY_TYPE: Mapping[str, FailureKind] = {
    "invalid_request_error": _K.INVALID_REQUEST,
    "authentication_error": _K.CREDENTIALS_REJECTED,
    "permission_error": _K.CREDENTIALS_REJECTED,
    "billing_error": _K.QUOTA_EXHAUSTED,
    "not_found_error": _K.MODEL_MISSING,
    "request_too_large": _K.REQUEST_TOO_LARGE,
    "rate_limit_error": _K.RATE_LIMITED,
    "timeout_error": _K.SERVER_ERROR,
    "api_error": _K.SERVER_ERROR,
    "overloaded_error": _K.OVERLOADED,
    # llama.cpp's server speaks this protocol too
    "exceed_context_size_error": _K.CONTEXT_TOO_LONG,
}

_CONTEXT_CODES = {"context_window_exceeded", "prompt_too_long", "context_length_exceeded"}


def classify(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """The failure that an answer with an error status means."""
    error = error_object(body)
    kind_word, code = _words(error)
    if 300 <= status < 400:
        return Failure(_K.BAD_RESPONSE, f"the provider answered with a redirect ({status})", status=status)
    kind = BY_STATUS.get(status, _K.SERVER_ERROR if status >= 500 or status < 400 else _K.INVALID_REQUEST)
    if kind is _K.INVALID_REQUEST:
        refined = BY_CODE.get(code) or BY_TYPE.get(kind_word, kind)
        kind = _K.CONTEXT_TOO_LONG if code in _CONTEXT_CODES else refined
        if kind is _K.INVALID_REQUEST:
            kind = kind_told(error) or kind
    elif kind is _K.SERVER_ERROR and BY_TYPE.get(kind_word) is _K.OVERLOADED:
        kind = _K.OVERLOADED
    elif kind is _K.CREDENTIALS_REJECTED:
        finer = (BY_CODE.get(code), BY_TYPE.get(kind_word))
        kind = next((each for each in finer if each in {_K.CONTENT_REFUSED, _K.QUOTA_EXHAUSTED}), kind)
    return Failure(
        kind,
        f"the provider answered {status}" + (f" ({kind_word})" if kind_word else ""),
        status=status,
        code=code or kind_word,
        retry_after=asked(kind, headers, error),
        body=body,
        content_type=headers.get("content-type", "application/json"),
    )


def in_stream(error: Any) -> Failure:
    """The failure that an error event means."""
    kind_word, code = _words(error)
    kind = BY_TYPE.get(kind_word, _K.STREAM_ERROR)
    if kind in {_K.INVALID_REQUEST, _K.STREAM_ERROR}:
        kind = _K.CONTEXT_TOO_LONG if code in _CONTEXT_CODES else BY_CODE.get(code, kind)
    told = f"the provider reported an error inside the stream ({kind_word or 'no type'})"
    return Failure(kind, told, code=code or kind_word)


def _words(error: Any) -> tuple[str, str]:
    """(`type`, `details.error_code` or `error_type`) of an error object; the second is the more exact one."""
    if not isinstance(error, Mapping):
        return "", ""
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, Mapping) else error.get("error_type")
    return code_of(error.get("type")), code_of(code)
