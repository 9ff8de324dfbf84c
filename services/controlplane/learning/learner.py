"""Learns: every so often a table of each variant that learns, anew from the decisions that are kept.

Only at the replica that collects evidence, and only what something new has come for. A replica that takes over has had the
tables of the one before it; each of them stays until this one's own decisions are worth as much.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping

from turnout.learning.v1 import learning_service_pb2 as pb

from services.controlplane.evidence.leader import Leader
from services.controlplane.learning.logbook import Logbook
from services.controlplane.learning.rewards import RewardRule, rule_of
from services.controlplane.learning.tables import Tabled, Tables
from services.controlplane.learning.variants import VariantName, Variants
from services.core.routing.learned.decision import Decision
from services.core.routing.learned.table import Table
from services.runtime.clock import Clock
from services.runtime.metrics import LearningMetrics
from services.runtime.waiting import first_of
from services.wire.learning import table_message
from services.wire.lifecycle import timestamp

log = logging.getLogger(__name__)

LEARN_SECONDS = 60.0
ENOUGH = 1_000
"""Decisions with a reward that are worth as much as a table that was taken over, however much that one knew."""

Learn = Callable[[Iterable[Decision], int], Table]
State = tuple[RewardRule, int]
"""What a table was learned by: the rule of rewards, and the mark of the decisions."""


class Learner:
    """Keeps the tables up to what is known.

    Args:
        learn: Makes a table of decisions, given the number of kinds; called in a thread.
        seconds: Between two looks.
    """

    def __init__(
        self,
        logbook: Logbook,
        variants: Variants,
        tables: Tables,
        *,
        leader: Leader,
        clock: Clock,
        metrics: LearningMetrics,
        learn: Learn,
        seconds: float = LEARN_SECONDS,
    ) -> None:
        self._logbook = logbook
        self._variants = variants
        self._tables = tables
        self._leader = leader
        self._clock = clock
        self._metrics = metrics
        self._learn = learn
        self._seconds = seconds
        self._own: dict[VariantName, pb.LearnedTable] = {}
        self._states: dict[VariantName, State] = {}
        self._taken_over: Tabled = {}

    async def run(self) -> None:
        """Look for ever."""
        await self._variants.ready()
        while True:
            if self._leader.is_mine:
                await self._look_safely()
                await first_of(self._clock.sleep(self._seconds), self._leader.other_than(self._leader.holder))
            else:
                self._own, self._states = {}, {}
                await self._leader.other_than(self._leader.holder)
                self._taken_over = self._tables.current or {}

    async def _look_safely(self) -> None:
        """Look; a disk that fails is told in the log, since policy goes on without it."""
        try:
            await self.look()
        except sqlite3.Error as error:
            log.error("nothing can be learned: %s", error)

    async def look(self) -> None:
        """Learn what there is to learn, and show it."""
        variants = self._variants.learning()
        for gone in self._own.keys() - variants.keys():
            del self._own[gone], self._states[gone]
        for name, learned in variants.items():
            # The mark is read first: what comes while the table is made counts next time.
            state = (rule_of(learned), self._logbook.mark(name))
            if self._states.get(name) != state:
                self._own[name] = await self._learned(name, state[0])
                self._states[name] = state
        self._show(variants)

    async def _learned(self, name: VariantName, rule: RewardRule) -> pb.LearnedTable:
        began = time.perf_counter()
        table = await asyncio.to_thread(self._table, name, rule)
        self._metrics.learned(time.perf_counter() - began)
        before = self._own.get(name)
        if before is not None and before.version == table.version:
            table.learned_at.CopyFrom(before.learned_at)
        else:
            log.info(
                "%s: learned table %s from %d decisions, %d with a reward",
                name,
                table.version,
                table.decisions,
                table.rewarded,
            )
        return table

    def _table(self, name: VariantName, rule: RewardRule) -> pb.LearnedTable:
        decisions = self._logbook.decisions(name, rule)
        kinds = self._logbook.kinds
        message = table_message(self._learn(decisions, kinds.clusters.count), kinds.version)
        message.router_id, message.route_id, message.variant_id = name.router, name.route, name.variant
        message.decisions = len(decisions)
        message.rewarded = sum(decision.reward is not None for decision in decisions)
        message.learned_at.CopyFrom(timestamp(self._clock.wall()))
        return message

    def _show(self, variants: Mapping[VariantName, object]) -> None:
        """Show this replica's tables, or those that it has taken over while it knows less."""
        still = {n: t for n, t in self._taken_over.items() if n in variants and _knows_more(t, self._own[n])}
        self._taken_over = still
        # A table without decisions says nothing that no table would not say.
        own = {name: table for name, table in self._own.items() if table.decisions}
        shown = {**own, **still}
        self._metrics.tables(len(shown))
        if shown != self._tables.current:
            self._tables.show(shown)


def _knows_more(taken: pb.LearnedTable, own: pb.LearnedTable) -> bool:
    return taken.kinds == own.kinds and own.rewarded < min(taken.rewarded, ENOUGH)
