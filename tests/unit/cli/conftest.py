"""The `turnout` command, run in this process."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.cli import app
from tests.unit.cli.suite import ADMIN_KEY, Suite, running


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


Turnout = Callable[..., Ran]


@pytest.fixture
def turnout(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Turnout:
    """Runs a command line in an empty folder, with nothing of Turnout's in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("TURNOUT_CONTROLPLANE", "TURNOUT_API_KEY", "TURNOUT_DATA_DIR", "TURNOUT_PORT"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["turnout", *arguments])
        capsys.readouterr()
        try:
            with warnings.catch_warnings():
                # cyclopts holds reading sys.argv in a test for a mistake; here it is what the command does.
                warnings.filterwarnings("ignore", message="Cyclopts application invoked without tokens")
                code = app.run()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        told = capsys.readouterr()
        return Ran(code, told.out, told.err)

    return run


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Suite]:
    """A control plane and a worker."""
    with running(tmp_path_factory.mktemp("suite")) as found:
        yield found


@pytest.fixture
def admin(suite: Suite, turnout: Turnout, monkeypatch: pytest.MonkeyPatch) -> Turnout:
    """Runs a command line against the suite, whose store is empty again."""
    monkeypatch.setenv("TURNOUT_CONTROLPLANE", suite.controlplane)
    monkeypatch.setenv("TURNOUT_API_KEY", ADMIN_KEY)
    names = [f"{kind}/{name}" for kind, name in ((k.kind, k.name) for k in suite.store._entries)]
    # Leaves first: what others refer to goes last.
    for target in sorted(names, key=lambda n: n.startswith("Provider/")):
        assert turnout("delete", *target.split("/", 1)).code == 0
    return turnout
