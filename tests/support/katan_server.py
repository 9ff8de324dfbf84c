"""llm-katan as a process: an independent echo server that speaks several providers' APIs and checks their keys."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.ports import free_port
from tests.support.processes import running


@contextmanager
def running_katan(folder: Path, keys: Mapping[str, str], *flags: str) -> Iterator[str]:
    """Serve the APIs of `keys`, and yield the address.

    Args:
        keys: The key that each API takes, by llm-katan's name for it.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(Path(sys.executable).parent / "llm-katan"), "--model", "echo", "--backend", "echo"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--stats-file", str(folder / "stats.json")]
    command += ["--providers", ",".join(keys), "--validate-keys"]
    command += ["--api-keys", ",".join(f"{name}={key}" for name, key in keys.items()), *flags]

    def healthy() -> bool:
        try:
            return httpx.get(f"{url}/health", trust_env=False, timeout=1).status_code == 200
        except httpx.HTTPError:
            return False

    with running(command, folder / "katan.log", healthy):
        yield url
