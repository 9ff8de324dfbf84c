"""The disposition table: what follows from each kind of failure.

Rules
1. The table is total over `FailureKind`; a test proves it, and docs/errors.md is rendered from it.
2. A kind is decided in the provider's codec, never here: by status and code fields, and by whole sentences
   only where a provider gives no code (ADR 0005).
3. The verdicts are for failures before the commit; `mend.py` says what follows one after it.
4. The caller never sees an upstream 401, 402 or 403 as its own: that is our key, so it is 502.
5. A failure of our own making (no credential, no translation) never counts against a target.

Related: `chain.py` applies the table; `breaker.py` books what it says about health.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from services.core.errors import Failure, FailureKind


class Verdict(StrEnum):
    """What to do after a failure before the commit."""

    NEXT = "next"
    """The next target; when there is none, the chain fails."""
    NEXT_OR_RETRY = "next_or_retry"
    """The next target; the last one may be retried after a backoff."""
    WAIT_OR_NEXT = "wait_or_next"
    """If the provider asked for a short wait, the same target after it; else the next one."""
    LARGER = "larger"
    """The next target with a larger context window; when there is none, the chain stops."""
    STOP = "stop"
    """No target will do better."""


class Harm(StrEnum):
    """What a failure says about the health of what was tried."""

    NOTHING = "nothing"
    TARGET = "target"
    """One failure in the target's account."""
    PUSHBACK = "pushback"
    """The target is benched for as long as it asked; not a failure by itself."""
    CREDENTIAL = "credential"
    """The credential is benched."""


@dataclass(frozen=True, slots=True)
class Disposition:
    """One row of the table.

    Attributes:
        status: HTTP status that the caller sees when this failure ends the chain.
        meaning: One sentence for people.
    """

    verdict: Verdict
    harm: Harm
    status: int
    meaning: str


_NEXT, _RETRY, _WAIT = Verdict.NEXT, Verdict.NEXT_OR_RETRY, Verdict.WAIT_OR_NEXT
_K = FailureKind

TABLE: Mapping[FailureKind, Disposition] = {
    _K.CONNECT_FAILED: Disposition(_RETRY, Harm.TARGET, 503, "No connection to the provider."),
    _K.TLS_FAILED: Disposition(_NEXT, Harm.TARGET, 502, "The provider's certificate was not accepted."),
    _K.CONNECT_TIMEOUT: Disposition(_NEXT, Harm.TARGET, 504, "The connection did not stand in time."),
    _K.HEADERS_TIMEOUT: Disposition(_NEXT, Harm.TARGET, 504, "The provider did not answer in time."),
    _K.FIRST_EVENT_TIMEOUT: Disposition(_NEXT, Harm.TARGET, 504, "No event of the stream came in time."),
    _K.FIRST_CONTENT_TIMEOUT: Disposition(_NEXT, Harm.TARGET, 504, "No content of the stream came in time."),
    _K.IDLE_TIMEOUT: Disposition(_NEXT, Harm.TARGET, 504, "The stream stopped moving."),
    _K.TOTAL_TIMEOUT: Disposition(_NEXT, Harm.TARGET, 504, "The attempt took too long as a whole."),
    _K.DISCONNECTED: Disposition(_RETRY, Harm.TARGET, 502, "The connection broke before the answer's end."),
    _K.RATE_LIMITED: Disposition(_WAIT, Harm.PUSHBACK, 429, "The provider limits our rate."),
    _K.OVERLOADED: Disposition(_WAIT, Harm.TARGET, 503, "The provider says that it is overloaded."),
    _K.SERVER_ERROR: Disposition(_RETRY, Harm.TARGET, 502, "The provider failed."),
    _K.BAD_RESPONSE: Disposition(_NEXT, Harm.TARGET, 502, "The provider's answer is not its protocol."),
    _K.STREAM_TRUNCATED: Disposition(_NEXT, Harm.TARGET, 502, "The stream ended without its terminal event."),
    _K.STREAM_ERROR: Disposition(_NEXT, Harm.TARGET, 502, "The provider reported an error inside the stream."),
    _K.EMPTY_ANSWER: Disposition(_NEXT, Harm.TARGET, 502, "The answer holds nothing, and no reason for it."),
    _K.THROUGHPUT_TOO_LOW: Disposition(_NEXT, Harm.TARGET, 504, "The stream moves slower than policy allows."),
    _K.DIVERGED: Disposition(_NEXT, Harm.NOTHING, 502, "A second answer did not repeat what the caller has."),
    _K.CREDENTIALS_REJECTED: Disposition(_NEXT, Harm.CREDENTIAL, 502, "The provider rejected our credential."),
    _K.QUOTA_EXHAUSTED: Disposition(_NEXT, Harm.CREDENTIAL, 502, "Our account at the provider is exhausted."),
    _K.CREDENTIAL_MISSING: Disposition(_NEXT, Harm.NOTHING, 503, "The credential names nothing on this worker."),
    _K.MODEL_MISSING: Disposition(_NEXT, Harm.NOTHING, 404, "The provider does not know the model."),
    _K.VOICE_MISSING: Disposition(_NEXT, Harm.NOTHING, 400, "The provider does not have the voice."),
    _K.UNSUPPORTED: Disposition(_NEXT, Harm.NOTHING, 400, "The request has no translation for this provider."),
    _K.INVALID_REQUEST: Disposition(Verdict.STOP, Harm.NOTHING, 400, "The provider says the request is invalid."),
    _K.CONTEXT_TOO_LONG: Disposition(Verdict.LARGER, Harm.NOTHING, 400, "The request exceeds the context window."),
    _K.REQUEST_TOO_LARGE: Disposition(Verdict.STOP, Harm.NOTHING, 413, "The request's body is too large."),
    _K.CONTENT_REFUSED: Disposition(Verdict.STOP, Harm.NOTHING, 400, "The provider refuses the content."),
}

