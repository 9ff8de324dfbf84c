"""The server of one simulated provider."""

from __future__ import annotations

import asyncio
import json
from types import ModuleType
from typing import Any

from aiohttp import web

from services.cli.simulated import anthropic_wire, openai_wire
from services.cli.simulated.faults import Fault, FaultSwitch
from services.cli.simulated.script import Script, write_script

WIRES: dict[str, ModuleType] = {"openai": openai_wire, "anthropic": anthropic_wire}
PATHS = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
TOKEN_SECONDS = 0.02
HANG_SECONDS = 3_600.0


class SimulatedProvider:
    """One provider: a name, a wire format, and a fault that can be switched."""

    def __init__(self, name: str, wire: str, fault: Fault, token_seconds: float = TOKEN_SECONDS) -> None:
        self.name = name
        self.wire = wire
        self.faults = FaultSwitch(fault)
        self.requests = 0
        self._token_seconds = token_seconds

    def application(self) -> web.Application:
        """The provider as a web application."""
        app = web.Application()
        app.router.add_post(PATHS[self.wire], self._chat)
        app.router.add_get("/_faults", self._show_faults)
        app.router.add_post("/_faults", self._set_faults)
        return app

    async def _show_faults(self, request: web.Request) -> web.Response:
        del request
        return web.json_response({"provider": self.name, "requests": self.requests, "fault": self.faults.state()})

    async def _set_faults(self, request: web.Request) -> web.Response:
        try:
            wanted = await request.json()
            if not isinstance(wanted, dict):
                raise ValueError('expected an object such as {"kind": "status", "status": 503}')
            return web.json_response({"provider": self.name, "fault": self.faults.set(wanted)})
        except (ValueError, TypeError) as error:
            return web.json_response({"error": str(error)}, status=400)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        fault = self.faults.take()
        wire = WIRES[self.wire]
        try:
            body = json.loads(await request.read())
            if not isinstance(body, dict):
                raise ValueError("not an object")
        except ValueError:
            return web.json_response(wire.error_body(400, self.name), status=400)
        if fault.kind == "status":
            headers = {} if fault.retry_after is None else {"retry-after": f"{fault.retry_after:g}"}
            return web.json_response(wire.error_body(fault.status, self.name), status=fault.status, headers=headers)
        if fault.kind == "hang":
            await asyncio.sleep(HANG_SECONDS)
        script = write_script(self.name, body, self.requests)
        if fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        if body.get("stream"):
            return await self._stream(request, script, body, fault)
        return web.json_response(wire.whole(script))

    async def _stream(
        self, request: web.Request, script: Script, body: dict[str, Any], fault: Fault
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream", "cache-control": "no-cache"})
        await response.prepare(request)
        shown = 0
        for frame, content in WIRES[self.wire].chunks(script, body):
            if content:
                shown += 1
                if fault.kind == "cut" and shown > fault.after:
                    assert request.transport is not None, "a request has a connection"
                    request.transport.abort()
                    return response
                if fault.kind == "stall" and shown > fault.after:
                    await asyncio.sleep(HANG_SECONDS)
                await asyncio.sleep(self._token_seconds)
            await response.write(frame)
        await response.write_eof()
        return response


async def serve(provider: SimulatedProvider, host: str, port: int) -> web.AppRunner:
    """Start `provider` on `host:port`; clean up the runner to stop it."""
    runner = web.AppRunner(provider.application(), access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
