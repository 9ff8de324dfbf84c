"""What can go wrong: one tree for our failures, one enum for upstream failures.

    RouterError                 abstract; `reason` in UPPER_SNAKE, `fields` for machines
     ├ InvalidRequest           the caller's request is at fault (400)
     ├ RequestTooLarge          the request's body exceeds the limit (413)
     ├ Unauthenticated          no key, or an unknown one (401)
     ├ PermissionDenied         the key lacks a scope (403)
     ├ NotFound                 the named thing does not exist (404)
     ├ AlreadyExists            the name is taken (409)
     ├ NoRoute                  the router has no route for this request (400)
     ├ UnknownModel             nothing serves the named model (404)
     ├ NoProvider               what serves it is all ruled out: by preferences, limits, capabilities (404)
     ├ KeyInUse                 the Idempotency-Key is in use for another request (422)
     ├ PolicyNotReady           the worker has no snapshot yet (503)
     ├ Overloaded               nothing can take the request now, such as no worker in reach (503)
     ├ ChainFailed              every allowed attempt failed (status of the last failure)
     ├ RequestCancelled         the caller went away (499, log only)
     ├ PolicyRejected           documents have problems (400); `.problems`
     ├ InUse                    others refer to the document to be deleted (409, FAILED_PRECONDITION)
     ├ StoreConflict            somebody else wrote first (409, ABORTED); `.current_revision`
     └ StoreUnavailable         the policy store cannot be reached (503)

Raised at the level that knows and turned into a wire status once, at the edge
(`wire/status.py` for gRPC, the inbound dialect for HTTP).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class FailureKind(StrEnum):
    """Why an attempt failed. `core/attempts/verdicts.py` says what each one leads to."""

    CONNECT_FAILED = "CONNECT_FAILED"
    """No connection: refused, DNS, unreachable, reset while connecting."""
    TLS_FAILED = "TLS_FAILED"
    """The provider's certificate was not accepted."""
    CONNECT_TIMEOUT = "CONNECT_TIMEOUT"
    HEADERS_TIMEOUT = "HEADERS_TIMEOUT"
    FIRST_EVENT_TIMEOUT = "FIRST_EVENT_TIMEOUT"
    FIRST_CONTENT_TIMEOUT = "FIRST_CONTENT_TIMEOUT"
    IDLE_TIMEOUT = "IDLE_TIMEOUT"
    TOTAL_TIMEOUT = "TOTAL_TIMEOUT"
    DISCONNECTED = "DISCONNECTED"
    """The connection broke after the request was sent and before the answer's end."""
    RATE_LIMITED = "RATE_LIMITED"
    OVERLOADED = "OVERLOADED"
    """The provider says it is overloaded (503, 529, or such a code in a stream)."""
    SERVER_ERROR = "SERVER_ERROR"
    """Any other 5xx, and every status we do not know."""
    BAD_RESPONSE = "BAD_RESPONSE"
    """A success status with a body that is not the protocol: not JSON, redirect, encoded, too large."""
    STREAM_TRUNCATED = "STREAM_TRUNCATED"
    """The stream ended without its terminal event."""
    STREAM_ERROR = "STREAM_ERROR"
    """The provider sent an error event of an unknown class inside the stream."""
    EMPTY_ANSWER = "EMPTY_ANSWER"
    """A success status that holds no content, no tool call and no reason for it."""
    CREDENTIALS_REJECTED = "CREDENTIALS_REJECTED"
    """401 or 403: it is our key, not the caller's."""
    QUOTA_EXHAUSTED = "QUOTA_EXHAUSTED"
    """402, or a 429 whose code says the account is out of money."""
    CREDENTIAL_MISSING = "CREDENTIAL_MISSING"
    """The credential reference names nothing on this machine. No request was sent."""
    MODEL_MISSING = "MODEL_MISSING"
    """The provider does not know the model."""
    VOICE_MISSING = "VOICE_MISSING"
    """The provider does not have the voice that is to speak."""
    UNSUPPORTED = "UNSUPPORTED"
    """This provider cannot take this request (a field that has no translation). No request was sent."""
    INVALID_REQUEST = "INVALID_REQUEST"
    CONTEXT_TOO_LONG = "CONTEXT_TOO_LONG"
    REQUEST_TOO_LARGE = "REQUEST_TOO_LARGE"
    THROUGHPUT_TOO_LOW = "THROUGHPUT_TOO_LOW"
    """The stream moves, but slower than policy allows."""
    DIVERGED = "DIVERGED"
    """A second answer that was to resume a broken one says something else."""
    CONTENT_REFUSED = "CONTENT_REFUSED"
    """The provider's policy refused the content."""


