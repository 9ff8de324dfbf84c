"""gRPC servers of the suite: health, reflection and channelz on every one, and a graceful end.

The health service answers two questions. The empty name and those of the services: can they be
called now? Its own name: does the process live? That is so from the server's start to its end,
whatever else it waits for; a probe that kills asks nothing but that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
from grpc_channelz.v1 import channelz
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.runtime.grpc_channel import KEEPALIVE_MS, MAX_MESSAGE
from services.runtime.grpc_guard import Guard
from services.runtime.listening import CannotListen, check_address

MAX_CONNECTION_AGE_MS = 60_000

_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.so_reuseport", 0),
    # Pings as often as our own channels send them are welcome; the default punishes them.
    ("grpc.http2.min_ping_interval_without_data_ms", KEEPALIVE_MS // 2),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    # A client that balances looks its name up again when a connection ends; this is how it finds new
    # servers. Calls that run on an ended connection go on, however long they take.
    ("grpc.max_connection_age_ms", MAX_CONNECTION_AGE_MS),
)


def headers_of(context: grpc.aio.ServicerContext[Any, Any]) -> Mapping[str, str]:
    """A call's metadata as headers; what is binary is none."""
    return {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}


class RunningServer:
    """A started server."""

    def __init__(
        self, server: grpc.aio.Server, port: int, statuses: health.aio.HealthServicer, names: Sequence[str]
    ) -> None:
        self.port = port
        self._server = server
        self._statuses = statuses
        self._names = tuple(names)
        self._stopping = False

    async def set_serving(self, *, serving: bool) -> None:
        """What the health service says of every service; a server that stops serves no more, whoever says so."""
        if self._stopping:
            return
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *self._names):
            await self._statuses.set(name, status)

    async def stop(self, grace: float) -> None:
        """Refuse new calls, let running ones finish for `grace` seconds, then end them."""
        await self.set_serving(serving=False)
        self._stopping = True
        await self._server.stop(grace)


async def start_server(
    address: str, add_services: Callable[[grpc.aio.Server], None], service_names: Sequence[str]
) -> RunningServer:
    """Start a server on `address` (HOST:PORT, port 0: any); it is alive, and not serving until `set_serving` says so.

    Raises:
        CannotListen: The address cannot be bound.
    """
    check_address(address)
    server = grpc.aio.server(interceptors=(Guard(),), options=_OPTIONS)
    statuses = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(statuses, server)
    add_services(server)
    channelz.add_channelz_servicer(server)
    names = (*service_names, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise CannotListen(f"cannot listen on {address}: {error}") from error
    await statuses.set(health.SERVICE_NAME, health_pb2.HealthCheckResponse.SERVING)
    running = RunningServer(server, port, statuses, service_names)
    await running.set_serving(serving=False)
    await server.start()
    return running
