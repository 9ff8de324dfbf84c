"""One name, many workers: what a bridge does with a headless Service, against a real name server and real gRPC."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from turnout.inference.v1.inference_service_pb2 import (
    InvokeEvent,
    InvokeRequest,
    InvokeResponse,
    ListModelsResponse,
)
from turnout.inference.v1.inference_service_pb2_grpc import (
    InferenceServiceServicer,
    add_InferenceServiceServicer_to_server,
)

from services.core.errors import Overloaded
from services.dataplane.app import SERVICES
from services.http_bridge.grpc_backend import GrpcBackend
from services.runtime import grpc_server
from services.runtime.grpc_server import RunningServer, start_server
from tests.support.dns import NameServer, running_name_server

NAME = "workers.test"
FIRST, SECOND = "127.0.0.1", "127.0.0.2"


class _Named(InferenceServiceServicer):
    """A worker that answers with its own address."""

    def __init__(self, address: str, stream_ends: asyncio.Event) -> None:
        self._address = address
        self._stream_ends = stream_ends

    async def Invoke(self, request: Any, context: Any) -> InvokeResponse:
        return InvokeResponse(status=200, body=self._address.encode())

    async def ListModels(self, request: Any, context: Any) -> ListModelsResponse:
        return ListModelsResponse()

    async def InvokeStream(self, request: Any, context: Any) -> AsyncIterator[InvokeEvent]:
        yield InvokeEvent()
        await self._stream_ends.wait()
        yield InvokeEvent()


@dataclass
class Fleet:
    names: NameServer
    port: int = 0
    stream_ends: asyncio.Event = field(default_factory=asyncio.Event)
    workers: dict[str, RunningServer] = field(default_factory=dict)

    async def start(self, address: str) -> None:
        worker = await start_server(
            f"{address}:{self.port}",
            lambda server: add_InferenceServiceServicer_to_server(_Named(address, self.stream_ends), server),
            SERVICES,
        )
        await worker.set_serving(serving=True)
        self.port = self.port or worker.port
        self.workers[address] = worker

    async def stop(self, address: str) -> None:
        await self.workers.pop(address).stop(0)

    def target(self) -> str:
        return f"dns://127.0.0.1:{self.names.port}/{NAME}:{self.port}"


@asynccontextmanager
async def running_fleet(*addresses: str) -> AsyncIterator[tuple[Fleet, GrpcBackend]]:
    async with running_name_server() as names:
        fleet = Fleet(names)
        for address in addresses:
            await fleet.start(address)
        names.addresses[NAME] = list(addresses)
        backend = GrpcBackend([fleet.target()])
        try:
            yield fleet, backend
        finally:
            await backend.aclose()
            for address in list(fleet.workers):
                await fleet.stop(address)


async def answers(backend: GrpcBackend, calls: int) -> Counter[str]:
    found = await asyncio.gather(*(backend.invoke(InvokeRequest()) for _ in range(calls)))
    return Counter(answer.body.decode() for answer in found)


async def until_answers_come_from(backend: GrpcBackend, *wanted: str) -> None:
    async with asyncio.timeout(30):
        while set(await answers(backend, 8)) != set(wanted):
            pass


async def test_calls_are_spread_over_all_workers_behind_one_name() -> None:
    async with running_fleet(FIRST, SECOND) as (_, backend):
        await until_answers_come_from(backend, FIRST, SECOND)
        assert min((await answers(backend, 100)).values()) >= 40


async def test_a_worker_that_says_not_serving_gets_no_more_calls() -> None:
    async with running_fleet(FIRST, SECOND) as (fleet, backend):
        await until_answers_come_from(backend, FIRST, SECOND)
        await fleet.workers[SECOND].set_serving(serving=False)
        await until_answers_come_from(backend, FIRST)
        assert await answers(backend, 100) == {FIRST: 100}


async def test_a_worker_that_goes_away_costs_no_call() -> None:
    async with running_fleet(FIRST, SECOND) as (fleet, backend):
        await until_answers_come_from(backend, FIRST, SECOND)
        calls = asyncio.gather(*(answers(backend, 50) for _ in range(10)))
        await fleet.stop(SECOND)
        await calls
        assert await answers(backend, 100) == {FIRST: 100}


async def test_a_bridge_is_ready_while_any_worker_behind_the_name_serves() -> None:
    async with running_fleet(FIRST, SECOND) as (fleet, backend):
        await until_answers_come_from(backend, FIRST, SECOND)
        await fleet.workers[FIRST].set_serving(serving=False)
        await until_answers_come_from(backend, SECOND)
        assert await backend.ready()
        await fleet.workers[SECOND].set_serving(serving=False)
        async with asyncio.timeout(30):
            while await backend.ready():
                pass
        with pytest.raises(Overloaded, match="take no requests now"):
            await backend.invoke(InvokeRequest())


async def test_new_workers_are_found_without_a_restart_and_streams_outlive_their_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aged = dict(grpc_server._OPTIONS) | {"grpc.max_connection_age_ms": 300}
    monkeypatch.setattr(grpc_server, "_OPTIONS", tuple(aged.items()))
    async with running_fleet(FIRST) as (fleet, backend):
        stream = backend.invoke_stream(InvokeRequest())
        await anext(stream)
        await fleet.start(SECOND)
        fleet.names.addresses[NAME].append(SECOND)
        await until_answers_come_from(backend, FIRST, SECOND)
        fleet.stream_ends.set()
        assert len([event async for event in stream]) == 1
