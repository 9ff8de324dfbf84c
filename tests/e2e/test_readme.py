"""What the README promises a newcomer: its first command, and its curl line with the answer that it shows."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.llama import ROOT
from tests.support.ports import free_port
from tests.support.processes import running

pytestmark = pytest.mark.process

README = (ROOT / "README.md").read_text()
TIMES = {"duration_ms", "time_to_first_token_ms"}


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("readme")
    path = folder / "data" / "ready.json"
    command = [sys.executable, "-m", "services.cli", "up", "--simulated", "--port", str(free_port())]
    command += ["--data-dir", str(path.parent)]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'protos' / 'gen'}"}
    with running(command, folder / "up.log", path.exists, environment=environment):
        yield json.loads(path.read_text())


def test_the_curl_line_is_answered_as_shown(ready: dict[str, Any]) -> None:
    line = README.partition("curl http://127.0.0.1:8080")[2].partition("```")[0]
    path = line.split()[0]
    body = line.partition("-d '")[2].rpartition("'")[0]
    shown = json.loads(README.partition("```json\n")[2].partition("```")[0])
    headers = {"Authorization": f"Bearer {ready['api_key']}", "Content-Type": "application/json"}
    answer = httpx.post(f"{ready['url']}{path}", content=body, headers=headers, trust_env=False)
    assert answer.status_code == 200
    assert_holds(answer.json(), shown)


def assert_holds(found: Any, shown: Any, name: str = "") -> None:
    """`found` has everything that is shown, and the same, but for how long things took."""
    if isinstance(shown, dict):
        for key, value in shown.items():
            assert key in found, f"{name}.{key}"
            assert_holds(found[key], value, f"{name}.{key}")
    elif isinstance(shown, list):
        assert len(found) == len(shown), name
        for index, (one, other) in enumerate(zip(found, shown, strict=True)):
            assert_holds(one, other, f"{name}[{index}]")
    elif name.rpartition(".")[2] in TIMES:
        assert found >= 0.0, name
    else:
        assert found == (pytest.approx(shown) if isinstance(shown, float) else shown), name
