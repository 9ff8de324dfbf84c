"""Our errors on the gRPC wire: one table, both directions.

A status carries exactly one google.rpc.ErrorInfo (AIP-193) with our reason and
fields; refused documents add a BadRequest, errors with a known end a RetryInfo.
"""

from __future__ import annotations

from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from services.core import errors
from services.core.errors import ChainFailed, Failure, FailureKind, PolicyRejected, Problem, RouterError, StoreConflict

DOMAIN = "turnout"

CODES: dict[type[RouterError], int] = {
    errors.InvalidRequest: code_pb2.INVALID_ARGUMENT,
    errors.RequestTooLarge: code_pb2.INVALID_ARGUMENT,
    errors.Unauthenticated: code_pb2.UNAUTHENTICATED,
    errors.PermissionDenied: code_pb2.PERMISSION_DENIED,
    errors.NotFound: code_pb2.NOT_FOUND,
    errors.AlreadyExists: code_pb2.ALREADY_EXISTS,
    errors.NoRoute: code_pb2.FAILED_PRECONDITION,
    errors.UnknownModel: code_pb2.NOT_FOUND,
    errors.NoProvider: code_pb2.NOT_FOUND,
    errors.KeyInUse: code_pb2.INVALID_ARGUMENT,
    errors.PolicyNotReady: code_pb2.UNAVAILABLE,
    errors.Overloaded: code_pb2.UNAVAILABLE,
    errors.RequestCancelled: code_pb2.CANCELLED,
    errors.PolicyRejected: code_pb2.INVALID_ARGUMENT,
    errors.InUse: code_pb2.FAILED_PRECONDITION,
    errors.StoreConflict: code_pb2.ABORTED,
    errors.StoreUnavailable: code_pb2.UNAVAILABLE,
}

_CODES_OF_STATUS = {
    400: code_pb2.INVALID_ARGUMENT,
    404: code_pb2.NOT_FOUND,
    413: code_pb2.INVALID_ARGUMENT,
    429: code_pb2.RESOURCE_EXHAUSTED,
    504: code_pb2.DEADLINE_EXCEEDED,
}
_BY_REASON = {kind.reason: kind for kind in CODES}


def code_of(error: RouterError) -> int:
    """The canonical code of `error`."""
    if isinstance(error, ChainFailed):
        return int(_CODES_OF_STATUS.get(error.status, code_pb2.UNAVAILABLE))
    return int(CODES.get(type(error), code_pb2.INTERNAL))


def to_status(error: RouterError) -> status_pb2.Status:
    """`error` as a google.rpc.Status with its details."""
    metadata = {k: v for k, v in error.fields.items() if v}
    metadata["http_status"] = str(error.status)
    if isinstance(error, ChainFailed):
        metadata["failure"] = error.failure.kind.value
    details: list[Any] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)]
    if isinstance(error, PolicyRejected):
        details.append(error_details_pb2.BadRequest(field_violations=[_violation(p) for p in error.problems]))
    if error.retry_after is not None:
        nanos = round(error.retry_after * 1e9)
        delay = Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    status = status_pb2.Status(code=code_of(error), message=error.message)
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def _violation(problem: Problem) -> error_details_pb2.BadRequest.FieldViolation:
    field = f"{problem.kind}/{problem.name}" + (f":{problem.field}" if problem.field else "")
    reason = "WARNING" if problem.warning else "ERROR"
    return error_details_pb2.BadRequest.FieldViolation(field=field, description=problem.message, reason=reason)


async def abort(context: Any, error: RouterError) -> NoReturn:
    """End a gRPC call with `error`; a chain that gave up asks clients not to retry by themselves."""
    if isinstance(error, ChainFailed):
        # Retries live in one place: ours have been made (gRPC A6, pushback).
        context.set_trailing_metadata((("grpc-retry-pushback-ms", "-1"),))
    await context.abort_with_status(rpc_status.to_status(to_status(error)))
    raise AssertionError("abort_with_status raises")


def from_rpc_error(error: grpc.RpcError) -> RouterError:
    """The error that a call failed with, rebuilt from its status; an unknown one keeps its words."""
    call: Any = error
    message = call.details() or call.code().name
    status = rpc_status.from_call(call)
    info = error_details_pb2.ErrorInfo()
    violations: list[Problem] = []
    retry_after: float | None = None
    for detail in status.details if status is not None else ():
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            detail.Unpack(info)
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest()
            detail.Unpack(bad)
            violations = [_problem(v) for v in bad.field_violations]
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry = error_details_pb2.RetryInfo()
            detail.Unpack(retry)
            retry_after = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    rebuilt = _rebuild(call.code(), info, message, violations)
    rebuilt.retry_after = retry_after if retry_after is not None else rebuilt.retry_after
    return rebuilt


def _rebuild(
    code: grpc.StatusCode, info: error_details_pb2.ErrorInfo, message: str, violations: list[Problem]
) -> RouterError:
    fields = {k: v for k, v in info.metadata.items() if k != "http_status"}
    if info.reason == PolicyRejected.reason:
        return PolicyRejected(violations)
    if info.reason == StoreConflict.reason:
        return StoreConflict(message, current_revision=int(fields.get("current_revision", "0")))
    if info.reason == ChainFailed.reason:
        failure = Failure(_failure_kind(fields.pop("failure", "")), message)
        status = int(info.metadata.get("http_status", "502"))
        return ChainFailed(message, failure=failure, status=status, fields=fields)
    kind = _BY_REASON.get(info.reason)
    if kind is errors.InvalidRequest or kind is errors.RequestTooLarge:
        return kind(message, param=fields.get("param", ""))
    if kind is not None:
        return kind(message, fields=fields)
    if code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
        return errors.Overloaded(message, retry_after=1.0)
    if code is grpc.StatusCode.UNKNOWN and not info.reason:
        # A fault of the service itself; its words may hold what the caller or a provider said.
        return RouterError("the service failed; its log says how")
    return RouterError(message)


def _failure_kind(word: str) -> FailureKind:
    """The kind that `word` names; a worker of a newer release may name one that we do not have."""
    return FailureKind(word) if word in FailureKind.__members__ else FailureKind.SERVER_ERROR


def _problem(violation: error_details_pb2.BadRequest.FieldViolation) -> Problem:
    where, _, field = violation.field.partition(":")
    kind, _, name = where.partition("/")
    return Problem(kind, name, field, violation.description, warning=violation.reason == "WARNING")
