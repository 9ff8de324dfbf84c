"""Tables of a worker: what pushes do to them, and what is on disk."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from turnout.learning.v1 import learning_service_pb2 as pb

from services.core.routing.learned.clusters import Kinds
from services.dataplane.learned_tables import MAGIC, TableHolder, TablesFile
from services.dataplane.tables_client import TablesClient
from services.runtime.clock import SystemClock
from services.runtime.testing import FakeClock
from tests.support.inprocess import eventually
from tests.support.teacher import KINDS, table, teaching

ONE, TWO = table({"p/a": [0.9, 0.1]}), table({"p/a": [0.5, 0.5]}, variant="w")
NEWER = table({"p/a": [0.8, 0.2]})


def names(holder: TableHolder) -> dict[str, str]:
    return {variant: tabled.version for (_, _, variant), tabled in holder.current.items()}


def test_a_push_is_everything_or_beside_what_is_there() -> None:
    holder = TableHolder(KINDS)
    assert holder.put(pb.StreamTablesResponse(full=True, tables=[ONE]))
    first = holder.current
    assert holder.put(pb.StreamTablesResponse(tables=[TWO]))
    assert names(holder) == {"v": ONE.version, "w": TWO.version}
    assert holder.current["r", "d", "v"] is first["r", "d", "v"], "what has not changed is not made again"
    assert len(first) == 1, "a request keeps what it took"
    assert holder.put(pb.StreamTablesResponse(tables=[NEWER]))
    assert names(holder) == {"v": NEWER.version, "w": TWO.version}
    assert holder.put(pb.StreamTablesResponse(full=True, tables=[TWO]))
    assert names(holder) == {"w": TWO.version}


@pytest.mark.parametrize(
    "push",
    [
        pb.StreamTablesResponse(),
        pb.StreamTablesResponse(tables=[ONE]),
        pb.StreamTablesResponse(full=True, tables=[ONE]),
    ],
)
def test_a_push_that_says_nothing_new_changes_nothing(push: pb.StreamTablesResponse) -> None:
    holder = TableHolder(KINDS)
    holder.put(pb.StreamTablesResponse(full=True, tables=[ONE]))
    before = holder.current
    assert not holder.put(push)
    assert holder.current is before


def test_a_replica_that_does_not_know_the_tables_takes_none_away() -> None:
    holder = TableHolder(KINDS)
    assert not holder.put(pb.StreamTablesResponse())
    holder.put(pb.StreamTablesResponse(full=True, tables=[ONE]))
    assert not holder.put(pb.StreamTablesResponse())
    assert names(holder) == {"v": ONE.version}


def test_a_table_has_what_a_decision_reads() -> None:
    holder = TableHolder(KINDS)
    holder.put(pb.StreamTablesResponse(tables=[ONE]))
    held = holder.current["r", "d", "v"]
    assert (held.kinds, held.decisions, held.learned_at) == (KINDS.version, 100, 1_750_000_000.0)
    assert held.table is not None
    assert held.table.estimate({0: 1.0}, "p/a").reward > held.table.estimate({1: 1.0}, "p/a").reward


def test_a_table_of_other_kinds_is_held_and_not_used() -> None:
    holder = TableHolder(Kinds("newer", KINDS.clusters))
    holder.put(pb.StreamTablesResponse(tables=[ONE]))
    assert holder.current["r", "d", "v"].table is None


def test_their_age_is_that_of_the_newest() -> None:
    holder = TableHolder(KINDS)
    assert holder.age(1_750_000_060.0) == 0.0
    newer = table({"p/a": [0.5, 0.5]}, variant="w")
    newer.learned_at.seconds += 20
    holder.put(pb.StreamTablesResponse(tables=[ONE, newer]))
    assert holder.age(1_750_000_060.0) == 40.0
    assert holder.age(1_700_000_000.0) == 0.0, "a clock that is behind"


def test_what_was_saved_is_loaded_newest_first_and_damage_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "learned.tables"
    assert list(TablesFile(path).load()) == []
    first, second = (pb.StreamTablesResponse(full=True, tables=[each]) for each in (ONE, NEWER))
    TablesFile(path).save(first)
    TablesFile(path).save(second)
    assert list(TablesFile(path).load()) == [second, first]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert list(TablesFile(path).load()) == [first]
    assert path.read_bytes().startswith(MAGIC)


async def test_a_client_reconnects_keeps_what_it_has_and_writes_what_is_new(tmp_path: Path) -> None:
    file = TablesFile(tmp_path / "learned.tables")
    holder = TableHolder(KINDS)
    async with teaching() as teacher:
        client = TablesClient(["127.0.0.1:1", teacher.address], "w", holder, file, SystemClock())
        assert not client.load_file()
        running = asyncio.create_task(client.run())
        teacher.say(ONE, full=True)
        await eventually(lambda: bool(holder.current))
        teacher.hang_up()
        await eventually(lambda: teacher.streams > 1)
        assert names(holder) == {"v": ONE.version}
        teacher.say(NEWER)
        await eventually(lambda: names(holder) == {"v": NEWER.version})
        await eventually(lambda: any(m.tables[0].version == NEWER.version for m in file.load()))
        client.stop()
        await running
    again = TableHolder(KINDS)
    assert TablesClient(["127.0.0.1:1"], "w", again, file, FakeClock()).load_file()
    assert names(again) == {"v": NEWER.version}


async def test_a_disk_that_takes_nothing_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    holder = TableHolder(KINDS)
    async with teaching() as teacher:
        client = TablesClient([teacher.address], "w", holder, TablesFile(tmp_path / "file" / "t"), SystemClock())
        running = asyncio.create_task(client.run())
        teacher.say(ONE)
        await eventually(lambda: client.file_failures == 1)
        assert names(holder) == {"v": ONE.version}
        client.stop()
        await running
