"""Errors in Google's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.errors import ChainFailed, InvalidRequest, RouterError
from services.dataplane.providers.openai_errors import error_object
from services.dataplane.translation import CALLERS_FAULT, Evidence
from services.wire.google_words import google_error


def error_body(error: RouterError, evidence: Evidence | None) -> bytes:
    """The body of an error response: the provider's own, where it is Google's and the caller can act on it, else ours."""
    if isinstance(error, ChainFailed) and error.failure.kind in CALLERS_FAULT and _is_googles(error.failure.body):
        return error.failure.body
    return msgspec.json.encode(error_form(error, evidence))


def error_form(error: RouterError, evidence: Evidence | None) -> dict[str, Any]:
    """Our own error, as a body or as the last chunk of a stream; Google's SDKs look for `error` as its first member."""
    reason, message = error.reason, error.message
    field = error.param if isinstance(error, InvalidRequest) else ""
    if isinstance(error, ChainFailed):
        reason = error.failure.kind.value
        message = their_words(error) or message
    told = google_error(error.status, message, reason=reason, field=field or "", retry_after=error.retry_after)
    form: dict[str, Any] = {"error": told}
    if evidence is not None:
        form["metadata"] = evidence.metadata
    return form


def their_words(error: ChainFailed) -> str:
    """What a provider of another protocol told the caller; empty: nothing that is the caller's to read."""
    if error.failure.kind not in CALLERS_FAULT:
        return ""
    theirs = error_object(error.failure.body)
    message = theirs.get("message") if isinstance(theirs, Mapping) else None
    return message if isinstance(message, str) else ""


def _is_googles(body: bytes) -> bool:
    """Whether a body is an error of Google's, one object of it."""
    if body.lstrip()[:1] != b"{":
        return False
    error = error_object(body)
    return isinstance(error, Mapping) and isinstance(error.get("code"), int) and isinstance(error.get("status"), str)
