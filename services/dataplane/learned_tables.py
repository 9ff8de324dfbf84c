"""What was learned, as this worker has it: tables by variant, replaced by one assignment, and kept on disk.

A request takes the tables once and keeps them. Nobody waits for them: without any, priors decide. A worker that starts
while the control plane is away begins with those of its disk.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from google.protobuf.message import DecodeError
from turnout.learning.v1 import learning_service_pb2 as pb

from services.core.routing.learned.clusters import Kinds
from services.core.routing.learning import NO_TABLES, Tabled, Tables, VariantKey
from services.dataplane.checked_file import CheckedFile
from services.wire.learning import to_tabled

log = logging.getLogger(__name__)

MAGIC = b"TURNLRN1"


class TableHolder:
    """Holds the present tables."""

    def __init__(self, kinds: Kinds) -> None:
        self.kinds = kinds
        self.current: Tables = NO_TABLES
        """Never changed in place; a request takes it once and keeps it."""
        self._messages: dict[VariantKey, pb.LearnedTable] = {}

    def age(self, now: float) -> float:
        """Seconds since the newest of the tables was learned; `now` since the Unix epoch. 0.0: there is none."""
        return max(0.0, now - max((tabled.learned_at for tabled in self.current.values()), default=now))

    def put(self, response: pb.StreamTablesResponse) -> bool:
        """Put tables in force: these only, or these beside those that are there; whether anything has changed."""
        messages = {} if response.full else dict(self._messages)
        messages.update({_key(message): message for message in response.tables})
        held = {key: tabled for key, tabled in self.current.items() if key in messages}
        fresh = {k: m for k, m in messages.items() if k not in held or held[k].version != m.version}
        if not fresh and len(held) == len(self.current):
            return False
        self.current = {**held, **{key: self._tabled(message) for key, message in fresh.items()}}
        self._messages = messages
        return True

    def message(self) -> pb.StreamTablesResponse:
        """All tables, as `put` takes them."""
        return pb.StreamTablesResponse(full=True, tables=self._messages.values())

    def _tabled(self, message: pb.LearnedTable) -> Tabled:
        tabled = to_tabled(message, self.kinds)
        name = "/".join(_key(message))
        if tabled.table is None:
            log.warning(
                "the table of %s is about kinds of requests %s, not %s", name, message.kinds, self.kinds.version
            )
        else:
            log.info("table %s of %s is in force, of %d decisions", message.version, name, message.decisions)
        return tabled


def _key(message: pb.LearnedTable) -> VariantKey:
    return message.router_id, message.route_id, message.variant_id


class TablesFile:
    """The tables on the disk of one worker."""

    def __init__(self, path: Path) -> None:
        self._file = CheckedFile(path, MAGIC)

    def load(self) -> Iterable[pb.StreamTablesResponse]:
        """The tables on disk that are sound, newest first."""
        for path, body in self._file.load():
            try:
                yield pb.StreamTablesResponse.FromString(body)
            except DecodeError:
                self._file.damaged(path)

    def save(self, message: pb.StreamTablesResponse) -> None:
        """Write the tables; those that were there become the previous ones.

        Raises:
            OSError: The disk is full or read-only; the old files are still good.
        """
        self._file.save(message.SerializeToString(deterministic=True))
