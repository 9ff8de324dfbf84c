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
from services.cli.workers import SERVES
from services.core.errors import StoreUnavailable
from tests.unit.cli.conftest import Turnout
from tests.unit.cli.suite import Suite


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
    assert found["worker"][0] == "warning", "it announced no address that can be called"


def _nodes(monkeypatch: pytest.MonkeyPatch, *nodes: Node, state: str = SERVES, canary: str = "") -> None:
    """A control plane that tells of `nodes`, each of which says `state` of itself."""
    answer = api.ListNodesResponse(nodes=nodes, version="v2", revision=7, canary_version=canary)
    monkeypatch.setattr(doctor, "call", lambda *_arguments: answer)
    monkeypatch.setattr(doctor, "serving", lambda addresses: dict.fromkeys(addresses, state))
    monkeypatch.setenv("TURNOUT_CONTROLPLANE", "127.0.0.1:1")


CURRENT = Node(id="w", address="a:1", connected=True, applied_version="v2", applied_revision=7)
GONE = Node(id="w", address="a:1", applied_version="v2", applied_revision=7)
REFUSING = Node(
    id="w", connected=True, applied_revision=6, nack_problems=[Problem(message=m) for m in ("bad", "worse")]
)


@pytest.mark.parametrize(
    ("node", "says", "state", "told"),
    [
        (CURRENT, SERVES, "ok", "w at a:1 runs the current policy"),
        (
            CURRENT,
            "no answer in time",
            "warning",
            "w at a:1 is connected, but does not serve who asks from here: no answer in time; see its log",
        ),
        (
            Node(id="w", connected=True, applied_version="v1", applied_revision=5),
            SERVES,
            "warning",
            "w is behind: it runs revision 5, the control plane has 7",
        ),
        (Node(id="w", connected=True, applied_version="v3"), SERVES, "ok", "w runs the canary"),
        (GONE, SERVES, "warning", "w at a:1 is cut off from the control plane, and serves by revision 7"),
        (
            GONE,
            "Connection refused",
            "warning",
            "w at a:1 is gone: Connection refused; unless it was taken out, start it again",
        ),
        (REFUSING, SERVES, "error", "w refused the policy: bad; worse; it serves by revision 6"),
    ],
)
def test_a_worker_is_judged_by_what_it_runs_and_by_what_it_says_itself(
    turnout: Turnout, monkeypatch: pytest.MonkeyPatch, node: Node, says: str, state: str, told: str
) -> None:
    _nodes(monkeypatch, node, state=says, canary="v3")
    code, found = findings(turnout)
    assert found["worker"] == (state, told)
    assert found["control plane"] == ("ok", "127.0.0.1:1, policy revision 7")
    assert code == (1 if state == "error" else 0)


def test_an_etcd_that_is_away_is_told_although_the_control_plane_answers(
    admin: Turnout, suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert findings(admin)[1]["store"] == ("ok", "etcd answers")

    async def away() -> None:
        raise StoreUnavailable("etcd at e:1: UNAVAILABLE")

    monkeypatch.setattr(suite.store, "listing", away)
    code, found = findings(admin)
    told = "etcd at e:1: UNAVAILABLE; requests go on, policy cannot be changed"
    assert (code, found["store"], found["control plane"][0]) == (1, ("error", told), "ok")


def test_a_suite_without_workers_serves_nobody(turnout: Turnout, monkeypatch: pytest.MonkeyPatch) -> None:
    _nodes(monkeypatch)
    code, found = findings(turnout)
    assert (code, found["worker"]) == (1, ("error", "none is connected; start one with 'turnout dataplane'"))


def test_without_a_control_plane_the_workers_of_this_folder_are_asked(
    turnout: Turnout, suite: Suite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TURNOUT_CONTROLPLANE", "127.0.0.1:1")
    (tmp_path / ".turnout" / "logs").mkdir(parents=True)
    (tmp_path / ".turnout" / "logs" / "controlplane.log").touch()
    for address, state in ((suite.dataplane, "ok"), ("127.0.0.1:1", "error")):
        (tmp_path / ".turnout" / "ready.json").write_text(json.dumps({"dataplane": [address]}))
        code, found = findings(turnout)
        away = "cannot reach 127.0.0.1:1: Connection refused; requests go on, policy cannot be changed"
        assert found["control plane"] == ("error", f"{away}; see .turnout/logs/controlplane.log")
        assert (code, found["worker"][0]) == (1, state)
    assert found["worker"][1] == "127.0.0.1:1 does not serve: Connection refused"


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
