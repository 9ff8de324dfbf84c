"""The learner: when it learns, what is on show, and what happens when the replica that learns changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from turnout.experiment.v1.experiment_service_pb2 import Outcome
from turnout.learning.v1 import learning_service_pb2 as pb

from services.controlplane.board import Board
from services.controlplane.evidence.leader import CLAIM, Leader
from services.controlplane.evidence.store import Observed
from services.controlplane.learning.intake import Decisions
from services.controlplane.learning.learner import ENOUGH, Learner
from services.controlplane.learning.logbook import Logbook
from services.controlplane.learning.store import DecisionStore
from services.controlplane.learning.tables import Tables, by_name
from services.controlplane.learning.variants import Variants
from services.controlplane.policy import PolicyAdmin
from services.controlplane.store.memory import MemoryStore
from services.core.discovery.messages import PolicySet
from services.core.routing.learned.clusters import Clusters
from services.core.routing.learned.decision import Decision
from services.core.routing.learned.table import Table
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.conditions import CelCompiler
from services.runtime.kinds import shipped_kinds
from services.runtime.metrics import LearningMetrics
from services.runtime.testing import FakeClock
from tests.support.inprocess import eventually, policy_set
from tests.unit.controlplane.learning.made import KINDS, VARIANT
from tests.unit.controlplane.learning.made import outcome as old


def outcome(number: int) -> Outcome:
    """An outcome of the day on which the clock stands."""
    return old(number, FakeClock().wall() + number / 1_000)


def counted(decisions: Iterable[Decision], count: int) -> Table:
    """A table that knows rewards of what was chosen, and nothing else."""
    table = Table(Clusters(count), discount=1.0)
    for one in decisions:
        table.observe(one.phi, one.chosen, one.reward)
    return table


def router(*learned: str, metric: str = "") -> PolicySet:
    """A policy with one router of several variants, of which some learn."""
    variants = [
        {
            "weight": 50,
            "variant": {
                "variant_id": name,
                "model_id": "a/m",
                "model_selection": {"models": ["b/m"], **({"learned": {"metric": metric}} if name in learned else {})},
            },
        }
        for name in ("v", "w")
    ]
    form = {"kind": "Router", "name": "r", "default_route": {"route_id": "d", "variants": variants}}
    providers = ({"kind": "Provider", "name": name, "type": "openai"} for name in "ab")
    return policy_set(*providers, form)


class Bench:
    """A learner with everything around it."""

    def __init__(self) -> None:
        self.claims = MemoryStore()
        self.clock, self.board, self.tables = FakeClock(), Board(), Tables()
        self.store = DecisionStore(None)
        self.leader = Leader(self.claims, "here", self.clock)
        self.registry = CollectorRegistry()
        metrics = LearningMetrics(self.registry)
        variants = Variants(self.board, PolicyAdmin(self.claims, CelCompiler(), ShippedCatalogue()).compile)
        self.decisions = Decisions(self.store, variants, metrics)
        logbook = Logbook(self.store, shipped_kinds())
        self.learner = Learner(
            logbook, variants, self.tables, leader=self.leader, clock=self.clock, metrics=metrics, learn=counted
        )

    async def later(self) -> None:
        """Let a minute pass; the claim is renewed as ever."""
        self.clock.advance(60.0)
        await self.leader.claim()

    @property
    def shown(self) -> dict[str, pb.LearnedTable]:
        return {name.variant: table for name, table in (self.tables.current or {}).items()}

    def learned(self) -> float:
        """How many tables were learned so far."""
        return self.registry.get_sample_value("turnout_learning_duration_seconds_count") or 0.0


@pytest.fixture
async def bench() -> Bench:
    found = Bench()
    await found.leader.claim()
    found.board.show(router("v"))
    return found


async def test_a_table_is_learned_of_every_variant_that_policy_says_it_of(bench: Bench) -> None:
    other = outcome(2)
    other.variant_id = "w"
    bench.decisions.add([outcome(1), other])
    await bench.learner.look()
    (table,) = bench.shown.values()
    assert (table.router_id, table.route_id, table.variant_id, table.kinds) == ("r", "d", "v", KINDS)
    assert (table.decisions, table.rewarded) == (1, 1)
    assert sum(table.cells[0].reward) == 1.0
    assert table.learned_at.seconds == int(bench.clock.wall())


async def test_nothing_is_learned_unless_something_new_came(bench: Bench) -> None:
    bench.decisions.add([outcome(1)])
    await bench.learner.look()
    shown = bench.tables.current
    await bench.learner.look()
    assert bench.learned() == 1
    assert bench.tables.current is shown, "nobody is woken"
    bench.decisions.add([outcome(2)])
    await bench.learner.look()
    assert bench.learned() == 2
    assert bench.shown["v"].decisions == 2


async def test_feedback_and_another_metric_are_something_new(bench: Bench) -> None:
    bench.decisions.add([outcome(1)])
    await bench.learner.look()
    bench.board.show(router("v", metric="thumbs"))
    await bench.learner.look()
    assert (bench.shown["v"].decisions, bench.shown["v"].rewarded) == (1, 0)
    bench.decisions.observe([Observed("f", "thumbs", 1.0, 2_000.0, request="g1")], bench.decisions.metrics())
    await bench.learner.look()
    assert bench.shown["v"].rewarded == 1


async def test_equal_content_has_an_equal_version_and_its_first_instant(bench: Bench) -> None:
    bench.decisions.add([outcome(1)])
    await bench.learner.look()
    first = bench.shown["v"]
    bench.clock.advance(60.0)
    bench.store._touch([str(VARIANT)])
    await bench.learner.look()
    assert bench.learned() == 2
    assert bench.shown["v"] == first


async def test_a_variant_that_policy_drops_loses_its_table_and_gets_it_back(bench: Bench) -> None:
    bench.decisions.add([outcome(1)])
    await bench.learner.look()
    before = bench.shown["v"].version
    bench.board.show(router("w"))
    await bench.learner.look()
    assert bench.shown == {}
    bench.board.show(router("v"))
    await bench.learner.look()
    assert bench.shown["v"].version == before


async def test_a_replica_that_knows_there_is_nothing_says_so(bench: Bench) -> None:
    assert bench.tables.current is None
    await bench.learner.look()
    assert bench.tables.current == {}


@pytest.fixture
async def running(bench: Bench) -> AsyncIterator[Bench]:
    task = asyncio.create_task(bench.learner.run())
    yield bench
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_it_looks_every_so_often(running: Bench) -> None:
    await eventually(lambda: bool(running.clock._sleepers))
    assert running.tables.current == {}
    running.decisions.add([outcome(1)])
    await running.later()
    await eventually(lambda: "v" in running.shown)


async def test_a_disk_that_fails_ends_nothing(running: Bench, caplog: pytest.LogCaptureFixture) -> None:
    await eventually(lambda: bool(running.clock._sleepers))
    assert running.tables.current == {}
    running.decisions.add([outcome(1)])
    running.store.close()
    await running.later()
    await eventually(lambda: "nothing can be learned" in caplog.text)
    await eventually(lambda: bool(running.clock._sleepers))


def taken(decisions: int, rewarded: int, **more: Any) -> pb.LearnedTable:
    values: dict[str, Any] = {"kinds": KINDS, "version": "theirs", **more}
    return pb.LearnedTable(
        router_id="r", route_id="d", variant_id="v", decisions=decisions, rewarded=rewarded, **values
    )


async def handed_over(found: Bench, table: pb.LearnedTable) -> None:
    """Let another replica learn first, say its table, and leave."""
    found.claims._claims[CLAIM] = "there"
    await found.leader.claim()
    task = asyncio.create_task(found.learner.run())
    try:
        await asyncio.sleep(0)
        found.tables.show(by_name([table]))
        found.claims._claims[CLAIM] = "here"
        await found.leader.claim()
        await eventually(lambda: found.learned() > 0)
        await eventually(lambda: bool(found.clock._sleepers))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_table_that_was_taken_over_stays_until_as_much_is_known(bench: Bench) -> None:
    bench.decisions.add([outcome(1)])
    await handed_over(bench, taken(50_000, 40_000))
    assert bench.shown["v"].version == "theirs"
    bench.decisions.add([outcome(n) for n in range(2, ENOUGH)])
    await bench.learner.look()
    assert bench.shown["v"].version == "theirs"
    bench.decisions.add([outcome(ENOUGH)])
    await bench.learner.look()
    assert (bench.shown["v"].rewarded, bench.shown["v"].version != "theirs") == (ENOUGH, True)


@pytest.mark.parametrize("table", [taken(3, 1), taken(50_000, 40_000, kinds="other")])
async def test_a_table_that_knows_no_more_or_of_other_kinds_is_replaced_at_once(
    bench: Bench, table: pb.LearnedTable
) -> None:
    bench.decisions.add([outcome(1)])
    await handed_over(bench, table)
    assert (bench.shown["v"].decisions, bench.shown["v"].rewarded) == (1, 1)
