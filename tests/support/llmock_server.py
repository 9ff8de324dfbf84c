"""llmock as a process: an independent mock provider that also judges its client's behaviour."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.ports import free_port
from tests.support.processes import running


class LlmockServer:
    """A running llmock."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def scenario(self, *behaviours: dict[str, Any]) -> None:
        httpx.post(
            f"{self.url}/_llmock/scenario", json={"behaviors": list(behaviours)}, trust_env=False
        ).raise_for_status()

    def requests(self) -> Any:
        return httpx.get(f"{self.url}/_llmock/requests", trust_env=False).json()

    def verdict(self) -> Any:
        return httpx.get(f"{self.url}/_llmock/verdict", trust_env=False).json()

    def healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/_llmock/requests", trust_env=False, timeout=1).status_code == 200
        except httpx.HTTPError:
            return False


@contextmanager
def running_llmock(folder: Path, *flags: str) -> Iterator[LlmockServer]:
    port = free_port()
    found = LlmockServer(port)
    command = [str(Path(sys.executable).parent / "llmock"), "serve", "-p", str(port), *flags]
    with running(command, folder / "llmock.log", found.healthy):
        yield found
