"""Decisions in SQLite, with how their requests ended and what callers told of them: all that is learned from.

One file per replica of the control plane, beside the evidence of experiments, copied from the one that collects, and
as that without prompts, answers and users' names. Nothing that was learned is kept: a table is made anew of the decisions,
so that feedback counts whenever it comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from services.controlplane.evidence.copied import IGNORE, REPLACE, CopiedTables, Rows
from services.controlplane.evidence.store import Observed
from services.controlplane.learning.rewards import Kept, Observation
from services.core.values import Value

KEPT_PER_VARIANT = 50_000
"""Decisions of a variant that are kept, the latest; more would fade before they count."""
KEPT_BYTES = 32_000_000
"""Bytes of the decisions of a variant: fewer are kept of one that chooses among hundreds of models."""
ORPHAN_SECONDS = 3_600.0
"""How long feedback waits for its request to become known."""
ORPHANS = 100_000
"""Feedback that waits at most; the latest."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS decisions (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, variant TEXT NOT NULL, at REAL NOT NULL,
  user TEXT NOT NULL, served TEXT NOT NULL, whole INTEGER NOT NULL, cost REAL, seconds REAL, kinds TEXT NOT NULL,
  message BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS decisions_by_variant ON decisions (variant, at);
CREATE INDEX IF NOT EXISTS decisions_by_user ON decisions (user);
CREATE TABLE IF NOT EXISTS repeats (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS feedback (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, request TEXT NOT NULL, user TEXT NOT NULL,
  metric TEXT NOT NULL, at REAL NOT NULL, value REAL NOT NULL);
CREATE INDEX IF NOT EXISTS feedback_by_request ON feedback (request);
CREATE INDEX IF NOT EXISTS feedback_by_user ON feedback (user);
"""

_DECISION = ("id", "variant", "at", "user", "served", "whole", "cost", "seconds", "kinds", "message")
_FEEDBACK = ("id", "request", "user", "metric", "at", "value")
_NEWER = "SELECT 1 FROM feedback WHERE id = ? AND at > ?"
_TOO_MUCH = """DELETE FROM decisions WHERE id IN (SELECT id FROM
  (SELECT id, ROW_NUMBER() OVER latest AS place, SUM(LENGTH(message)) OVER latest AS size
   FROM decisions WHERE variant = ? WINDOW latest AS (ORDER BY at DESC, id DESC))
  WHERE place > ? OR size > ?)"""
_ORPHANS = """(CASE WHEN request != '' THEN request NOT IN (SELECT id FROM decisions)
  ELSE user NOT IN (SELECT user FROM decisions) END)"""


class Made(Value, frozen=True):
    """A decision that a worker reports: what is kept of it, at which variant, by which version of the kinds."""

    variant: str
    kinds: str
    kept: Kept


class Repeat(Value, frozen=True):
    """The same was asked again at `at` (seconds since the Unix epoch), after the answer to request `id`."""

    id: str
    at: float


class DecisionStore(CopiedTables):
    """The file. Its methods block; they may be called in any thread, one at a time goes in."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(path, _SCHEMA, {"decisions": IGNORE, "repeats": IGNORE, "feedback": REPLACE})
        self._marks: dict[str, int] = {}
        self._taken = 0

    def mark(self, variant: str) -> int:
        """A number that grows whenever something comes that the variant can learn from. Does not block."""
        return self._marks.get(variant, 0) + self._taken

    def take(self, evidence_id: str, found: Rows) -> None:
        """Keep rows of another replica."""
        super().take(evidence_id, found)
        self._taken += 1

    def add(self, decisions: Iterable[Made], repeats: Iterable[Repeat] = ()) -> None:
        """Keep decisions, and which answers were asked for again; what is there already stays as it is."""
        with self.lock, self.db:
            for made in decisions:
                kept = made.kept
                row = [kept.id, made.variant, kept.at, kept.user, kept.served, kept.whole, kept.cost, kept.seconds]
                if self.insert("decisions", _DECISION, [[*row, made.kinds, kept.message]]):
                    self._touch([made.variant])
            for repeat in repeats:
                if self.insert("repeats", ("id", "at"), [[repeat.id, repeat.at]]):
                    self._touch(self._variants("id", repeat.id))

    def observe(self, observations: Sequence[Observed], metrics: frozenset[str]) -> list[bool]:
        """Keep feedback; of each observation whether it is about a request or user that is known.

        Args:
            metrics: Metrics that policy learns from; what comes of them is kept also if its request is not known yet.
        """
        known = []
        with self.lock, self.db:
            for seen in observations:
                column, subject = ("id", seen.request) if seen.request else ("user", seen.unit)
                variants = self._variants(column, subject)
                known.append(bool(variants))
                if variants or seen.metric in metrics:
                    self._keep(seen)
                    self._touch(variants)
        return known

    def _keep(self, seen: Observed) -> None:
        """Keep an observation: one per request and metric, the latest, so that who tells it for ever fills no disk."""
        name = f"{seen.request}/{seen.metric}" if seen.request else seen.id
        if self.db.execute(_NEWER, (name, seen.at)).fetchone() is None:
            row = (name, seen.request, seen.unit, seen.metric, seen.at, seen.value)
            self.insert("feedback", _FEEDBACK, [row])

    def _variants(self, column: str, subject: str) -> list[str]:
        sql = f"SELECT DISTINCT variant FROM decisions WHERE {column} = ?"  # noqa: S608 - one of two words
        return [variant for (variant,) in self.db.execute(sql, (subject,))]

    def _touch(self, variants: Iterable[str]) -> None:
        for variant in variants:
            self._marks[variant] = self._marks.get(variant, 0) + 1

    def decisions(self, variant: str, kinds: str) -> list[Kept]:
        """The decisions of a variant by one version of the kinds, in the order in which they were made."""
        sql = """
          SELECT d.id, d.at, user, served, whole, r.id IS NOT NULL, cost, seconds, message
          FROM decisions d LEFT JOIN repeats r ON r.id = d.id WHERE variant = ? AND kinds = ? ORDER BY d.at, d.id"""
        return [
            Kept(i, at, user, served, bool(whole), bool(again), cost, seconds, message)
            for i, at, user, served, whole, again, cost, seconds, message in self.rows(sql, (variant, kinds))
        ]

    def other_kinds(self, variant: str, kinds: str) -> int:
        """How many decisions of a variant were made by other versions of the kinds."""
        sql = "SELECT COUNT(*) FROM decisions WHERE variant = ? AND kinds != ?"
        return int(self.rows(sql, (variant, kinds))[0][0])

    def feedback(self, variant: str, metric: str) -> list[Observation]:
        """What was told by `metric` of a variant's requests and users, in the order in which it came."""
        columns = "f.seq, f.at, f.value, f.request, f.user"
        sql = f"""
          SELECT {columns} FROM feedback f JOIN decisions d ON d.id = f.request WHERE d.variant = :v AND metric = :m
          UNION SELECT {columns} FROM feedback f WHERE request = '' AND metric = :m
            AND user IN (SELECT user FROM decisions WHERE variant = :v AND user != '')
          ORDER BY 1"""  # noqa: S608 - no text of others
        return [
            Observation(at, value, request, user)
            for _, at, value, request, user in self.rows(sql, {"v": variant, "m": metric})
        ]

    def forget(self, before: float, now: float, kept: int = KEPT_PER_VARIANT, size: int = KEPT_BYTES) -> None:
        """Forget what is older than `before`, all but the latest of each variant, and feedback without a request.

        Args:
            before: Seconds since the Unix epoch, as `now`.
            kept: Decisions of a variant that stay, and `size`: their bytes.
        """
        with self.lock, self.db:
            self.db.execute("DELETE FROM decisions WHERE at < ?", (before,))
            for (variant,) in self.db.execute("SELECT DISTINCT variant FROM decisions").fetchall():
                self.db.execute(_TOO_MUCH, (variant, kept, size))
            orphans = f"SELECT seq FROM feedback WHERE {_ORPHANS}"  # noqa: S608 - no text of others
            self.db.execute(f"DELETE FROM feedback WHERE at < ? AND {_ORPHANS}", (now - ORPHAN_SECONDS,))  # noqa: S608
            sql = f"DELETE FROM feedback WHERE seq IN ({orphans} ORDER BY seq DESC LIMIT -1 OFFSET ?)"  # noqa: S608
            self.db.execute(sql, (ORPHANS,))
            self.db.execute("DELETE FROM feedback WHERE at < ?", (before,))
            self.db.execute(
                "DELETE FROM repeats WHERE at < ? AND id NOT IN (SELECT id FROM decisions)", (now - ORPHAN_SECONDS,)
            )
