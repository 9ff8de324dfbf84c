"""Probes of `turnout up`: each returns as soon as its part serves."""

from __future__ import annotations

import asyncio

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc

POLL_SECONDS = 0.05


async def grpc_ready(address: str) -> None:
    """Return when the gRPC server at `address` says SERVING."""
    async with grpc.aio.insecure_channel(address, options=(("grpc.max_reconnect_backoff_ms", 200),)) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while True:
            try:
                answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=1.0)
            except grpc.aio.AioRpcError:
                pass
            else:
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            await asyncio.sleep(POLL_SECONDS)


async def http_ready(url: str) -> None:
    """Return when `url` answers 200."""
    async with httpx.AsyncClient(trust_env=False, timeout=1.0) as client:
        while True:
            try:
                if (await client.get(url)).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(POLL_SECONDS)
