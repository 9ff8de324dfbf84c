"""`python -m services.http_bridge`: a bridge as a process."""

from __future__ import annotations

import sys
from typing import Any

from services.http_bridge.app import BridgeSettings, serve
from services.runtime.flags import Flag, read_flags
from services.runtime.logging import configure_logging
from services.runtime.supervise import run

FLAGS = (
    Flag("host", "127.0.0.1", "address to listen on"),
    Flag("port", 8080, "port to listen on"),
    Flag("dataplane", "127.0.0.1:7011", "gRPC addresses of workers, HOST:PORT, comma-separated"),
    Flag("controlplane", "127.0.0.1:7001", "gRPC address of the control plane, HOST:PORT"),
    Flag("drain", 0.0, "seconds between not ready and refusing connections"),
    Flag("grace", 30.0, "seconds that running requests get at the end"),
)


def bridge_settings(values: dict[str, Any]) -> BridgeSettings:
    """The settings of flag values."""
    return BridgeSettings(
        dataplane=tuple(a.strip() for a in values["dataplane"].split(",") if a.strip()),
        controlplane=values["controlplane"].split(",")[0].strip(),
        host=values["host"],
        port=values["port"],
        drain=values["drain"],
        grace=values["grace"],
    )


def main(arguments: list[str] | None = None) -> int:
    """Run until a signal."""
    values = read_flags("bridge", FLAGS, sys.argv[1:] if arguments is None else arguments)
    configure_logging("bridge")
    return run(lambda stop: serve(bridge_settings(values), stop))


if __name__ == "__main__":
    sys.exit(main())
