"""A real llama.cpp server on loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.ports import free_port
from tests.support.processes import running

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class LlamaServer:
    """Where it is, and its key. It speaks OpenAI's chat completions and Anthropic's messages."""

    url: str
    api_key: str = "sk-local"


@contextmanager
def running_llama(folder: Path) -> Iterator[LlamaServer]:
    model = folder / "tiny.gguf"
    subprocess.run(
        [sys.executable, "-m", "tests.support.tiny_model", str(model)], check=True, cwd=ROOT, capture_output=True
    )
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "tests.support.llama_process", str(model), str(port)]
    environment = {"PYTHONPATH": str(ROOT)}
    with running(command, folder / "llama.log", lambda: _healthy(url), environment=environment):
        yield LlamaServer(url)


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=1, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False
