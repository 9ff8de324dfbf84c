"""Bedrock's errors: by the name of the exception, which a header or the body gives, else by status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.errors import Failure, FailureKind
from services.dataplane.providers.openai_errors import BY_STATUS, asked, code_of, error_object
from services.dataplane.providers.wordings import kind_told

_K = FailureKind

BY_NAME: Mapping[str, FailureKind] = {
    "AccessDeniedException": _K.CREDENTIALS_REJECTED,
    "UnrecognizedClientException": _K.CREDENTIALS_REJECTED,
    "InvalidSignatureException": _K.CREDENTIALS_REJECTED,
    "SignatureDoesNotMatch": _K.CREDENTIALS_REJECTED,
    "IncompleteSignatureException": _K.CREDENTIALS_REJECTED,
    "IncompleteSignature": _K.CREDENTIALS_REJECTED,
    "MissingAuthenticationTokenException": _K.CREDENTIALS_REJECTED,
    "MissingAuthenticationToken": _K.CREDENTIALS_REJECTED,
    "ExpiredTokenException": _K.CREDENTIALS_REJECTED,
    "ExpiredToken": _K.CREDENTIALS_REJECTED,
    "RequestExpired": _K.CREDENTIALS_REJECTED,
    "InvalidClientTokenId": _K.CREDENTIALS_REJECTED,
    "OptInRequired": _K.CREDENTIALS_REJECTED,
    "NotAuthorized": _K.CREDENTIALS_REJECTED,
    "ServiceQuotaExceededException": _K.QUOTA_EXHAUSTED,
    # A day's tokens are a limit too, but one of a single model: the account's others still answer.
    "ThrottlingException": _K.RATE_LIMITED,
    "TooManyRequestsException": _K.RATE_LIMITED,
    # An imported model that is being loaded.
    "ModelNotReadyException": _K.OVERLOADED,
    "ServiceUnavailableException": _K.OVERLOADED,
    "ServiceUnavailable": _K.OVERLOADED,
    "ModelTimeoutException": _K.SERVER_ERROR,
    "ModelErrorException": _K.SERVER_ERROR,
    "ModelStreamErrorException": _K.SERVER_ERROR,
    "InternalServerException": _K.SERVER_ERROR,
    "InternalFailure": _K.SERVER_ERROR,
    "ConflictException": _K.SERVER_ERROR,
    "ResourceNotFoundException": _K.MODEL_MISSING,
    "UnknownOperationException": _K.MODEL_MISSING,
    "RequestEntityTooLargeException": _K.REQUEST_TOO_LARGE,
    "ValidationException": _K.INVALID_REQUEST,
    "ValidationError": _K.INVALID_REQUEST,
    "SerializationException": _K.INVALID_REQUEST,
}
"""Exceptions of Converse, and those that all of Amazon's services have."""

_CALLERS = {_K.INVALID_REQUEST, _K.REQUEST_TOO_LARGE}
"""Kinds that a name gives only where the status does not say otherwise."""

_FINER: Mapping[FailureKind, frozenset[FailureKind]] = {
    _K.INVALID_REQUEST: frozenset({_K.CONTEXT_TOO_LONG, _K.MODEL_MISSING, _K.UNSUPPORTED}),
    _K.CREDENTIALS_REJECTED: frozenset({_K.MODEL_MISSING}),
}
"""What a known sentence may turn a kind into whose name says no more than "invalid" or "denied"."""

_MODELS_OWN = "The model returned the following errors: "
"""What Bedrock puts before a vendor's own words."""


def classify(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """The failure that an answer with an error status means."""
    if 300 <= status < 400:
        return Failure(_K.BAD_RESPONSE, f"the provider answered with a redirect ({status})", status=status)
    error = error_object(body)
    name = _name(headers.get("x-amzn-errortype") or (error.get("__type") if isinstance(error, Mapping) else None))
    default = _K.SERVER_ERROR if status >= 500 or status < 400 or status == 424 else _K.INVALID_REQUEST
    by_status = BY_STATUS.get(status, default)
    kind = BY_NAME.get(name, by_status)
    kind = _finer(by_status if kind in _CALLERS else kind, error)
    return Failure(
        kind,
        f"the provider answered {status}" + (f" ({name})" if name else ""),
        status=status,
        code=name,
        retry_after=asked(kind, headers, error),
        body=body,
        content_type=headers.get("content-type", "application/json"),
    )


def in_stream(name: str, payload: bytes) -> Failure:
    """The failure that an exception inside a stream means; its name begins with a small letter there."""
    name = _name(name[:1].upper() + name[1:])
    try:
        error = msgspec.json.decode(payload or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        error = None
    kind = _finer(BY_NAME.get(name, _K.STREAM_ERROR), error)
    if name == "ModelStreamErrorException":
        original = error.get("originalStatusCode") if isinstance(error, Mapping) else None
        known = BY_STATUS.get(original) if isinstance(original, int) else None
        kind = known if known in {_K.RATE_LIMITED, _K.OVERLOADED} else kind
    told = f"the provider reported an error inside a success ({name or 'no type'})"
    return Failure(kind, told, code=name)


def _finer(kind: FailureKind, error: Any) -> FailureKind:
    if kind not in _FINER or not isinstance(error, Mapping):
        return kind
    message = error.get("message") or error.get("Message")
    found = kind_told(message.removeprefix(_MODELS_OWN)) if isinstance(message, str) else None
    return found if found in _FINER[kind] else kind


def _name(told: Any) -> str:
    """The name of an exception, without the namespace before it and the address behind it."""
    return code_of(told.split(":")[0].rpartition("#")[2]) if isinstance(told, str) else ""
