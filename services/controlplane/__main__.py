"""`python -m services.controlplane`: a replica of the control plane as a process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from services.controlplane.app import ControlPlaneSettings, serve
from services.controlplane.learning.learner import LEARN_SECONDS
from services.controlplane.store.etcd import DEFAULT_PREFIX, EtcdOptions
from services.runtime.flags import Flag, read_flags
from services.runtime.logging import configure_logging
from services.runtime.supervise import run

FLAGS = (
    Flag("listen", "127.0.0.1:7001", "gRPC address, HOST:PORT"),
    Flag("etcd", "127.0.0.1:2379", "etcd endpoints, HOST:PORT, comma-separated"),
    Flag("etcd-prefix", DEFAULT_PREFIX, "prefix of all keys; ends with a slash"),
    Flag("etcd-user", "", "etcd user; its password comes from TURNOUT_ETCD_PASSWORD"),
    Flag("etcd-ca", "", "CA file; switches TLS to etcd on"),
    Flag("etcd-cert", "", "client certificate file for etcd"),
    Flag("etcd-key", "", "client key file for etcd"),
    Flag("metrics-port", 0, "port of Prometheus metrics; 0: none"),
    Flag("grace", 5.0, "seconds that running calls get at the end"),
    Flag("replica", "", "name of this replica; default: host and pid"),
    Flag("advertise", "", "HOST:PORT that other replicas reach this one at; default: --listen"),
    Flag("data-dir", "", "folder for the evidence of experiments and for decisions to learn from; default: in memory"),
    Flag("learn-seconds", LEARN_SECONDS, "seconds between two looks at what there is to learn"),
)


def main(arguments: list[str] | None = None) -> int:
    """Run until a signal."""
    values = read_flags("controlplane", FLAGS, sys.argv[1:] if arguments is None else arguments)
    configure_logging("controlplane")
    files = {name: Path(values[f"etcd_{name}"]) if values[f"etcd_{name}"] else None for name in ("ca", "cert", "key")}
    etcd = EtcdOptions(
        endpoints=tuple(e.strip() for e in values["etcd"].split(",") if e.strip()),
        prefix=values["etcd_prefix"],
        user=values["etcd_user"],
        password=os.environ.get("TURNOUT_ETCD_PASSWORD", ""),
        ca_file=files["ca"],
        cert_file=files["cert"],
        key_file=files["key"],
    )
    settings = ControlPlaneSettings(
        etcd=etcd,
        listen=values["listen"],
        admin_key=os.environ.get("TURNOUT_ADMIN_KEY", ""),
        metrics_port=values["metrics_port"],
        grace=values["grace"],
        replica=values["replica"],
        advertise=values["advertise"],
        data_dir=Path(values["data_dir"]) if values["data_dir"] else None,
        learn_seconds=values["learn_seconds"],
    )
    return run(lambda stop: serve(settings, stop))


if __name__ == "__main__":
    sys.exit(main())
