"""Every service says in one sentence that a port is taken, and ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.workers import ROOT

pytestmark = pytest.mark.process

NOWHERE = "127.0.0.1:1"
WORKER = ("--listen", "{free}", "--controlplane", NOWHERE, "--data-dir", "{folder}")
SERVICES = {
    "controlplane": ("--listen", "{free}", "--etcd", NOWHERE),
    "dataplane": WORKER,
    "http_bridge": ("--dataplane", NOWHERE, "--controlplane", NOWHERE),
    "cli.standalone.fused": (*WORKER, "--port", "0"),
}
TAKEN = [
    ("controlplane", "--listen", "127.0.0.1:{port}"),
    ("controlplane", "--metrics-port", "{port}"),
    ("dataplane", "--listen", "127.0.0.1:{port}"),
    ("dataplane", "--metrics-port", "{port}"),
    ("http_bridge", "--port", "{port}"),
    ("cli.standalone.fused", "--listen", "127.0.0.1:{port}"),
    ("cli.standalone.fused", "--metrics-port", "{port}"),
    ("cli.standalone.fused", "--port", "{port}"),
]


@pytest.mark.parametrize(("service", "flag", "value"), TAKEN)
def test_a_taken_port_is_one_sentence_and_an_exit_code(tmp_path: Path, service: str, flag: str, value: str) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'protos' / 'gen'}"}
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        words = {"free": f"127.0.0.1:{free_port()}", "folder": str(tmp_path), "port": str(port)}
        flags = [f.format(**words) for f in (*SERVICES[service], flag, value)]
        command = [sys.executable, "-m", f"services.{service}", *flags]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30, env=environment)
    (line,) = done.stderr.splitlines()
    assert f"{port}: address already in use" in line
    assert " ERROR " in line
    assert (done.returncode, done.stdout) == (1, "")
