"""What can be said of a variant that learns: its models, and whether the choice among them is worth it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from turnout.learning.v1 import learning_service_pb2 as pb

from services.controlplane.learning.logbook import Logbook
from services.controlplane.learning.rewards import rule_of
from services.controlplane.learning.tables import Tables
from services.controlplane.learning.variants import VariantName, Variants
from services.controlplane.learning.verdict import verdict_of
from services.core.errors import InvalidRequest, NotFound
from services.core.policy.preferences import LearnedRule
from services.core.routing.learned.decision import Decision
from services.core.routing.learned.report import Judged, report_of
from services.runtime.clock import Clock
from services.wire.learning import to_table

KEPT_SECONDS = 10.0
"""How long a report stays although something new has come; a newer table replaces it at once."""
LATEST = 1_000
"""Decisions that shares and expectations are about."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A report, and what it was made of; `at` in monotonic seconds."""

    learned: LearnedRule
    table: str
    mark: int
    at: float
    report: pb.Learned

    def is_old(self, mark: int, now: float) -> bool:
        return mark != self.mark and now - self.at >= KEPT_SECONDS


class Reports:
    """Reports on the variants that learn."""

    def __init__(self, logbook: Logbook, variants: Variants, tables: Tables, clock: Clock) -> None:
        self._logbook = logbook
        self._variants = variants
        self._tables = tables
        self._clock = clock
        self._kept: dict[VariantName, _Kept] = {}
        self._lock = asyncio.Lock()

    def all(self) -> list[pb.LearnedTable]:
        """The tables of every variant that learns, without their cells; of one without decisions an empty one."""
        found = []
        for name in self._variants.learning():
            table = pb.LearnedTable()
            table.CopyFrom(self._table(name))
            table.ClearField("cells")
            found.append(table)
        return found

    def _table(self, name: VariantName) -> pb.LearnedTable:
        return (self._tables.current or {}).get(name) or pb.LearnedTable(
            router_id=name.router, route_id=name.route, variant_id=name.variant, kinds=self._logbook.kinds.version
        )

    async def report(self, router: str, route: str, variant: str) -> pb.Learned:
        """The report on a variant; computed in a thread, one at a time, and kept for a while.

        Raises:
            NotFound: No such variant learns.
            InvalidRequest: No variant is named, and several of the route learn.
        """
        name, learned = self._found(router, route, variant)
        async with self._lock:
            table = self._table(name)
            now, mark = self._clock.monotonic(), self._logbook.mark(name)
            kept = self._kept.get(name)
            if kept is None or (kept.learned, kept.table) != (learned, table.version) or kept.is_old(mark, now):
                report = await asyncio.to_thread(self._report, name, learned, table)
                kept = _Kept(learned, table.version, mark, now, report)
                self._kept = {n: found for n, found in self._kept.items() if n in self._variants.learning()}
                self._kept[name] = kept
            return kept.report

    def _found(self, router: str, route: str, variant: str) -> tuple[VariantName, LearnedRule]:
        learning = self._variants.learning()
        found = {
            n: v for n, v in learning.items() if (n.router, n.route) == (router, route) and variant in {"", n.variant}
        }
        if not found:
            place = "/".join(part for part in (router, route, variant) if part)
            raise NotFound(f"nothing learns at {place}: no variant there has model_selection.learned")
        if len(found) > 1:
            names = ", ".join(name.variant for name in found)
            raise InvalidRequest(f"several variants of {router}/{route} learn: {names}; name one", param="variant")
        return next(iter(found.items()))

    def _report(self, name: VariantName, learned: LearnedRule, table: pb.LearnedTable) -> pb.Learned:
        decisions = self._logbook.decisions(name, rule_of(learned))
        message = pb.Learned(table=table, metric=learned.metric, objective=learned.objective)
        message.other_kinds = self._logbook.other_kinds(name)
        message.models.extend(self._models(decisions, table))
        judged = [decision for decision in decisions if decision.reward is not None]
        if not judged:
            message.verdict = verdict_of(message, explored=_explored(decisions))
            return message
        _fill_logged(message, judged)
        report = report_of(decisions, self._logbook.kinds.clusters.count, learned.objective)
        message.greedy.CopyFrom(_off_policy("greedy", report.greedy))
        message.singles.extend(_off_policy(model, found) for model, found in sorted(report.singles.items()))
        message.verdict = verdict_of(message, explored=_explored(decisions))
        return message

    def _models(self, decisions: Sequence[Decision], table: pb.LearnedTable) -> list[pb.LearnedModel]:
        """Each model that could be chosen, the most expected first."""
        chosen, latest = Counter(one.chosen for one in decisions), decisions[-LATEST:]
        shares = Counter(one.chosen for one in latest)
        phi = _mixed(latest)
        known = to_table(table, self._logbook.kinds)
        found = []
        for model in sorted({model for one in decisions for model in one.models}):
            message = pb.LearnedModel(model=model, chosen=chosen[model], share=shares[model] / max(1, len(latest)))
            if known is not None:
                estimate = known.estimate(phi, model)
                message.reward = estimate.reward
                if estimate.cost is not None:
                    message.cost_usd = estimate.cost
                if estimate.seconds is not None:
                    message.seconds = estimate.seconds
            found.append(message)
        return sorted(found, key=lambda one: (-one.reward, one.model))


def _explored(decisions: Sequence[Decision]) -> bool:
    return any(max(one.propensities) < 1.0 for one in decisions)


def _mixed(decisions: Sequence[Decision]) -> Mapping[int, float]:
    """Which kinds the decisions are of, as one request that is like all of them."""
    sums: dict[int, float] = {}
    for decision in decisions:
        for kind, weight in decision.phi.items():
            sums[kind] = sums.get(kind, 0.0) + weight
    return {kind: weight / len(decisions) for kind, weight in sums.items()}


def _fill_logged(message: pb.Learned, judged: Sequence[Decision]) -> None:
    """The means of what was done."""
    for field, values in (
        ("logged_reward", [one.reward for one in judged]),
        ("logged_cost_usd", [one.cost for one in judged]),
        ("logged_seconds", [one.seconds for one in judged]),
    ):
        known = [value for value in values if value is not None]
        if known:
            setattr(message, field, sum(known) / len(known))


def _off_policy(candidate: str, found: Judged) -> pb.OffPolicy:
    worth = found.utility
    message = pb.OffPolicy(candidate=candidate, requests=worth.n, effective=worth.ess, refusal=worth.refusal)
    if worth.refusal:
        return message
    message.utility, message.utility_low, message.utility_high = worth.dr.value, worth.dr.low, worth.dr.high
    message.reward, message.low, message.high = found.reward.value, found.reward.low, found.reward.high
    if found.cost is not None:
        message.cost_usd = found.cost.value
    if found.seconds is not None:
        message.seconds = found.seconds.value
    return message
