"""Our errors over the gRPC wire: every one arrives as what it was."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from services.core import errors
from services.core.errors import ChainFailed, Failure, FailureKind, PolicyRejected, Problem, RouterError, StoreConflict
from services.wire.status import CODES, DOMAIN, abort, code_of, from_rpc_error, to_status

GRPC_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Call(grpc.RpcError):
    """A failed call, as a client sees it."""

    def __init__(self, code: grpc.StatusCode, details: str | None, trailing: Any = ()) -> None:
        super().__init__()
        self._told = (code, details, trailing)

    def code(self) -> grpc.StatusCode:
        return self._told[0]

    def details(self) -> str | None:
        return self._told[1]

    def trailing_metadata(self) -> Any:
        return self._told[2]


def over_the_wire(error: RouterError) -> RouterError:
    status = rpc_status.to_status(to_status(error))
    return from_rpc_error(Call(status.code, status.details, status.trailing_metadata))


def leaves(kind: type[RouterError] = RouterError) -> list[type[RouterError]]:
    return [leaf for sub in kind.__subclasses__() for leaf in (sub, *leaves(sub))]


def made(kind: type[RouterError]) -> RouterError:
    if kind is ChainFailed:
        failure = Failure(FailureKind.RATE_LIMITED, "the provider answered 429", status=429, retry_after=1.5)
        return ChainFailed("all 2 attempts failed", failure=failure, status=429, fields={"attempts": "2"})
    if kind is PolicyRejected:
        return PolicyRejected(
            [Problem("Router", "r", "routes[0]", "is bad"), Problem("Alias", "a", "", "is odd", warning=True)]
        )
    if kind is StoreConflict:
        return StoreConflict("somebody else wrote", current_revision=7)
    if issubclass(kind, errors.InvalidRequest):
        return kind("`model` is missing", param="model")
    return kind("it happened", retry_after=2.25, fields={"name": "x"})


def test_every_error_has_a_code_of_its_own_choice() -> None:
    # A chain's code follows its status.
    assert set(CODES) == set(leaves()) - {ChainFailed}
    assert len({kind.reason for kind in leaves()}) == len(leaves())


@pytest.mark.parametrize("kind", leaves(), ids=lambda kind: kind.__name__)
def test_an_error_arrives_as_what_it_was(kind: type[RouterError]) -> None:
    error = made(kind)
    arrived = over_the_wire(error)
    assert type(arrived) is kind
    assert arrived.message == error.message
    assert arrived.status == error.status
    assert arrived.retry_after == error.retry_after
    for name in ("param", "current_revision", "problems"):
        assert getattr(arrived, name, None) == getattr(error, name, None)
    if not isinstance(error, PolicyRejected):
        assert {k: v for k, v in arrived.fields.items() if k in error.fields} == error.fields


@pytest.mark.parametrize("kind", leaves(), ids=lambda kind: kind.__name__)
def test_a_status_carries_exactly_one_error_info_with_our_domain(kind: type[RouterError]) -> None:
    error = made(kind)
    infos = [d for d in to_status(error).details if d.Is(error_details_pb2.ErrorInfo.DESCRIPTOR)]
    assert len(infos) == 1
    info = error_details_pb2.ErrorInfo()
    infos[0].Unpack(info)
    assert (info.domain, info.reason) == (DOMAIN, error.reason)
    assert info.metadata["http_status"] == str(error.status)


@pytest.mark.parametrize("kind", FailureKind)
def test_a_failed_chain_keeps_its_failure_kind(kind: FailureKind) -> None:
    arrived = over_the_wire(ChainFailed("no", failure=Failure(kind, "no"), status=502))
    assert isinstance(arrived, ChainFailed)
    assert arrived.failure.kind is kind


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, grpc.StatusCode.INVALID_ARGUMENT),
        (404, grpc.StatusCode.NOT_FOUND),
        (413, grpc.StatusCode.INVALID_ARGUMENT),
        (422, grpc.StatusCode.UNAVAILABLE),
        (429, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (502, grpc.StatusCode.UNAVAILABLE),
        (504, grpc.StatusCode.DEADLINE_EXCEEDED),
    ],
)
def test_a_failed_chain_takes_its_code_from_its_status(status: int, code: grpc.StatusCode) -> None:
    error = ChainFailed("no", failure=Failure(FailureKind.SERVER_ERROR, "no"), status=status)
    assert GRPC_CODES[code_of(error)] is code


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.UNAVAILABLE, errors.Overloaded),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.Overloaded),
        (grpc.StatusCode.INTERNAL, RouterError),
    ],
)
def test_a_status_that_is_not_ours_keeps_its_words(code: grpc.StatusCode, kind: type[RouterError]) -> None:
    arrived = from_rpc_error(Call(code, "socket closed"))
    assert type(arrived) is kind
    assert arrived.message == "socket closed"
    assert from_rpc_error(Call(code, None)).message == code.name


def test_the_words_of_a_fault_of_ours_stay_inside() -> None:
    arrived = from_rpc_error(Call(grpc.StatusCode.UNKNOWN, "Unexpected <class 'KeyError'>: 'what a caller said'"))
    assert type(arrived) is RouterError
    assert "caller" not in arrived.message


def test_a_reason_of_a_newer_release_does_not_break_an_older_one() -> None:
    status = to_status(made(errors.NotFound))
    info = error_details_pb2.ErrorInfo(reason="BRAND_NEW", domain=DOMAIN)
    status.details[0].Pack(info)
    wire = rpc_status.to_status(status)
    assert from_rpc_error(Call(wire.code, wire.details, wire.trailing_metadata)).message == "it happened"


def test_a_failure_kind_of_a_newer_release_does_not_break_an_older_one() -> None:
    status = to_status(made(ChainFailed))
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    info.metadata["failure"] = "BRAND_NEW"
    status.details[0].Pack(info)
    wire = rpc_status.to_status(status)
    arrived = from_rpc_error(Call(wire.code, wire.details, wire.trailing_metadata))
    assert isinstance(arrived, ChainFailed)
    assert arrived.failure.kind is FailureKind.SERVER_ERROR


class Context:
    """A server's side of a call."""

    def __init__(self) -> None:
        self.trailing: Any = None

    def set_trailing_metadata(self, metadata: Any) -> None:
        self.trailing = metadata

    async def abort_with_status(self, status: Any) -> None:
        raise grpc.aio.AbortError(status.code)


async def test_a_chain_that_gave_up_asks_clients_not_to_retry_by_themselves() -> None:
    context = Context()
    with pytest.raises(grpc.aio.AbortError):
        await abort(context, made(ChainFailed))
    assert context.trailing == (("grpc-retry-pushback-ms", "-1"),)
    other = Context()
    with pytest.raises(grpc.aio.AbortError):
        await abort(other, made(errors.NotFound))
    assert other.trailing is None
