"""The evidence of experiments in SQLite: outcomes by request, feedback by request or unit, sums by arm.

Shadows have a table of their own (`shadow_pairs.py`), so that nothing of them comes into an arm.

One file per replica of the control plane: the one that collects (`leader.py`) writes it, the others copy it
(`copying.py`). It holds no prompt, no answer and no user's name. It is evidence, not policy: losing it loses the
experiments' numbers and nothing else.

Sums are made by SQLite itself, two passes over the units, so that a report over a million requests takes no Python loop.
Units that a ramp moved from one arm to another are left out of both: the slots decide who that is, not the outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from services.controlplane.evidence.copied import IGNORE, CopiedTables
from services.core.experiments.metrics import INVALID_JSON_RATE, PER_UNIT, SLOW_RATE, MetricSpec
from services.core.experiments.sums import Sums
from services.core.values import Value

KEPT_DAYS = 90
DAY = 86_400.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
  experiment TEXT NOT NULL, arm TEXT NOT NULL, unit TEXT NOT NULL, at REAL NOT NULL,
  failed INTEGER, aborted INTEGER, refused INTEGER, repeated INTEGER, failed_over INTEGER,
  cost REAL, ttft REAL, duration REAL, output INTEGER, invalid_json INTEGER);
CREATE INDEX IF NOT EXISTS requests_by_experiment ON requests (experiment, at);
CREATE INDEX IF NOT EXISTS requests_by_unit ON requests (unit, at);
CREATE TABLE IF NOT EXISTS feedback (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
  experiment TEXT NOT NULL, arm TEXT NOT NULL, unit TEXT NOT NULL, at REAL NOT NULL,
  metric TEXT NOT NULL, value REAL NOT NULL);
CREATE INDEX IF NOT EXISTS feedback_by_experiment ON feedback (experiment, metric, at);
CREATE TABLE IF NOT EXISTS shadows (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
  experiment TEXT NOT NULL, model TEXT NOT NULL, unit TEXT NOT NULL, at REAL NOT NULL, failed INTEGER,
  cost REAL, ttft REAL, invalid_json INTEGER,
  answered_cost REAL, answered_ttft REAL, answered_invalid_json INTEGER);
CREATE INDEX IF NOT EXISTS shadows_by_experiment ON shadows (experiment, at);
"""

_FEEDBACK = ("id", "experiment", "arm", "unit", "at", "metric", "value")

_RATIOS: Mapping[str, tuple[str, str]] = {
    "error_rate": ("failed", "CASE WHEN aborted THEN 0 ELSE 1 END"),
    "cost_per_request": ("COALESCE(cost, 0)", "cost IS NOT NULL"),
    "ttft": ("COALESCE(ttft, 0)", "ttft IS NOT NULL"),
    SLOW_RATE: ("ttft IS NOT NULL AND ttft > :slow", "ttft IS NOT NULL"),
    "duration": ("duration", "1"),
    "output_tokens": ("output", "1"),
    "refusal_rate": ("refused", "1"),
    INVALID_JSON_RATE: ("COALESCE(invalid_json, 0)", "invalid_json IS NOT NULL"),
    "abort_rate": ("aborted", "1"),
    "repeat_rate": ("repeated", "1"),
    "failover_rate": ("failed_over", "1"),
}
"""Numerator and denominator of each built-in metric, per request."""


class Seen(Value, frozen=True):
    """One request, as it is kept. Instants in seconds since the Unix epoch, times in milliseconds."""

    id: str
    experiment: str
    arm: str
    unit: str
    at: float
    failed: bool = False
    aborted: bool = False
    refused: bool = False
    repeated: bool = False
    failed_over: bool = False
    cost: float | None = None
    ttft: float | None = None
    duration: float = 0.0
    output: int = 0
    invalid_json: bool | None = None
    """None: JSON was not asked for, or nobody can say."""


class Observed(Value, frozen=True):
    """One observation of feedback: about a request, or about a unit."""

    id: str
    metric: str
    value: float
    at: float
    request: str = ""
    unit: str = ""


class Counts(Value, frozen=True):
    """How much was seen of an arm; `new_units` since the weights changed last."""

    units: int
    requests: int
    new_units: int


