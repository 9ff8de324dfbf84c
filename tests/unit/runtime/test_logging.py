"""Logs, for people and for machines."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from services.runtime.logging import _TALKATIVE, configure_logging


@pytest.fixture(autouse=True)
def _root() -> Iterator[None]:
    """Leave the loggers as they were."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    levels = {name: logging.getLogger(name).level for name in ("", *_TALKATIVE)}
    yield
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_people_get_a_line_with_time_level_and_service(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TURNOUT_LOG_FORMAT", raising=False)
    configure_logging("dataplane")
    logging.getLogger("x").info("hello %s", "there")
    logging.getLogger("x").debug("not shown")
    assert capsys.readouterr().err.endswith(" INFO    dataplane hello there\n")


def test_machines_get_one_object_per_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TURNOUT_LOG_FORMAT", "JSON")
    monkeypatch.setenv("TURNOUT_LOG_LEVEL", "debug")
    configure_logging("bridge")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("x").exception("it broke: é")
    logging.getLogger("y").debug("fine")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["level"], first["service"], first["logger"]) == ("error", "bridge", "x")
    assert first["message"] == "it broke: é"
    assert "ValueError: two\nlines" in first["exception"]
    assert second["message"] == "fine"
    assert second["time"].endswith("+00:00")


@pytest.mark.parametrize("name", ["grpc._cython.cygrpc", "aiohttp.access", "hpack.hpack", "httpcore.connection"])
def test_debugging_is_not_drowned_by_libraries(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TURNOUT_LOG_LEVEL", "debug")
    configure_logging("bridge")
    logging.getLogger("services.http_bridge").debug("ours")
    logging.getLogger(name).debug("[_cygrpc] Loaded running loop: id(loop)=1")
    logging.getLogger(name).info("GET / 200")
    logging.getLogger(name).warning("trouble")
    lines = capsys.readouterr().err.splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == ["ours", "trouble"]


def test_a_level_that_does_not_exist_means_info(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNOUT_LOG_LEVEL", "loud")
    configure_logging("x")
    assert logging.getLogger().level == logging.INFO
    assert sys.stderr is not None