_SHOWN_FIRST = (
    FailureKind.INVALID_REQUEST,
    FailureKind.REQUEST_TOO_LARGE,
    FailureKind.CONTENT_REFUSED,
    FailureKind.CONTEXT_TOO_LONG,
)
"""What the caller can mend comes before what it cannot."""

_CREDENTIAL_KINDS = (FailureKind.CREDENTIALS_REJECTED, FailureKind.QUOTA_EXHAUSTED, FailureKind.RATE_LIMITED)

_OVERLOAD_KINDS = (
    FailureKind.RATE_LIMITED,
    FailureKind.OVERLOADED,
    FailureKind.HEADERS_TIMEOUT,
    FailureKind.FIRST_EVENT_TIMEOUT,
    FailureKind.FIRST_CONTENT_TIMEOUT,
)


def disposition(failure: Failure) -> Disposition:
    """The row of `failure`."""
    return TABLE[failure.kind]


def other_credential_may_help(failure: Failure) -> bool:
    """Whether the same target is worth trying with another credential of its pool."""
    return failure.kind in _CREDENTIAL_KINDS or failure.kind is FailureKind.CREDENTIAL_MISSING


def other_address_may_help(failure: Failure) -> bool:
    """Whether the same model is worth trying at another address of its provider."""
    return TABLE[failure.kind].harm in {Harm.TARGET, Harm.PUSHBACK}


def is_overload(failure: Failure) -> bool:
    """Whether the failure says that the target has too much to do."""
    return failure.kind in _OVERLOAD_KINDS


def caller_status(failure: Failure) -> int:
    """HTTP status that the caller sees when `failure` ends the chain.

    A request that the provider calls invalid keeps the provider's own 4xx (such as 422).
    """
    row = TABLE[failure.kind]
    if failure.kind is FailureKind.INVALID_REQUEST and failure.status in {400, 404, 405, 409, 413, 415, 422}:
        return failure.status
    return row.status


def most_telling(failures: tuple[Failure, ...]) -> Failure:
    """The failure to show when all of `failures` (never empty) ended a chain.

    What the caller can mend comes first. A rate limit is shown only if it is all there was: with
    the soonest Retry-After. Else the last failure that is not of our own making.
    """
    for kind in _SHOWN_FIRST:
        for failure in failures:
            if failure.kind is kind:
                return failure
    real = tuple(f for f in failures if TABLE[f.kind].harm is not Harm.NOTHING) or failures
    if all(f.kind is FailureKind.RATE_LIMITED for f in real):
        asked = [f for f in real if f.retry_after is not None]
        return min(asked, key=lambda f: f.retry_after or 0.0) if asked else real[-1]
    others = [f for f in real if f.kind is not FailureKind.RATE_LIMITED]
    return others[-1]