class EvidenceStore(CopiedTables):
    """The file. Its methods block; they may be called in any thread, one at a time goes in."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path, _SCHEMA, {"requests": IGNORE, "feedback": IGNORE, "shadows": IGNORE})

    def add(self, requests: Iterable[Seen]) -> None:
        """Keep requests; one that is there already stays as it is."""
        columns = Seen.__struct_fields__
        rows = [tuple(getattr(r, name) for name in columns) for r in requests]
        with self.lock, self.db:
            self.insert("requests", columns, rows)

    def observe(self, observations: Iterable[Observed]) -> list[bool]:
        """Keep feedback about requests and units that are known; of each observation whether that is so."""
        known = []
        with self.lock, self.db:
            for seen in observations:
                column = "id" if seen.request else "unit"
                found = self.db.execute(
                    f"SELECT DISTINCT experiment, arm, unit FROM requests WHERE {column} = ?",  # noqa: S608 - one of two words
                    (seen.request or seen.unit,),
                ).fetchall()
                rows = [(f"{seen.id}/{e}", e, arm, unit, seen.at, seen.metric, seen.value) for e, arm, unit in found]
                self.insert("feedback", _FEEDBACK, rows)
                known.append(bool(found))
        return known

    def counts(self, experiment: str, since: float, weights_since: float) -> dict[str, Counts]:
        """What was seen by arm, without the units that a ramp moved."""
        sql = f"""
          SELECT arm, COUNT(*), SUM(n), SUM(first >= :weights) FROM
            (SELECT arm, unit, COUNT(*) AS n, MIN(at) AS first FROM requests
             WHERE experiment = :experiment AND at >= :since AND {_STAYED} GROUP BY arm, unit)
          GROUP BY arm"""  # noqa: S608 - no text of others
        values = {"experiment": experiment, "since": since, "weights": weights_since}
        return {arm: Counts(units, requests, new or 0) for arm, units, requests, new in self.rows(sql, values)}

    def moved_units(self, experiment: str) -> int:
        """Units that were in several arms."""
        sql = "SELECT COUNT(*) FROM (SELECT unit FROM requests WHERE experiment = ? GROUP BY unit HAVING COUNT(DISTINCT arm) > 1)"
        return int(self.rows(sql, (experiment,))[0][0])

    def feedback_names(self, experiment: str) -> list[str]:
        """Metrics that feedback was given for."""
        sql = "SELECT DISTINCT metric FROM feedback WHERE experiment = ? ORDER BY metric"
        return [name for (name,) in self.rows(sql, (experiment,))]

    def p95_ttft(self, experiment: str, arm: str, since: float) -> float:
        """The 95th percentile of the time to first content in milliseconds; 0.0: none was seen."""
        where = "experiment = ? AND arm = ? AND at >= ? AND ttft IS NOT NULL"
        values = (experiment, arm, since)
        count = int(self.rows(f"SELECT COUNT(*) FROM requests WHERE {where}", values)[0][0])  # noqa: S608
        if not count:
            return 0.0
        place = min(count - 1, int(count * 0.95))
        sql = f"SELECT ttft FROM requests WHERE {where} ORDER BY ttft LIMIT 1 OFFSET ?"  # noqa: S608
        return float(self.rows(sql, (*values, place))[0][0])

    def sums(self, experiment: str, spec: MetricSpec, since: float, slow: float) -> dict[str, Sums]:
        """The metric's sums by arm, with what the same units did before `since` as their covariate.

        Args:
            slow: Milliseconds from which a first content is slow.
        """
        y, x = _RATIOS[spec.name] if spec.is_built_in else ("value", "1")
        table, match = ("requests", "") if spec.is_built_in else ("feedback", "AND metric = :metric")
        per_unit = "1.0" if spec.of == PER_UNIT else f"SUM({x})"
        inner = f"""
          SELECT arm, unit, CAST(SUM({y}) AS REAL) AS y, CAST({per_unit} AS REAL) AS x FROM {table}
          WHERE experiment = :experiment AND at >= :since AND {_STAYED} {match} GROUP BY arm, unit"""  # noqa: S608
        if spec.of == PER_UNIT:
            inner += _SILENT
        before = f"""
          SELECT unit, CAST(SUM({y}) AS REAL) / MAX(SUM({x}), 1) AS c FROM {table}
          WHERE at < :since AND at >= :since - {28 * DAY} {match} GROUP BY unit"""  # noqa: S608
        units = f"SELECT u.arm, u.y, u.x, COALESCE(b.c, 0.0) AS c FROM ({inner}) u LEFT JOIN ({before}) b USING (unit)"  # noqa: S608
        sql = summed(units)
        values = {"experiment": experiment, "since": since, "slow": slow, "metric": spec.name}
        return {arm: Sums(*numbers) for arm, *numbers in self.rows(sql, values)}

    def forget(self, before: float) -> None:
        """Forget what is older."""
        with self.lock, self.db:
            self.db.execute("DELETE FROM requests WHERE at < ?", (before,))
            self.db.execute("DELETE FROM feedback WHERE at < ?", (before,))
            self.db.execute("DELETE FROM shadows WHERE at < ?", (before,))


_STAYED = """unit NOT IN (SELECT unit FROM requests WHERE experiment = :experiment
             GROUP BY unit HAVING COUNT(DISTINCT arm) > 1)"""
"""Units that were in one arm only."""

_SILENT = f"""
          UNION ALL SELECT DISTINCT arm, unit, 0.0 AS y, 1.0 AS x FROM requests
          WHERE experiment = :experiment AND at >= :since AND {_STAYED}
            AND unit NOT IN (SELECT unit FROM feedback WHERE experiment = :experiment AND at >= :since AND metric = :metric)"""  # noqa: S608
"""Units that gave no feedback count too, with nothing: who bought nothing is no missing value."""


def summed(units: str) -> str:
    """The query for the sums of `units`, a query for the columns arm, y, x and c of each unit."""
    return f"""
          WITH u AS MATERIALIZED ({units} ),
          m AS (SELECT arm, COUNT(*) AS n, AVG(y) AS y, AVG(x) AS x, AVG(c) AS c FROM u GROUP BY arm)
          SELECT m.arm, m.n, m.y, m.x, m.c, SUM((u.y-m.y)*(u.y-m.y)), SUM((u.x-m.x)*(u.x-m.x)), SUM((u.c-m.c)*(u.c-m.c)),
                 SUM((u.y-m.y)*(u.x-m.x)), SUM((u.y-m.y)*(u.c-m.c)), SUM((u.x-m.x)*(u.c-m.c))
          FROM u JOIN m USING (arm) GROUP BY m.arm"""  # noqa: S608 - no text of others


def arms_of(names: Sequence[str], found: Mapping[str, Counts]) -> list[tuple[str, Counts]]:
    """Each arm with its counts, also one of which nothing was seen."""
    return [(name, found.get(name, Counts(0, 0, 0))) for name in names]
