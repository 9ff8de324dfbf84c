"""Which suite a command talks to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.cli.connection import Connection, rpc_errors
from services.cli.output import Fail
from tests.support.ports import free_port
from tests.unit.cli.conftest import Turnout


def ready(folder: Path, content: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "ready.json").write_text(content)
    return folder


def test_a_flag_beats_the_file_of_a_running_suite(tmp_path: Path) -> None:
    folder = ready(tmp_path / "data", json.dumps({"controlplane": "file:1", "api_key": "to-file"}))
    assert Connection(data_dir=folder).address() == "file:1"
    assert Connection(data_dir=folder).metadata() == (("authorization", "Bearer to-file"),)
    named = Connection("flag:1", "to-flag", folder)
    assert named.address() == "flag:1"
    assert named.metadata() == (("authorization", "Bearer to-flag"),)


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}"])
def test_a_file_that_says_nothing_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    connection = Connection(data_dir=ready(tmp_path / "data", content))
    assert connection.ready() == {}
    assert connection.metadata() == ()
    with pytest.raises(Fail, match="no control plane is known"):
        connection.address()


def test_a_suite_that_is_away_is_a_sentence(turnout: Turnout) -> None:
    address = f"127.0.0.1:{free_port()}"
    told = turnout("nodes", "--controlplane", address)
    assert told.code == 1
    assert told.err.startswith(f"error: cannot reach {address}: ")
    assert "Traceback" not in told.err


def test_no_suite_at_all_says_how_to_start_one(turnout: Turnout) -> None:
    told = turnout("get")
    assert told.code == 1
    assert "turnout up" in told.err


def test_an_error_that_is_not_grpcs_is_left_alone() -> None:
    with pytest.raises(KeyError), rpc_errors("x"):
        raise KeyError("x")
