"""The command itself: help, version, and mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.cli.output import Fail
from services.cli.standalone.up import UpOptions
from services.runtime.version import VERSION
from tests.unit.cli.conftest import Turnout

COMMANDS = [
    "apply",
    "validate",
    "diff",
    "get",
    "delete",
    "simulate",
    "nodes",
    "logs",
    "doctor",
    "keys",
    "up",
    "controlplane",
    "dataplane",
    "bridge",
]


def test_help_names_every_command(turnout: Turnout) -> None:
    shown = turnout("--help")
    assert shown.code == 0
    assert all(command in shown.out for command in COMMANDS)


def test_the_version_is_the_packages(turnout: Turnout) -> None:
    assert turnout("--version").out.strip() == VERSION


@pytest.mark.parametrize("command", ["controlplane", "dataplane", "bridge"])
def test_a_service_shows_its_own_flags(turnout: Turnout, command: str) -> None:
    shown = turnout(command, "--help")
    assert shown.code == 0
    assert "[TURNOUT_" in shown.out


@pytest.mark.parametrize(
    "arguments",
    [("up", "--workers", "0"), ("up", "--workers", "2", "--topology", "fused"), ("frobnicate",), ("get", "--odd")],
)
def test_a_mistake_is_no_traceback(turnout: Turnout, arguments: tuple[str, ...]) -> None:
    told = turnout(*arguments)
    assert told.code != 0
    assert "Traceback" not in told.err + told.out


def test_up_is_started_with_what_it_was_asked_for(
    turnout: Turnout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[UpOptions] = []

    def up(options: UpOptions) -> int:
        started.append(options)
        return 7

    monkeypatch.setattr("services.cli.standalone.up.up", up)
    assert turnout("up").code == 7
    (tmp_path / "policy.yaml").write_text("kind: Provider\nname: p\ntype: openai\n")
    monkeypatch.setenv("TURNOUT_PORT", "9001")
    arguments = ("--policy", "policy.yaml", "--workers", "3", "--etcd", "e:1,e:2", "--data-dir", "here", "--simulated")
    turnout("up", *arguments)
    turnout("up", "--topology", "fused", "--host", "0.0.0.0")
    plain, full, fused = started
    assert plain == UpOptions("127.0.0.1", 8080, Path(".turnout"), [], "", 1, "grpc", simulated=False)
    assert (full.port, full.workers, full.etcd, full.data_dir) == (9001, 3, "e:1,e:2", Path("here"))
    assert (full.simulated, [r.provider.name for r in full.policy]) == (True, ["p"])
    assert (fused.topology, fused.host, fused.workers) == ("fused", "0.0.0.0", 1)


@pytest.mark.parametrize(
    ("raised", "code"), [(KeyboardInterrupt(), 130), (BrokenPipeError(), 0), (Fail("no\nand no", code=2), 2)]
)
def test_an_interruption_is_an_exit_code(
    turnout: Turnout, monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int
) -> None:
    def up(_options: UpOptions) -> int:
        raise raised

    monkeypatch.setattr("services.cli.standalone.up.up", up)
    ran = turnout("up")
    assert ran.code == code
    assert ran.err == ("error: no\nerror: and no\n" if code == 2 else "")
