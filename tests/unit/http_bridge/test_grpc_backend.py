"""Workers behind gRPC: one that is away is passed over, what a worker says is passed on, a leaving caller is felt."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import grpc
import pytest
from turnout.inference.v1 import inference_service_pb2_grpc
from turnout.inference.v1.inference_service_pb2 import (
    DESCRIPTOR,
    InvokeEvent,
    InvokeRequest,
    InvokeResponse,
    ListModelsResponse,
    ModelInfo,
)

from services.core.errors import InvalidRequest, Overloaded, PolicyNotReady, Unauthenticated
from services.http_bridge.grpc_backend import GrpcBackend
from services.runtime.grpc_server import RunningServer, start_server
from services.wire.status import abort
from tests.support.ports import free_port

SERVICE = DESCRIPTOR.services_by_name["InferenceService"].full_name


class Servicer(inference_service_pb2_grpc.InferenceServiceServicer):
    """A worker that says who it is."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls = 0
        self.hangs = False
        self.fails_after = -1
        self.has_policy = True
        self.listed = 0
        self.entered = asyncio.Event()
        self.left = asyncio.Event()

    async def _maybe_hang(self) -> None:
        self.calls += 1
        self.entered.set()
        try:
            if self.hangs:
                await asyncio.Event().wait()
        finally:
            self.left.set()

    async def Invoke(self, request: InvokeRequest, context: Any) -> InvokeResponse:
        await self._maybe_hang()
        if request.body == b"bad":
            await abort(context, InvalidRequest("bad body", param="body"))
        return InvokeResponse(status=200, body=self.name.encode())

    async def InvokeStream(self, request: InvokeRequest, context: Any) -> AsyncIterator[InvokeEvent]:
        del request
        for number in range(3):
            if number == self.fails_after:
                await abort(context, Overloaded("draining"))
            yield InvokeEvent(status=200 if number == 0 else 0, data=f"{self.name}{number}".encode())
            if number == 0:
                await self._maybe_hang()

    async def ListModels(self, request: Any, context: Any) -> ListModelsResponse:
        del request
        metadata = dict(context.invocation_metadata())
        self.listed += 1
        if not self.has_policy:
            await abort(context, PolicyNotReady("not yet"))
        if metadata.get("authorization") != "Bearer k":
            await abort(context, Unauthenticated("no key"))
        return ListModelsResponse(models=[ModelInfo(id=self.name)])

    async def CreateChatCompletion(self, request: Any, context: Any) -> Any:
        raise NotImplementedError

    def StreamChatCompletion(self, request: Any, context: Any) -> Any:
        raise NotImplementedError


@asynccontextmanager
async def worker(name: str, *, serving: bool = True, port: int = 0) -> AsyncIterator[tuple[Servicer, RunningServer]]:
    servicer = Servicer(name)

    def add(server: grpc.aio.Server) -> None:
        inference_service_pb2_grpc.add_InferenceServiceServicer_to_server(servicer, server)

    server = await start_server(f"127.0.0.1:{port}", add, [SERVICE])
    await server.set_serving(serving=serving)
    try:
        yield servicer, server
    finally:
        await server.stop(0.1)


@asynccontextmanager
async def backend(*ports: int) -> AsyncIterator[GrpcBackend]:
    found = GrpcBackend([f"127.0.0.1:{port}" for port in ports])
    try:
        yield found
    finally:
        await found.aclose()


async def test_workers_take_turns() -> None:
    async with worker("a") as (_, a), worker("b") as (_, b), backend(a.port, b.port) as found:
        answers = [(await found.invoke(InvokeRequest())).body for _ in range(4)]
        assert answers == [b"a", b"b", b"a", b"b"]


async def test_a_worker_that_is_away_is_passed_over() -> None:
    async with worker("a") as (_, a), backend(a.port, free_port()) as found:
        for _ in range(4):
            assert (await found.invoke(InvokeRequest())).body == b"a"
        async with aclosing(found.invoke_stream(InvokeRequest())) as events:
            assert (await anext(events)).data == b"a0"


