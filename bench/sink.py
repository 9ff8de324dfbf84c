"""`python -m bench.sink PORT`: an OTLP collector that takes spans over gRPC and forgets them.

Exports are answered as a real collector would, so that the router pays for
telemetry what it pays in production; nothing is decoded here.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

import grpc
import uvloop

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class _Accept(grpc.GenericRpcHandler):
    """Answers every export with an empty message, which means: all accepted."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        if handler_call_details.method != EXPORT:
            return None
        return grpc.unary_unary_rpc_method_handler(_accept)


async def _accept(request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
    del request, context
    return b""


async def serve(port: int) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Accept(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await stop.wait()
    await server.stop(0.5)


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
