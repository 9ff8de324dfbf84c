"""Is everything here, and if not, what to do."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from turnout.policy.v1 import policy_service_pb2 as api
from turnout.policy.v1.policy_pb2 import Problem
from turnout.policy.v1.policy_service_pb2 import Node

from services.cli import doctor
from services.cli.standalone.etcd import EtcdMissing
from services.cli.standalone.policy import REAL_PROVIDERS
from tests.unit.cli.conftest import Turnout


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for provider in REAL_PROVIDERS:
        monkeypatch.delenv(provider.variable, raising=False)


def findings(turnout: Turnout) -> tuple[int, dict[str, tuple[str, str]]]:
    ran = turnout("doctor", "--json")
    return ran.code, {f["name"]: (f["state"], f["message"]) for f in json.loads(ran.out)}


def test_a_fresh_machine_is_fine_but_for_keys_and_a_suite(turnout: Turnout) -> None:
    code, found = findings(turnout)
    assert code == 0
    assert {name: state for name, (state, _) in found.items()} == {
        "python": "ok",
        "etcd": "ok",
        "provider keys": "warning",
        "suite": "warning",
    }
    assert "simulated providers" in found["provider keys"][1]
    shown = turnout("doctor").out
    assert "ok       python" in shown


def test_a_provider_key_is_named_and_never_shown(turnout: Turnout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    _, found = findings(turnout)
    assert found["provider keys"] == ("ok", "OPENAI_API_KEY")
    assert "canary" not in turnout("doctor").out


def test_a_machine_without_etcd_is_told_and_is_code_1(turnout: Turnout, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise EtcdMissing("no etcd: install it")

    monkeypatch.setattr(doctor, "etcd_program", missing)
    code, found = findings(turnout)
    assert (code, found["etcd"]) == (1, ("error", "no etcd: install it"))


def test_a_running_suite_is_looked_at(admin: Turnout) -> None:
    _, found = findings(admin)
    assert found["control plane"][0] == "ok"
    assert found["worker"][0] in {"ok", "warning"}


def _nodes(monkeypatch: pytest.MonkeyPatch, *nodes: Node) -> None:
    answer = api.ListNodesResponse(nodes=nodes, version="v2", revision=7)
    monkeypatch.setattr(doctor, "call", lambda *_arguments: answer)
    monkeypatch.setenv("TURNOUT_CONTROLPLANE", "127.0.0.1:1")


@pytest.mark.parametrize(
    ("node", "state", "told"),
    [
        (
            Node(id="w", address="a:1", connected=True, applied_version="v2"),
            "ok",
            "w at a:1 runs the current policy",
        ),
        (Node(id="w", connected=True, applied_version="v1"), "warning", "w is behind"),
        (Node(id="w", connected=False, applied_version="v2"), "warning", "w is not connected"),
        (
            Node(id="w", connected=True, nack_problems=[Problem(message="bad"), Problem(message="worse")]),
            "error",
            "w refused the policy: bad; worse",
        ),
    ],
)
def test_a_worker_is_judged_by_the_policy_that_it_runs(
    turnout: Turnout, monkeypatch: pytest.MonkeyPatch, node: Node, state: str, told: str
) -> None:
    _nodes(monkeypatch, node)
    code, found = findings(turnout)
    assert found["worker"] == (state, told)
    assert found["control plane"] == ("ok", "127.0.0.1:1, policy revision 7")
    assert code == (1 if state == "error" else 0)


def test_a_suite_without_workers_serves_nobody(turnout: Turnout, monkeypatch: pytest.MonkeyPatch) -> None:
    _nodes(monkeypatch)
    code, found = findings(turnout)
    assert (code, found["worker"]) == (1, ("error", "none is connected; start one with 'turnout dataplane'"))


def test_a_control_plane_that_is_away_is_told(turnout: Turnout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNOUT_CONTROLPLANE", "127.0.0.1:1")
    code, found = findings(turnout)
    assert (code, found["control plane"][0]) == (1, "error")
    assert "cannot reach 127.0.0.1:1" in found["control plane"][1]


@pytest.mark.parametrize(("status", "state"), [(200, "ok"), (503, "error")])
def test_the_bridge_of_this_folder_is_asked_whether_it_is_ready(
    turnout: Turnout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int, state: str
) -> None:
    _ready(tmp_path)
    _nodes(monkeypatch)
    asked: list[str] = []

    def get(url: str, **_more: object) -> httpx.Response:
        asked.append(url)
        return httpx.Response(status, json={"status": "so"})

    monkeypatch.setattr(httpx, "get", get)
    assert findings(turnout)[1]["bridge"] == (state, "http://127.0.0.1:1 says so")
    assert asked == ["http://127.0.0.1:1/readyz"]


def test_a_bridge_that_is_away_is_told(turnout: Turnout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _ready(tmp_path)
    _nodes(monkeypatch)
    assert findings(turnout)[1]["bridge"] == ("error", "http://127.0.0.1:1 cannot be reached: ConnectError")


def _ready(folder: Path) -> None:
    (folder / ".turnout").mkdir()
    (folder / ".turnout" / "ready.json").write_text('{"url": "http://127.0.0.1:1"}')
