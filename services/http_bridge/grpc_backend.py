"""A data plane reached over gRPC: one channel per address, round robin.

An address may be a name that stands for many workers, such as a headless
Kubernetes Service; its channel balances over those that are serving. A worker
that cannot be reached before its first byte is passed over for the next one,
once; after a byte nothing is ever sent twice. Calls end by `call.cancel()`,
never by cancelling a task that awaits a read.

To a balanced channel a worker that is not serving is as good as gone. When all
are, a plain channel asks why, so that callers and operators hear which it is.

Requests with the same Idempotency-Key go to the same address, whose worker joins them. Their
order of addresses is drawn from key and addresses alone (rendezvous hashing), so that every
bridge finds the same one, and when it is away, the same next one. Their callers say that
they may be sent again, so every worker is tried. Behind a name that stands for many workers
only requests that meet at one worker are joined.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto
from hashlib import blake2b
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from turnout.health.v1.health_service_pb2 import ListTargetHealthRequest, ListTargetHealthResponse
from turnout.health.v1.health_service_pb2_grpc import HealthServiceStub
from turnout.inference.v1.inference_service_pb2 import (
    DESCRIPTOR,
    DescribeKeyRequest,
    InvokeEvent,
    InvokeRequest,
    InvokeResponse,
    KeyInfo,
    ListModelsRequest,
    ListModelsResponse,
)
from turnout.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from turnout.record.v1.record_pb2 import RequestRecord
from turnout.record.v1.record_service_pb2 import GetRecordRequest
from turnout.record.v1.record_service_pb2_grpc import RecordServiceStub

from services.core.errors import Overloaded, PermissionDenied, PolicyNotReady, RouterError, Unauthenticated
from services.runtime.grpc_channel import open_balanced_channel, open_channel
from services.wire.status import from_rpc_error

log = logging.getLogger(__name__)

READY_SECONDS = 2.0
HEALTH_SECONDS = 5.0
RETRY_AFTER_SECONDS = 1.0
IDEMPOTENCY_HEADER = "idempotency-key"
_SILENT = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
_SERVICE = DESCRIPTOR.services_by_name["InferenceService"].full_name


class _Worker:
    """The channel of one worker, or of all workers behind one name."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.channel = open_balanced_channel(address, _SERVICE)
        self.stub: Any = InferenceServiceStub(self.channel)
        self.health: Any = health_pb2_grpc.HealthStub(self.channel)
        self.targets: Any = HealthServiceStub(self.channel)
        self._is_away = False

    def missed(self, error: grpc.aio.AioRpcError) -> None:
        """A call did not reach it; said once, until one does."""
        if not self._is_away:
            self._is_away = True
            log.warning("no worker at %s can be reached: %s", self.address, error.details())

    def reached(self) -> None:
        """A call reached it."""
        if self._is_away:
            self._is_away = False
            log.info("a worker at %s answers again", self.address)