async def test_a_worker_that_is_away_is_in_the_log_once_and_so_is_its_return(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "services.http_bridge.grpc_backend")
    port = free_port()
    async with backend(port) as found:
        for _ in range(3):
            with pytest.raises(Overloaded):
                await found.invoke(InvokeRequest())
        (away,) = caplog.records
        assert (away.levelname, away.message.startswith(f"no worker at 127.0.0.1:{port} can be reached: ")) == (
            "WARNING",
            True,
        )
        caplog.clear()
        async with worker("a", port=port):
            async with asyncio.timeout(10):
                while not await found.ready():
                    await asyncio.sleep(0.01)
            for _ in range(2):
                assert (await found.invoke(InvokeRequest())).body == b"a"
        assert [record.message for record in caplog.records] == [f"a worker at 127.0.0.1:{port} answers again"]


async def test_without_any_worker_the_caller_is_told() -> None:
    async with backend(free_port()) as found:
        with pytest.raises(Overloaded, match="no data-plane worker can be reached"):
            await found.invoke(InvokeRequest())
    async with backend() as nobody:
        with pytest.raises(Overloaded):
            await nobody.list_models({})
        assert not await nobody.ready()


async def test_what_a_worker_refuses_is_not_asked_again() -> None:
    async with worker("a") as (one, a), worker("b") as (other, b), backend(a.port, b.port) as found:
        with pytest.raises(InvalidRequest) as caught:
            await found.invoke(InvokeRequest(body=b"bad"))
        assert caught.value.param == "body"
        assert one.calls + other.calls == 1


async def test_a_stream_that_ends_with_an_error_after_its_first_event_is_never_begun_again() -> None:
    async with worker("a") as (servicer, a), backend(a.port) as found:
        servicer.fails_after = 1
        events: list[bytes] = []

        async def read() -> None:
            async for event in found.invoke_stream(InvokeRequest()):
                events.append(event.data)

        with pytest.raises(Overloaded, match="draining"):
            await read()
        assert events == [b"a0"]
        assert servicer.calls == 1


async def test_a_caller_that_leaves_is_felt_by_the_worker() -> None:
    async with worker("a") as (servicer, a), backend(a.port) as found:
        servicer.hangs = True
        task = asyncio.create_task(found.invoke(InvokeRequest()))
        await asyncio.wait_for(servicer.entered.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(servicer.left.wait(), 5)
        servicer.entered.clear()
        servicer.left.clear()
        events = found.invoke_stream(InvokeRequest())
        assert (await anext(events)).data == b"a0"
        await asyncio.wait_for(servicer.entered.wait(), 5)
        await events.aclose()
        await asyncio.wait_for(servicer.left.wait(), 5)


async def test_models_are_asked_for_with_the_callers_key() -> None:
    async with worker("a") as (_, a), backend(a.port) as found:
        models = await found.list_models({"authorization": "Bearer k", "cookie": "x"})
        assert [m.id for m in models.models] == ["a"]
        with pytest.raises(Unauthenticated):
            await found.list_models({})


async def test_ready_means_that_some_worker_is_serving() -> None:
    async with worker("a", serving=False) as (_, a), backend(a.port, free_port()) as found:
        assert not await found.ready()
        await a.set_serving(serving=True)
        # The channel hears of it by a message of its own.
        async with asyncio.timeout(10):
            while not await found.ready():
                await asyncio.sleep(0.01)


async def test_why_no_worker_takes_a_request_is_told_by_the_worker_that_knows_best() -> None:
    async with worker("a", serving=False) as (servicer, a), backend(free_port(), a.port) as found:
        with pytest.raises(Overloaded, match="that can be reached take no requests now"):
            await found.invoke(InvokeRequest())
        servicer.has_policy = False
        with pytest.raises(PolicyNotReady, match="no data-plane worker has a policy yet") as told:
            await found.invoke(InvokeRequest())
        assert told.value.retry_after == 1.0
        assert servicer.calls == 0


async def test_callers_that_wonder_together_ask_the_workers_once() -> None:
    async with worker("a", serving=False) as (servicer, a), backend(a.port) as found:
        servicer.has_policy = False
        whys = await asyncio.gather(*(found.why_not_ready() for _ in range(20)))
        assert {type(why) for why in whys} == {PolicyNotReady}
        assert servicer.listed == 1
