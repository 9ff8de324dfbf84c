"""gRPC servers: who is alive, who is ready, and an address that is taken."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from services.runtime.grpc_server import RunningServer, start_server
from services.runtime.listening import CannotListen

SERVICE = "turnout.test.v1.Service"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def started() -> RunningServer:
    return await start_server("127.0.0.1:0", lambda _server: None, [SERVICE])


async def status(stub: Any, name: str) -> int:
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
    return int(answer.status)


async def test_a_server_is_alive_from_the_start_and_ready_when_it_says_so() -> None:
    server = await started()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for serving in (False, True, False):
            await server.set_serving(serving=serving)
            wanted = SERVING if serving else NOT_SERVING
            assert [await status(stub, name) for name in ("", SERVICE)] == [wanted, wanted]
            assert await status(stub, health.SERVICE_NAME) == SERVING
        await server.stop(0)


async def test_a_server_that_stops_is_alive_to_its_end_and_never_ready_again() -> None:
    server = await started()
    await server.set_serving(serving=True)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watches = {name: stub.Watch(health_pb2.HealthCheckRequest(service=name)) for name in ("", health.SERVICE_NAME)}
        assert [(await watch.read()).status for watch in watches.values()] == [SERVING, SERVING]
        stopping = asyncio.create_task(server.stop(1.0))
        assert (await watches[""].read()).status == NOT_SERVING
        # Somebody has not heard that it is over.
        await server.set_serving(serving=True)
        with pytest.raises(grpc.aio.AioRpcError):
            assert not await watches[""].read()
        with pytest.raises(grpc.aio.AioRpcError):
            assert not await watches[health.SERVICE_NAME].read()
        await stopping


async def test_an_address_that_is_taken_is_told_with_the_reason() -> None:
    server = await started()
    with pytest.raises(CannotListen, match=f"cannot listen on 127.0.0.1:{server.port}: address already in use"):
        await start_server(f"127.0.0.1:{server.port}", lambda _server: None, [SERVICE])
    await server.stop(0)
