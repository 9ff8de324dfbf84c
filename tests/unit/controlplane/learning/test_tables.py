"""Tables on show: what a stream says to whom."""

from __future__ import annotations

import asyncio

from turnout.learning.v1 import learning_service_pb2 as pb

from services.controlplane.learning.tables import Tables, by_name, changes, everything, name_of


def table(variant: str, version: str) -> pb.LearnedTable:
    return pb.LearnedTable(router_id="r", route_id="d", variant_id=variant, version=version)


A1, A2, B1 = table("a", "1"), table("a", "2"), table("b", "1")


def test_a_replica_that_does_not_know_the_tables_takes_none_away() -> None:
    assert everything(None) == pb.StreamTablesResponse(full=False)
    assert everything({}) == pb.StreamTablesResponse(full=True)
    assert everything(by_name([A1])) == pb.StreamTablesResponse(full=True, tables=[A1])


def test_only_what_has_changed_is_said() -> None:
    before = by_name([A1, B1])
    assert changes(before, by_name([A2, B1])) == pb.StreamTablesResponse(tables=[A2])
    assert changes(by_name([A1]), before) == pb.StreamTablesResponse(tables=[B1])
    assert changes(before, by_name([A1, B1])) is None


def test_a_table_that_is_gone_makes_the_answer_full() -> None:
    assert changes(by_name([A1, B1]), by_name([A1])) == pb.StreamTablesResponse(full=True, tables=[A1])
    assert changes(None, {}) == pb.StreamTablesResponse(full=True)


def test_what_is_heard_is_shown_as_it_was_said() -> None:
    tables = Tables()
    tables.hear(pb.StreamTablesResponse())
    assert tables.current is None, "the other replica does not know them either"
    tables.hear(pb.StreamTablesResponse(full=True, tables=[A1, B1]))
    tables.hear(pb.StreamTablesResponse(tables=[A2]))
    assert tables.current == {name_of(A2): A2, name_of(B1): B1}
    tables.hear(pb.StreamTablesResponse())
    assert tables.current == {name_of(A2): A2, name_of(B1): B1}
    tables.hear(pb.StreamTablesResponse(full=True))
    assert tables.current == {}


async def test_who_waits_hears_of_the_next_tables() -> None:
    tables = Tables()
    waiting = [asyncio.create_task(tables.other_than(None)) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    tables.show(by_name([A1]))
    assert await asyncio.gather(*waiting) == [by_name([A1])] * 2
    assert await tables.other_than(None) == by_name([A1])
