"""A real etcd on loopback, from the wheel, that can be stopped, killed and started again."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from services.cli.standalone.etcd import etcd_child
from tests.support.ports import free_port
from tests.support.processes import stop, until


class Etcd:
    """One etcd with its own data folder and fixed ports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._peer = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        child = etcd_child(self.folder, self.port, self._peer)
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "etcd.log").open("ab") as log:
            self._process = subprocess.Popen(list(child.command), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(self._healthy, 30)

    def _healthy(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                return False
        try:
            return httpx.get(f"http://{self.endpoint}/health", timeout=1, trust_env=False).json()["health"] == "true"
        except (httpx.HTTPError, ValueError):
            return False

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def stop(self) -> None:
        if self._process is not None:
            stop(self._process)


@contextmanager
def running_etcd(folder: Path) -> Iterator[Etcd]:
    found = Etcd(folder)
    found.start()
    try:
        yield found
    finally:
        found.stop()
