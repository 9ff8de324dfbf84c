"""The fused process: what it serves where."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import pytest

from tests.support.ports import free_port
from tests.support.processes import running, until
from tests.support.workers import NOWHERE, ROOT

pytestmark = pytest.mark.process


def get(url: str) -> str:
    try:
        return httpx.get(url, timeout=2, trust_env=False).text
    except httpx.HTTPError:
        return ""


def test_metrics_are_at_the_bridges_port_and_at_their_own(tmp_path: Path) -> None:
    http, metrics = free_port(), free_port()
    command = [sys.executable, "-m", "services.cli.standalone.fused", "--listen", f"127.0.0.1:{free_port()}"]
    command += ["--port", str(http), "--metrics-port", str(metrics), "--data-dir", str(tmp_path)]
    command += ["--controlplane", NOWHERE]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'protos' / 'gen'}"}
    healthy = lambda: bool(get(f"http://127.0.0.1:{http}/healthz"))  # noqa: E731
    with running(command, tmp_path / "fused.log", healthy, environment=environment):
        for port in (http, metrics):
            until(lambda port=port: "turnout_requests_in_flight" in get(f"http://127.0.0.1:{port}/metrics"), 5)
        assert get(f"http://127.0.0.1:{http}/metrics") == get(f"http://127.0.0.1:{metrics}/metrics")
