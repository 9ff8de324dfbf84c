"""The tables on show for everybody in this replica, and what has changed for somebody who has seen others.

The learner writes them at the replica that collects evidence, the relay at the others. Readers never queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from turnout.learning.v1 import learning_service_pb2 as pb

from services.controlplane.learning.variants import VariantName

Tabled = Mapping[VariantName, pb.LearnedTable]


def name_of(table: pb.LearnedTable) -> VariantName:
    """The variant that a table is about."""
    return VariantName(table.router_id, table.route_id, table.variant_id)


def by_name(tables: Iterable[pb.LearnedTable]) -> dict[VariantName, pb.LearnedTable]:
    """Tables by the variant that they are about."""
    return {name_of(table): table for table in tables}


def everything(tables: Tabled | None) -> pb.StreamTablesResponse:
    """What a stream begins with; of a replica that does not know the tables yet (None) an answer that takes none away."""
    return pb.StreamTablesResponse(full=tables is not None, tables=(tables or {}).values())


def changes(before: Tabled | None, now: Tabled) -> pb.StreamTablesResponse | None:
    """What somebody with the tables `before` must hear; None: nothing."""
    if before is None or before.keys() - now.keys():
        return everything(now)
    changed = [table for name, table in now.items() if name not in before or before[name].version != table.version]
    return pb.StreamTablesResponse(tables=changed) if changed else None


class Tables:
    """The tables, and whoever waits for the next."""

    def __init__(self) -> None:
        self._current: Tabled | None = None
        self._changed = asyncio.Event()

    @property
    def current(self) -> Tabled | None:
        """The tables by variant, in order; None: this replica does not know them yet."""
        return self._current

    def show(self, tables: Tabled) -> None:
        """Replace what is on show."""
        self._current = dict(sorted(tables.items(), key=lambda pair: str(pair[0])))
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def hear(self, response: pb.StreamTablesResponse) -> None:
        """Show what another replica said."""
        if not response.full and self._current is None:
            return  # it does not know them either
        before = {} if response.full else dict(self._current or {})
        self.show({**before, **by_name(response.tables)})

    async def other_than(self, seen: Tabled | None) -> Tabled | None:
        """The tables as soon as they are not `seen`."""
        while self._current is seen:
            await self._changed.wait()
        return self._current
