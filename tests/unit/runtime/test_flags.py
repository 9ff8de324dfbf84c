"""Flags of the services: every one also a variable, and everything that is wrong told at once."""

from __future__ import annotations

import pytest

from services.controlplane.__main__ import FLAGS as CONTROLPLANE
from services.dataplane.__main__ import FLAGS as DATAPLANE
from services.http_bridge.__main__ import FLAGS as BRIDGE
from services.runtime.flags import Flag, read_flags

FLAGS = (
    Flag("listen", "127.0.0.1:1", "address"),
    Flag("metrics-port", 0, "port"),
    Flag("grace", 5.0, "seconds"),
    Flag("fast", False, "hurry"),
)


def test_defaults_hold_when_nothing_is_said() -> None:
    assert read_flags("t", FLAGS, [], {}) == {"listen": "127.0.0.1:1", "metrics_port": 0, "grace": 5.0, "fast": False}


def test_a_variable_beats_the_default_and_a_flag_beats_the_variable() -> None:
    environment = {"TURNOUT_LISTEN": "a:1", "TURNOUT_METRICS_PORT": "9", "TURNOUT_GRACE": "2.5", "TURNOUT_FAST": "Yes"}
    assert read_flags("t", FLAGS, [], environment) == {"listen": "a:1", "metrics_port": 9, "grace": 2.5, "fast": True}
    told = read_flags("t", FLAGS, ["--listen", "b:2", "--metrics-port=7", "--no-fast"], environment)
    assert told == {"listen": "b:2", "metrics_port": 7, "grace": 2.5, "fast": False}


def test_an_empty_variable_says_nothing() -> None:
    assert read_flags("t", FLAGS, [], {"TURNOUT_METRICS_PORT": ""})["metrics_port"] == 0


def test_all_bad_variables_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"TURNOUT_METRICS_PORT": "x", "TURNOUT_GRACE": "soon", "TURNOUT_FAST": "maybe"}
    with pytest.raises(SystemExit) as caught:
        read_flags("t", FLAGS, [], environment)
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert "TURNOUT_METRICS_PORT='x' is not a whole number" in told
    assert "TURNOUT_GRACE='soon' is not a number" in told
    assert "TURNOUT_FAST='maybe' is not true or false" in told


@pytest.mark.parametrize("arguments", [["--lis", "a"], ["--metrics-port", "x"], ["stray"], ["--unknown", "1"]])
def test_a_bad_flag_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        read_flags("service", FLAGS, arguments, {})
    assert caught.value.code == 2
    assert "service: error" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [CONTROLPLANE, DATAPLANE, BRIDGE])
def test_help_names_every_flag_of_a_service_with_its_variable(
    flags: tuple[Flag, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        read_flags("service", flags, ["--help"], {})
    assert caught.value.code == 0
    told = capsys.readouterr().out
    for flag in flags:
        assert f"--{flag.name}" in told
        assert flag.variable in told
