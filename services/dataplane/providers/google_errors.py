"""Google's errors: by HTTP status, `error.status` and the `reason` of its details; by words only where `wordings`
knows the whole sentence.

The body is `google.rpc.Status` in JSON, in a list of one where a stream was asked for without `alt=sse`. The
details of a rate limit say in `RetryInfo` how long to wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.errors import Failure, FailureKind
from services.dataplane.providers import openai_errors
from services.dataplane.providers.google_wire import WireFeedback, block_of

_K = FailureKind


def classify(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """The failure that an answer with an error status means."""
    return openai_errors.classify(status, headers, body)


def in_stream(error: Any) -> Failure:
    """The failure that an error inside a stream, or inside a 200, means; `error` is the object itself."""
    return openai_errors.in_stream(error)


def blocked(feedback: WireFeedback | None) -> Failure | None:
    """The refusal of a prompt; None: it was not refused."""
    reason = block_of(feedback)
    if not reason:
        return None
    return Failure(_K.CONTENT_REFUSED, f"the provider blocked the prompt ({reason})", code=reason)


def failed(word: str) -> Failure:
    """The failure that a finish reason means which is one of `FAILED_REASONS`."""
    kind = _K.UNSUPPORTED if word == "MISSING_THOUGHT_SIGNATURE" else _K.SERVER_ERROR
    return Failure(kind, f"the model failed to answer ({word})", code=word)
