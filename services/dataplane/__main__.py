"""`python -m services.dataplane`: a worker as a process."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

from services.dataplane.app import WorkerSettings, serve
from services.runtime.flags import Flag, read_flags
from services.runtime.logging import configure_logging
from services.runtime.supervise import run

FLAGS = (
    Flag("listen", "127.0.0.1:7011", "gRPC address, HOST:PORT"),
    Flag("advertise", "", "address that others reach this worker at; default: --listen"),
    Flag("controlplane", "127.0.0.1:7001", "gRPC addresses of the control plane, HOST:PORT, comma-separated"),
    Flag("data-dir", ".turnout/worker", "folder of the last good policy and of what was learned"),
    Flag("node-id", "", "id of this worker; default: host and pid"),
    Flag("metrics-port", 0, "port of Prometheus metrics; 0: none"),
    Flag("drain", 0.0, "seconds between NOT_SERVING and refusing calls"),
    Flag("grace", 30.0, "seconds that running requests get at the end"),
    Flag("comments-after", 10.0, "seconds of silence after which streams under /api/v1 get a comment; 0: never"),
    Flag("allow-faults", False, "act on the faults that policy injects; without it they are ignored"),
)


def worker_settings(values: dict[str, Any]) -> WorkerSettings:
    """The settings of flag values."""
    return WorkerSettings(
        node_id=values["node_id"] or f"{socket.gethostname()}-{os.getpid()}",
        controlplane=tuple(a.strip() for a in values["controlplane"].split(",") if a.strip()),
        data_dir=Path(values["data_dir"]),
        listen=values["listen"],
        advertise=values["advertise"],
        metrics_port=values["metrics_port"],
        drain=values["drain"],
        grace=values["grace"],
        allow_faults=values["allow_faults"],
        comments_after=values["comments_after"],
    )


def main(arguments: list[str] | None = None) -> int:
    """Run until a signal."""
    values = read_flags("dataplane", FLAGS, sys.argv[1:] if arguments is None else arguments)
    configure_logging("dataplane")
    settings = worker_settings(values)
    return run(lambda stop: serve(settings, stop))


if __name__ == "__main__":
    sys.exit(main())
