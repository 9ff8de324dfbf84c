"""SQLite tables that are copied from one replica to another, row by row as they are added.

Every table has a number per row, `seq`, that only rises, and a unique `id`. A copy remembers how far it has come with
each evidence that it was made from. Rows may be sent twice, and after a change of the replica that is copied from
everything is sent again at worst. A file of an older release gets the columns that it lacks when it is opened.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from services.core.values import Value

log = logging.getLogger(__name__)

IGNORE, REPLACE = "IGNORE", "REPLACE"
"""What becomes of a row whose id is there already: it is left out, or takes the other one's place."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS evidence (id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS copied (evidence TEXT, name TEXT, seq INTEGER NOT NULL, PRIMARY KEY (evidence, name));
"""

_LACKS = 1
"""`user_version` of a file that took the place of a broken one, until it has what that one had."""
_REMEMBERED = 64
"""Tables of other replicas whose end is told: replicas come and go."""


class Rows(Value, frozen=True):
    """Rows of a table, in the order in which they were added; `last` is the number of the last one."""

    table: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    last: int


class CopiedTables:
    """A SQLite file with such tables. Its methods block; they may be called in any thread, one at a time goes in.

    Args:
        path: The file; None: in memory.
        schema: The tables, as SQL.
        tables: `IGNORE` or `REPLACE` by name. Each has `seq INTEGER PRIMARY KEY AUTOINCREMENT` and `id TEXT UNIQUE`.
    """

    def __init__(self, path: Path | None, schema: str, tables: Mapping[str, str]) -> None:
        self.db = _opened(path, schema)
        self.lock = threading.Lock()
        self._tables = tables
        self._columns = {name: self._columns_of(name) for name in tables}
        with self.lock, self.db:
            found = self.db.execute("SELECT id FROM evidence").fetchone()
            self.evidence_id: str = found[0] if found else secrets.token_hex(8)
            """Which evidence this is; another one at each replica."""
            if not found:
                self.db.execute("INSERT INTO evidence VALUES (?)", (self.evidence_id,))

    @property
    def lacks(self) -> bool:
        """Whether it took the place of a broken file, and nothing says yet that it has what that one had."""
        return bool(self.rows("PRAGMA user_version")[0][0] == _LACKS)

    def complete(self) -> None:
        """Note that it lacks nothing any more that could still be had."""
        with self.lock:
            self.db.execute("PRAGMA user_version = 0")

    def _columns_of(self, table: str) -> list[str]:
        return [name for _, name, *_ in self.db.execute(f"PRAGMA table_info({table})") if name != "seq"]

    def rows(self, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        """The answer to a query."""
        with self.lock:
            return self.db.execute(sql, values).fetchall()

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
        """Add rows inside of a transaction of the caller's, who holds the lock; how many were added."""
        marks = ",".join("?" * len(columns))
        sql = f"INSERT OR {self._tables[table]} INTO {table} ({','.join(columns)}) VALUES ({marks})"  # noqa: S608
        return self.db.executemany(sql, rows).rowcount

    def after(self, seen: Mapping[str, int], limit: int) -> Rows | None:
        """The next rows that a copy lacks, of one table; None: it has everything.

        Args:
            seen: Number of the last row that the copy has, by table.
            limit: Most rows.
        """
        for table in self._tables:
            columns = self._columns[table]
            sql = f"SELECT seq, {','.join(columns)} FROM {table} WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608
            found = self.rows(sql, (seen.get(table, 0), limit))
            if found:
                return Rows(table, columns, [row[1:] for row in found], found[-1][0])
        return None

    def take(self, evidence_id: str, found: Rows) -> None:
        """Keep rows of another evidence. Columns and tables that this release does not know are left out."""
        if found.table not in self._columns:
            return
        places = [i for i, name in enumerate(found.columns) if name in self._columns[found.table]]
        columns = [found.columns[i] for i in places]
        with self.lock, self.db:
            self.insert(found.table, columns, [[row[i] for i in places] for row in found.rows])
            self.db.execute("INSERT OR REPLACE INTO copied VALUES (?,?,?)", (evidence_id, found.table, found.last))

    def copied(self) -> dict[str, int]:
        """How far which evidence was copied: number of the last row, by "EVIDENCE/TABLE"."""
        sql = "SELECT evidence || '/' || name, seq FROM copied ORDER BY rowid DESC LIMIT ?"
        return dict(self.rows(sql, (_REMEMBERED,)))

    def close(self) -> None:
        """Close the file, once whoever reads it in a thread has read it."""
        with self.lock:
            self.db.close()


def _opened(path: Path | None, schema: str) -> sqlite3.Connection:
    """The file, made anew if what is there is none: policy must not wait for evidence."""
    if path is None:
        return _connected(":memory:", schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _connected(path, schema)
    except sqlite3.DatabaseError as error:
        # Its subclasses say that the file cannot be reached; that is for people.
        if type(error) is not sqlite3.DatabaseError:
            raise
        aside = path.with_name(f"{path.name}.broken")
        path.replace(aside)
        log.error("%s is broken (%s) and was moved to %s: an empty one takes its place", path, error, aside.name)
        connection = _connected(path, schema)
        connection.execute(f"PRAGMA user_version = {_LACKS}")
        return connection


def _connected(path: Path | str, schema: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False)
    try:
        connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
        _widen(connection, _SCHEMA + schema)
        connection.executescript(_SCHEMA + schema)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _widen(connection: sqlite3.Connection, schema: str) -> None:
    """Add the columns that tables of an older release's file lack, before an index of the schema needs them.

    Rows that are there have nothing in them, or the column's default, which one that is NOT NULL must have.
    """
    with closing(sqlite3.connect(":memory:")) as wanted:
        wanted.executescript(schema)
        tables = [name for (name,) in wanted.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            info = f"PRAGMA table_info({table})"
            known = {name for _, name, *_ in connection.execute(info)}
            for _, name, kind, not_null, default, _ in wanted.execute(info) if known else ():
                if name not in known:
                    rule = (" NOT NULL" if not_null else "") + ("" if default is None else f" DEFAULT {default}")
                    connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}{rule}")
