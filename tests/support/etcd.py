"""A real etcd on loopback, from the wheel, that can be stopped, killed and started again; alone or as a cluster."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from services.cli.standalone.etcd import etcd_child
from tests.support.ports import free_port
from tests.support.processes import ProcessDied, stop, until


class Etcd:
    """One etcd with its own data folder and fixed ports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = "etcd-cluster"
        self.port = free_port()
        self.peer = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        self.begin()
        until(self.healthy, 30, self._check)

    def _check(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            told = (self.folder / "etcd.log").read_text(errors="replace")[-2000:]
            raise ProcessDied(f"etcd ended with {self._process.returncode}:\n{told}")

    def begin(self, *flags: str) -> None:
        """Start it, and do not wait until it is healthy. The last of equal flags counts."""
        child = etcd_child(self.folder, self.port, self.peer)
        command = [*child.command, "--initial-cluster-token", self.token, *flags]
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "etcd.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def healthy(self) -> bool:
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

    def replace(self, folder: Path, token: str = "another") -> None:
        """Kill it, and start another one with other data at the same port; with another token it has another id."""
        self.kill()
        self.folder, self.token = folder, token
        self.start()

    def stop(self) -> None:
        if self._process is not None:
            stop(self._process)


@contextmanager
def running_etcd(folder: Path) -> Iterator[Etcd]:
    found = Etcd(folder)
    try:
        found.start()
        yield found
    finally:
        found.stop()


@contextmanager
def running_cluster(folder: Path, size: int = 3) -> Iterator[list[Etcd]]:
    """The members of one etcd."""
    members = [Etcd(folder / f"member-{number}") for number in range(size)]
    peers = ",".join(f"m{number}=http://127.0.0.1:{member.peer}" for number, member in enumerate(members))
    try:
        for number, member in enumerate(members):
            member.begin("--name", f"m{number}", "--initial-cluster", peers)
        until(lambda: all(member.healthy() for member in members), 60)
        yield members
    finally:
        for member in members:
            member.stop()