class GrpcBackend:
    """Workers behind addresses. Make it inside the running loop."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._workers = [_Worker(address) for address in addresses]
        self._turn = 0
        self._asking: asyncio.Future[RouterError] | None = None

    async def invoke(self, request: InvokeRequest) -> InvokeResponse:
        async def call(worker: _Worker) -> InvokeResponse:
            response: InvokeResponse = await _unary(worker.stub.Invoke(request))
            return response

        answer: InvokeResponse = await self._first_reachable(call, self._order(request))
        return answer

    async def invoke_stream(self, request: InvokeRequest) -> AsyncGenerator[InvokeEvent, None]:
        async def begin(worker: _Worker) -> tuple[Any, Any]:
            call = worker.stub.InvokeStream(request)
            return call, await _read(call)

        call, event = await self._first_reachable(begin, self._order(request))
        try:
            while event is not grpc.aio.EOF:
                yield event
                try:
                    event = await _read(call)
                except grpc.aio.AioRpcError as error:
                    raise from_rpc_error(error) from error
        finally:
            call.cancel()

    async def list_models(self, headers: Mapping[str, str], known_version: str = "") -> ListModelsResponse:
        metadata = _credentials(headers)
        request = ListModelsRequest(known_version=known_version)

        async def call(worker: _Worker) -> ListModelsResponse:
            response: ListModelsResponse = await _unary(worker.stub.ListModels(request, metadata=metadata))
            return response

        answer: ListModelsResponse = await self._first_reachable(call, self._next_two())
        return answer

    async def target_health(self, headers: Mapping[str, str]) -> Mapping[str, ListTargetHealthResponse | RouterError]:
        metadata = _credentials(headers)
        answers = await asyncio.gather(*(self._health_of(worker, metadata) for worker in self._workers))
        for answer in answers:
            if isinstance(answer, (Unauthenticated, PermissionDenied)):
                raise answer
        return {worker.address: answer for worker, answer in zip(self._workers, answers, strict=True)}

    async def describe_key(self, headers: Mapping[str, str]) -> KeyInfo:
        metadata = _credentials(headers)

        async def call(worker: _Worker) -> KeyInfo:
            response: KeyInfo = await _unary(worker.stub.DescribeKey(DescribeKeyRequest(), metadata=metadata))
            return response

        answer: KeyInfo = await self._first_reachable(call, self._next_two())
        return answer

    async def generations(self, headers: Mapping[str, str], generation_id: str) -> list[RequestRecord | RouterError]:
        metadata = _credentials(headers)
        named = await asyncio.gather(*(_resolved(worker.address) for worker in self._workers))
        addresses = list(dict.fromkeys(address for addresses in named for address in addresses))
        return await asyncio.gather(*(_record_at(address, generation_id, metadata) for address in addresses))

    async def _health_of(
        self, worker: _Worker, metadata: tuple[tuple[str, str], ...]
    ) -> ListTargetHealthResponse | RouterError:
        call = worker.targets.ListTargetHealth(ListTargetHealthRequest(), metadata=metadata, timeout=HEALTH_SECONDS)
        try:
            answer: ListTargetHealthResponse = await _unary(call)
        except grpc.aio.AioRpcError as error:
            return Overloaded("the worker cannot be reached") if _is_lost(error) else from_rpc_error(error)
        return answer

    async def ready(self) -> bool:
        checks = (self._serving(worker) for worker in self._workers)
        return any(await asyncio.gather(*checks))

    async def _serving(self, worker: _Worker) -> bool:
        try:
            answer = await worker.health.Check(health_pb2.HealthCheckRequest(), timeout=READY_SECONDS)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def why_not_ready(self) -> RouterError:
        """All who ask while the workers are being asked share the answer."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._ask_why())
        return await asyncio.shield(self._asking)

    async def _ask_why(self) -> RouterError:
        answers = await asyncio.gather(*(_state(worker.address) for worker in self._workers))
        if _State.WITHOUT_POLICY in answers:
            return PolicyNotReady("no data-plane worker has a policy yet", retry_after=RETRY_AFTER_SECONDS)
        if _State.CLOSED in answers:
            told = "the data-plane workers that can be reached take no requests now"
            return Overloaded(told, retry_after=RETRY_AFTER_SECONDS)
        return Overloaded("no data-plane worker can be reached", retry_after=RETRY_AFTER_SECONDS)

    async def aclose(self) -> None:
        for worker in self._workers:
            await worker.channel.close()

    def _order(self, request: InvokeRequest) -> Iterable[_Worker]:
        """The workers to try for a request."""
        key = request.headers.get(IDEMPOTENCY_HEADER, "")
        return sorted(self._workers, key=lambda w: rank(w.address, key), reverse=True) if key else self._next_two()

    def _next_two(self) -> Iterator[_Worker]:
        """The worker whose turn it is, and the one after it, whose turn is over when it is taken."""
        for _ in range(2 if self._workers else 0):
            worker = self._workers[self._turn % len(self._workers)]
            self._turn += 1
            yield worker

    async def _first_reachable(self, call: Any, workers: Iterable[_Worker]) -> Any:
        """The result of `call` on the first of `workers` that can be reached.

        With one address the second try goes to it as well: to another worker behind the name, or over
        a new connection when the old one was ended just as the call began.

        Raises:
            RouterError: What the worker said, or why none takes the request.
        """
        lost: grpc.aio.AioRpcError | None = None
        for worker in workers:
            try:
                answer = await call(worker)
            except grpc.aio.AioRpcError as error:
                if not _is_lost(error):
                    worker.reached()
                    raise from_rpc_error(error) from error
                worker.missed(error)
                lost = error
            else:
                worker.reached()
                return answer
        raise await self.why_not_ready() from lost


