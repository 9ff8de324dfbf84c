"""Copies of evidence: the same rows, whichever way they came, and however often."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from services.controlplane.evidence.copied import IGNORE, CopiedTables, Rows
from services.controlplane.evidence.store import EvidenceStore, Observed, Seen


def content(store: CopiedTables) -> dict[str, list[object]]:
    columns = {"requests": "id, experiment, arm, unit, at, cost", "feedback": "id, arm, unit, metric, value"}
    return {table: sorted(store.rows(f"SELECT {names} FROM {table}")) for table, names in columns.items()}


def grow(store: EvidenceStore, chance: random.Random, count: int) -> None:
    numbers = [chance.randrange(500) for _ in range(count)]
    store.add([Seen(f"g{n}", "r/d", "ab"[n % 2], f"u{n % 7}", float(n), cost=n / 10) for n in numbers])
    store.observe([Observed(f"f{n}", "thumbs", 1.0, float(n), request=f"g{n}") for n in numbers[::3]])


def copy(source: EvidenceStore, to: EvidenceStore, limit: int, *, batches: int = 1_000) -> int:
    """What a stream does; the number of batches that came."""
    own = f"{source.evidence_id}/"
    seen = {k.removeprefix(own): n for k, n in to.copied().items() if k.startswith(own)}
    for number in range(batches):
        found = source.after(seen, limit)
        if found is None:
            return number
        to.take(source.evidence_id, found)
        seen[found.table] = found.last
    return batches


def test_copies_are_equal_after_any_history_of_changing_collectors() -> None:
    for seed in range(20):
        chance = random.Random(seed)
        stores = [EvidenceStore(None) for _ in range(3)]
        for _ in range(12):
            collects = chance.choice(stores)
            grow(collects, chance, chance.randrange(1, 40))
            for other in stores:
                if other is not collects:
                    copy(collects, other, chance.randrange(1, 30))
        assert content(stores[0]) == content(stores[1]) == content(stores[2])


def test_a_copy_that_was_broken_off_goes_on_where_it_was(tmp_path: Path) -> None:
    source, chance = EvidenceStore(None), random.Random(1)
    grow(source, chance, 60)
    path = tmp_path / "evidence.sqlite"
    copy(source, first := EvidenceStore(path), 10, batches=3)
    first.close()
    again = EvidenceStore(path)
    assert again.evidence_id == first.evidence_id
    whole = copy(source, EvidenceStore(None), 10)
    assert copy(source, again, 10) == whole - 3
    assert content(again) == content(source)


def test_what_another_release_has_more_is_left_out() -> None:
    source, to = EvidenceStore(None), EvidenceStore(None)
    grow(source, random.Random(1), 5)
    found = source.after({}, 100)
    assert found is not None
    more = Rows(found.table, [*found.columns, "mood"], [[*row, "good"] for row in found.rows], found.last)
    to.take(source.evidence_id, more)
    to.take(source.evidence_id, Rows("moods", ["id"], [["x"]], 1))
    assert content(to)["requests"] == content(source)["requests"]


def test_a_file_that_took_the_place_of_a_broken_one_lacks_what_that_one_had_until_somebody_says_otherwise(
    tmp_path: Path,
) -> None:
    path = tmp_path / "evidence.sqlite"
    fresh = EvidenceStore(path)
    assert not fresh.lacks
    fresh.close()
    path.write_bytes(b"this is no database" * 100)
    for _ in range(2):
        found = EvidenceStore(path)
        assert found.lacks, "also after another restart"
        found.close()
    found = EvidenceStore(path)
    found.complete()
    assert not found.lacks
    found.close()
    again = EvidenceStore(path)
    assert not again.lacks
    assert (tmp_path / "evidence.sqlite.broken").read_bytes().startswith(b"this is no database")


OLD = "CREATE TABLE IF NOT EXISTS things (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, size REAL{more});"
NEW = OLD.format(more=", mood TEXT, count INTEGER NOT NULL DEFAULT 7, word TEXT DEFAULT 'it''s'")
NEW += "CREATE INDEX IF NOT EXISTS things_by_mood ON things (mood);"


def things(path: Path | None, schema: str) -> CopiedTables:
    return CopiedTables(path, schema, {"things": IGNORE})


def test_a_file_of_an_older_release_gets_the_columns_that_it_lacks_and_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "things.sqlite"
    old = things(path, OLD.format(more=""))
    with old.db:
        old.insert("things", ("id", "size"), [("a", 1.5)])
    old.close()
    new = things(path, NEW)
    with new.db:
        new.insert("things", ("id", "size", "mood", "count"), [("b", 2.5, "good", 1)])
    assert new.evidence_id == old.evidence_id
    assert new.rows("SELECT id, size, mood, count, word FROM things") == [
        ("a", 1.5, None, 7, "it's"),
        ("b", 2.5, "good", 1, "it's"),
    ]
    copy_of = things(None, NEW)
    found = new.after({}, 10)
    assert found is not None
    copy_of.take(new.evidence_id, found)
    assert copy_of.rows("SELECT * FROM things") == new.rows("SELECT * FROM things")
    new.close()
    # Nothing is lacking any more; and an older release that comes back reads what it knows.
    for schema in (NEW, OLD.format(more="")):
        again = things(path, schema)
        assert again.rows("SELECT id, mood FROM things") == [("a", None), ("b", "good")]
        again.close()


def test_a_column_that_old_rows_cannot_have_is_told_and_not_taken_for_a_broken_file(tmp_path: Path) -> None:
    path = tmp_path / "things.sqlite"
    old = things(path, OLD.format(more=""))
    with old.db:
        old.insert("things", ("id",), [("a",)])
    old.close()
    with pytest.raises(sqlite3.OperationalError, match="NOT NULL"):
        things(path, OLD.format(more=", mood TEXT NOT NULL"))
    assert things(path, OLD.format(more="")).evidence_id == old.evidence_id


def test_evidence_that_was_kept_before_json_was_judged_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "evidence.sqlite"
    before = EvidenceStore(path)
    grow(before, random.Random(1), 5)
    with before.db:
        before.db.execute("ALTER TABLE requests DROP COLUMN invalid_json")
    rows = content(before)
    before.close()
    after = EvidenceStore(path)
    assert content(after) == rows
    after.add([Seen("new", "r/d", "a", "u", 1.0, invalid_json=True)])
    found = after.rows("SELECT DISTINCT invalid_json FROM requests ORDER BY invalid_json")
    assert found == [(None,), (1,)]
