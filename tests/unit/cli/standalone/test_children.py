"""Child processes: watched, started again, and stopped in reverse order."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.cli.standalone import children as module
from services.cli.standalone.children import Child, ChildFailed, Children


class Reports:
    """What was said, and a wait for the next word."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._more = asyncio.Event()

    def __call__(self, text: str) -> None:
        self.said.append(text)
        self._more.set()

    async def next(self) -> str:
        await asyncio.wait_for(self._more.wait(), 10)
        self._more.clear()
        return self.said[-1]


@pytest.fixture
async def reports() -> Reports:
    return Reports()


@pytest.fixture
async def children(reports: Reports) -> AsyncIterator[Children]:
    found = Children(reports)
    yield found
    await found.stop()


def child(folder: Path, script: str, name: str = "part", **environment: str) -> Child:
    return Child(name, ["/bin/sh", "-c", script], folder / "logs" / f"{name}.log", environment)


async def told(path: Path, text: str) -> None:
    """Return when the log holds `text`."""
    async with asyncio.timeout(10):
        while not path.is_file() or text not in path.read_text():
            await asyncio.sleep(0.01)


async def for_ever() -> None:
    await asyncio.Event().wait()


async def test_a_child_writes_its_log_and_runs_in_a_session_of_its_own(tmp_path: Path, children: Children) -> None:
    started = child(tmp_path, 'echo "$WORD"; echo odd >&2; exec sleep 60', WORD="hello")
    await children.start(started, lambda: told(started.log, "odd"))
    assert started.log_tail() == "hello\nodd"
    assert started.log_tail(1) == "odd"
    assert started.pid is not None
    assert children.pids() == {"part": started.pid}
    assert os.getsid(started.pid) == started.pid != os.getsid(0)


async def test_a_child_that_ends_before_it_is_ready_fails_with_the_end_of_its_log(
    tmp_path: Path, children: Children
) -> None:
    with pytest.raises(ChildFailed, match=r"(?s)part ended with code 3 before it was ready:\n.*no port") as failed:
        await children.start(child(tmp_path, "echo no port; exit 3"), for_ever)
    assert "/bin/sh" not in str(failed.value)
    assert children.pids() == {}


async def test_a_probe_that_fails_is_the_starts_failure(tmp_path: Path, children: Children) -> None:
    async def broken() -> None:
        raise RuntimeError("cannot probe")

    with pytest.raises(RuntimeError, match="cannot probe"):
        await children.start(child(tmp_path, "exec sleep 60"), broken)


async def test_a_child_that_dies_is_started_again_later_each_time(
    tmp_path: Path, children: Children, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    sleep = asyncio.sleep

    async def short(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    started = child(tmp_path, "echo born; exec sleep 60")
    told_pids: list[dict[str, int]] = []
    children.restarted = lambda: told_pids.append(children.pids())
    await children.start(started, lambda: told(started.log, "born"))
    monkeypatch.setattr("services.cli.standalone.children.asyncio.sleep", short)
    for count in (1, 2):
        first = started.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert await reports.next() == f"part ended with code -9; starting it again in {count * 0.5:g} s"
        async with asyncio.timeout(10):
            while started.pid in {None, first} or len(told_pids) < count:
                await sleep(0.005)
        assert told_pids[-1] == {"part": started.pid}
    assert [s for s in slept if s] == [0.5, 1.0]
    assert started.restarts == 2


PARENT = """
import asyncio, pathlib, sys
from services.cli.standalone.children import Child, Children

async def main(log):
    script = "trap 'echo ended; exit 0' TERM; echo ready; while :; do sleep 0.01; done"
    await Children(print).start(Child("part", ["/bin/sh", "-c", script], log))
    await asyncio.Event().wait()

asyncio.run(main(pathlib.Path(sys.argv[1])))
"""


async def test_a_parent_that_is_killed_takes_its_children_along(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, str(log))
    await told(log, "ready")
    parent.kill()
    await parent.wait()
    await told(log, "ended")


async def test_children_stop_last_one_first_and_are_not_started_again(tmp_path: Path, reports: Reports) -> None:
    found, order = Children(reports), tmp_path / "order"
    for name in ("first", "second"):
        script = f"trap 'echo {name} >> {order}; exit 0' TERM; echo ready; while :; do sleep 0.01; done"
        started = child(tmp_path, script, name)
        await found.start(started, lambda log=started.log: told(log, "ready"))  # type: ignore[misc]
    await found.stop()
    assert order.read_text().split() == ["second", "first"]
    assert found.pids() == {}
    assert reports.said == []


async def test_a_child_that_does_not_stop_is_killed(
    tmp_path: Path, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.05)
    found = Children(reports)
    started = child(tmp_path, "trap '' TERM; echo ready; while :; do sleep 0.01; done")
    await found.start(started, lambda: told(started.log, "ready"))
    await found.stop()
    assert started.pid is None
    assert reports.said == ["part did not stop within 0.05 s; killing it"]


def test_a_log_that_is_not_there_has_no_end(tmp_path: Path) -> None:
    assert child(tmp_path, "exit 0").log_tail() == ""