class Clock(StrEnum):
    """Which clock tripped. The six of an attempt, its throughput floor, and the request's own deadline."""

    CONNECT = "connect"
    HEADERS = "headers"
    FIRST_EVENT = "first_event"
    FIRST_CONTENT = "first_content"
    IDLE = "idle"
    TOTAL = "total"
    THROUGHPUT = "throughput"
    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt, as the provider or the transport reported it.

    Attributes:
        kind: What class of failure it is.
        message: One sentence for people; never a body, a prompt or a key.
        status: HTTP status of the provider; 0: none came.
        code: Error code or type of the provider; empty: none.
        retry_after: Seconds that the provider asked to wait; None: it did not ask.
        clock: The clock that tripped; None: none did.
        body: The provider's error body, for the caller's dialect to tell what the caller can act on; never logged.
        content_type: Media type of `body`.
    """

    kind: FailureKind
    message: str
    status: int = 0
    code: str = ""
    retry_after: float | None = None
    clock: Clock | None = None
    body: bytes = b""
    content_type: str = ""


_TIMEOUTS = {
    Clock.CONNECT: FailureKind.CONNECT_TIMEOUT,
    Clock.HEADERS: FailureKind.HEADERS_TIMEOUT,
    Clock.FIRST_EVENT: FailureKind.FIRST_EVENT_TIMEOUT,
    Clock.FIRST_CONTENT: FailureKind.FIRST_CONTENT_TIMEOUT,
    Clock.IDLE: FailureKind.IDLE_TIMEOUT,
    Clock.TOTAL: FailureKind.TOTAL_TIMEOUT,
    Clock.DEADLINE: FailureKind.TOTAL_TIMEOUT,
}


def timeout_failure(clock: Clock, seconds: float) -> Failure:
    """The failure of a clock that tripped after `seconds`."""
    return Failure(_TIMEOUTS[clock], f"the {clock.value} clock tripped after {seconds:.3g} s", clock=clock)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a policy document.

    Attributes:
        kind: Kind of the document, such as "Router".
        name: Name of the document.
        field: Path within the document, such as "routes[0].route.variants"; empty: all of it.
        message: What is wrong, and what would be right.
        warning: True: reported, no reason to refuse.
    """

    kind: str
    name: str
    field: str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        document = f"{self.kind}/{self.name}" if self.kind else self.name
        where = " ".join(part for part in (document, self.field) if part)
        return f"{where}: {self.message}" if where else self.message


class RouterError(Exception):
    """Base of all our failures. Raise a leaf.

    Attributes:
        reason: UPPER_SNAKE word for machines, stable over releases.
        status: HTTP status that callers see.
        message: One sentence for people.
        fields: What the message names, for machines.
        retry_after: Seconds after which a new request may succeed; None: unknown.
    """

    reason: ClassVar[str] = "INTERNAL"
    http_status: ClassVar[int] = 500

    def __init__(
        self, message: str, *, retry_after: float | None = None, fields: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.fields: dict[str, str] = dict(fields or {})
        self.retry_after = retry_after

    @property
    def status(self) -> int:
        return self.http_status


class InvalidRequest(RouterError):
    """The caller's request is at fault. `param` names the field."""

    reason = "INVALID_REQUEST"
    http_status = 400

    def __init__(self, message: str, *, param: str = "") -> None:
        super().__init__(message)
        self.param = param
        if param:
            self.fields["param"] = param


class RequestTooLarge(InvalidRequest):
    reason = "REQUEST_TOO_LARGE"
    http_status = 413


class Unauthenticated(RouterError):
    reason = "UNAUTHENTICATED"
    http_status = 401


class PermissionDenied(RouterError):
    reason = "PERMISSION_DENIED"
    http_status = 403


class NotFound(RouterError):
    reason = "NOT_FOUND"
    http_status = 404


class AlreadyExists(RouterError):
    reason = "ALREADY_EXISTS"
    http_status = 409


class NoRoute(RouterError):
    """The router has no route for this request."""

    reason = "NO_ROUTE"
    http_status = 400


class UnknownModel(RouterError):
    """Nothing in the policy serves the named model."""

    reason = "UNKNOWN_MODEL"
    http_status = 404


class NoProvider(RouterError):
    """The request rules out everything that serves the model."""

    reason = "NO_PROVIDER"
    http_status = 404


class KeyInUse(RouterError):
    """The Idempotency-Key is in use for another request that still runs."""

    reason = "IDEMPOTENCY_KEY_IN_USE"
    http_status = 422


class PolicyNotReady(RouterError):
    reason = "POLICY_NOT_READY"
    http_status = 503


class Overloaded(RouterError):
    reason = "OVERLOADED"
    http_status = 503


class RequestCancelled(RouterError):
    reason = "CANCELLED"
    http_status = 499


class ChainFailed(RouterError):
    """Every allowed attempt failed; `failure` is the one to show."""

    reason = "CHAIN_FAILED"

    def __init__(self, message: str, *, failure: Failure, status: int, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message, retry_after=failure.retry_after, fields=fields)
        self.failure = failure
        self._status = status

    @property
    def status(self) -> int:
        return self._status


class PolicyRejected(RouterError):
    """Documents have problems; all of them are listed."""

    reason = "POLICY_REJECTED"
    http_status = 400

    def __init__(self, problems: Sequence[Problem]) -> None:
        errors = [p for p in problems if not p.warning]
        super().__init__("; ".join(str(p) for p in errors) or "the policy was refused")
        self.problems = tuple(problems)


class InUse(RouterError):
    """A document cannot be deleted while others refer to it."""

    reason = "IN_USE"
    http_status = 409


class StoreConflict(RouterError):
    """Somebody else wrote first."""

    reason = "STORE_CONFLICT"
    http_status = 409

    def __init__(self, message: str, *, current_revision: int) -> None:
        super().__init__(message, fields={"current_revision": str(current_revision)})
        self.current_revision = current_revision


class StoreUnavailable(RouterError):
    reason = "STORE_UNAVAILABLE"
    http_status = 503
