"""Channels of the suite: a peer that hangs is given up."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.runtime import grpc_channel
from services.runtime.grpc_channel import CHANNEL_OPTIONS, KEEPALIVE_MS, KEEPALIVE_TIMEOUT_MS, open_channel
from services.runtime.grpc_server import start_server
from tests.support.forward import forwarding

SHARE = 10
"""How much sooner than in earnest everything happens."""


async def test_a_call_to_a_peer_that_hangs_ends_when_its_ping_is_not_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    times = {KEEPALIVE_MS, KEEPALIVE_TIMEOUT_MS}
    sooner = tuple((name, value // SHARE if value in times else value) for name, value in CHANNEL_OPTIONS)
    monkeypatch.setattr(grpc_channel, "CHANNEL_OPTIONS", sooner)
    passing = asyncio.Event()
    passing.set()

    async def gate(_data: bytes) -> None:
        await passing.wait()

    server = await start_server("127.0.0.1:0", lambda _server: None, [])
    async with forwarding(server.port, gate=gate) as between, open_channel(f"127.0.0.1:{between.port}") as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        await check(health_pb2.HealthCheckRequest())
        passing.clear()
        try:
            with pytest.raises(grpc.aio.AioRpcError) as lost:
                await check(health_pb2.HealthCheckRequest(), timeout=20)
        finally:
            passing.set()
        assert lost.value.code() is grpc.StatusCode.UNAVAILABLE, "not the call's own time limit"
    await server.stop(0.1)
