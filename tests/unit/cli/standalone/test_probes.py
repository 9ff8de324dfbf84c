"""Probes return when their part serves, and not before."""

from __future__ import annotations

import asyncio

from aiohttp import web

from services.cli.standalone.etcd import etcd_ready
from services.cli.standalone.probes import grpc_ready, http_ready
from services.runtime.grpc_server import start_server
from tests.support.ports import free_port


async def test_an_http_probe_waits_for_a_200() -> None:
    port, statuses, bodies = free_port(), [503, 500, 200], ["x", '{"health": "false"}', '{"health": "true"}']
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        turn = min(len([p for p in asked if p == request.path]), 3) - 1
        return web.Response(status=statuses[turn] if request.path == "/x" else 200, text=bodies[turn])

    application = web.Application()
    application.router.add_get("/{any}", answer)
    runner = web.AppRunner(application)
    # Nobody listens yet: that is no reason to give up.
    probing = asyncio.create_task(http_ready(f"http://127.0.0.1:{port}/x"))
    await asyncio.sleep(0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.wait_for(probing, 10)
    assert asked == ["/x"] * 3
    await asyncio.wait_for(etcd_ready(port), 10)
    assert asked[3:] == ["/health"] * 3
    await runner.cleanup()


async def test_a_grpc_probe_waits_for_serving() -> None:
    port = free_port()
    server = await start_server(f"127.0.0.1:{port}", lambda _server: None, [])
    probing = asyncio.create_task(grpc_ready(f"127.0.0.1:{port}"))
    done, _ = await asyncio.wait({probing}, timeout=0.3)
    assert not done
    await server.set_serving(serving=True)
    await asyncio.wait_for(probing, 10)
    await server.stop(0.1)