class _State(Enum):
    """Of a worker that gets no calls. A closed one is about to stop."""

    GONE = auto()
    WITHOUT_POLICY = auto()
    CLOSED = auto()


async def _state(address: str) -> _State:
    """Ask a worker for its models without a key: one that has no policy says so before it asks for the key."""
    async with open_channel(address) as channel:
        stub: Any = InferenceServiceStub(channel)
        try:
            await stub.ListModels(ListModelsRequest(), timeout=READY_SECONDS)
        except grpc.aio.AioRpcError as error:
            if isinstance(from_rpc_error(error), PolicyNotReady):
                return _State.WITHOUT_POLICY
            if error.code() in _SILENT and not _says_why(error):
                return _State.GONE
    return _State.CLOSED


async def _resolved(address: str) -> list[str]:
    """The addresses of every worker behind a name: each keeps records of its own."""
    host, _, port = address.rpartition(":")
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except OSError:
        return [address]
    hosts = (f"[{at[0]}]" if family is socket.AF_INET6 else str(at[0]) for family, _, _, _, at in found)
    return [f"{host}:{port}" for host in dict.fromkeys(hosts)]


async def _record_at(
    address: str, generation_id: str, metadata: tuple[tuple[str, str], ...]
) -> RequestRecord | RouterError:
    async with open_channel(address) as channel:
        stub: Any = RecordServiceStub(channel)
        request = GetRecordRequest(generation_id=generation_id)
        try:
            record: RequestRecord = await _unary(stub.GetRecord(request, metadata=metadata, timeout=HEALTH_SECONDS))
        except grpc.aio.AioRpcError as error:
            return Overloaded("the worker cannot be reached") if _is_lost(error) else from_rpc_error(error)
        return record


def rank(address: str, key: str) -> bytes:
    """The weight of a worker for a key: the greatest one serves it."""
    return blake2b(key.encode(), key=blake2b(address.encode()).digest(), digest_size=16).digest()


def _credentials(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The caller's key as call metadata."""
    return tuple((n, headers[n]) for n in ("authorization", "x-api-key", "x-goog-api-key") if n in headers)


def _is_lost(error: grpc.aio.AioRpcError) -> bool:
    """Whether the error comes from the channel, not from a worker."""
    return error.code() is grpc.StatusCode.UNAVAILABLE and not _says_why(error)


def _says_why(error: grpc.aio.AioRpcError) -> bool:
    """Whether the error comes from a worker, not from the channel."""
    return any(key == "grpc-status-details-bin" for key, _ in error.trailing_metadata() or ())


async def _unary(call: Any) -> Any:
    """Await a unary call; a cancelled waiter cancels the call instead of the read."""
    return await _shielded(call, asyncio.ensure_future(_awaited(call)))


async def _read(call: Any) -> Any:
    """Read one message; a cancelled waiter cancels the call instead of the read."""
    return await _shielded(call, asyncio.ensure_future(call.read()))


async def _awaited(call: Any) -> Any:
    return await call


async def _shielded(call: Any, task: asyncio.Future[Any]) -> Any:
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        call.cancel()
        # The read ends with its call; its outcome interests nobody any more.
        await asyncio.wait({task}, timeout=1.0)
        if task.done() and not task.cancelled():
            task.exception()
        raise
