"""The fused process: a worker and a bridge in one, with no gRPC hop between them.

This is where both planes meet. The worker's gRPC server runs as well, so that
internal services and `turnout logs` find it as always. Metrics of both are on the
bridge's port, and on the worker's own one if it is given.
"""

from __future__ import annotations

import logging
import sys

from prometheus_client import CollectorRegistry

from services.dataplane.__main__ import FLAGS as WORKER_FLAGS
from services.dataplane.__main__ import worker_settings
from services.dataplane.app import Worker, WorkerSettings
from services.http_bridge.__main__ import FLAGS as BRIDGE_FLAGS
from services.http_bridge.__main__ import bridge_settings
from services.http_bridge.app import BridgeSettings, start_bridge
from services.runtime.flags import read_flags
from services.runtime.grpc_channel import open_channel
from services.runtime.listening import check_address, check_listen
from services.runtime.logging import configure_logging
from services.runtime.metrics import Metrics, serve_metrics
from services.runtime.supervise import Background, Stop, run

log = logging.getLogger(__name__)

_SHARED = {flag.name for flag in WORKER_FLAGS}
FLAGS = (*WORKER_FLAGS, *(f for f in BRIDGE_FLAGS if f.name not in _SHARED and f.name != "dataplane"))


async def serve(worker_config: WorkerSettings, bridge_config: BridgeSettings, stop: Stop) -> None:
    """Run both until `stop`.

    Raises:
        CannotListen: An address is taken.
    """
    metrics = Metrics(CollectorRegistry())
    serve_metrics(worker_config.metrics_port, metrics.registry)
    check_address(worker_config.listen)
    check_listen(bridge_config.host, bridge_config.port)
    background = Background(stop)
    worker = Worker(worker_config, metrics)
    server = await worker.start(background)
    policy = open_channel(bridge_config.controlplane)
    bridge = await start_bridge(bridge_config, worker.local, policy, metrics)
    log.info("fused: HTTP on port %d, gRPC on %s", bridge.port, worker_config.listen)
    await stop.wait()
    log.info("draining %d requests", worker.engine.in_flight)
    await bridge.stop(bridge_config.drain, bridge_config.grace)
    await worker.stop(server, background)
    await policy.close()


def main(arguments: list[str] | None = None) -> int:
    """Run until a signal."""
    values = read_flags("fused", FLAGS, sys.argv[1:] if arguments is None else arguments)
    configure_logging("fused")
    settings = worker_settings(values), bridge_settings({**values, "dataplane": ""})
    return run(lambda stop: serve(*settings, stop))


if __name__ == "__main__":
    sys.exit(main())
