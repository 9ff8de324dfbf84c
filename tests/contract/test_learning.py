"""Replicas of the control plane around one store: who learns, who hands on, and what workers hear of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from turnout.experiment.v1 import experiment_service_pb2 as experiment
from turnout.experiment.v1.experiment_service_pb2_grpc import ExperimentServiceStub
from turnout.learning.v1 import learning_service_pb2 as pb
from turnout.learning.v1.learning_service_pb2_grpc import LearningServiceStub
from turnout.policy.v1.policy_service_pb2 import SimulateRequest
from turnout.policy.v1.policy_service_pb2_grpc import PolicyServiceStub

from services.controlplane.app import ControlPlane, ControlPlaneSettings
from services.controlplane.evidence.leader import CLAIM
from services.controlplane.policy import PolicyAdmin, Write
from services.controlplane.store.etcd import EtcdOptions
from services.controlplane.store.memory import MemoryStore
from services.core.errors import InvalidRequest, NotFound, PermissionDenied, Unauthenticated
from services.runtime.catalogue.shipped import ShippedCatalogue
from services.runtime.clock import SystemClock
from services.runtime.conditions import CelCompiler
from services.runtime.grpc_channel import open_channel
from services.runtime.grpc_server import RunningServer
from services.runtime.keys import hash_key
from services.runtime.supervise import Background, Stop
from services.wire.document_form import read_form
from services.wire.policy import to_document
from services.wire.status import from_rpc_error
from tests.support.ports import free_port
from tests.unit.controlplane.learning.made import decided, recent

ADMIN = (("authorization", "Bearer to-admin"),)
CALLER = (("authorization", "Bearer to-call"),)


def router(*names: str, metric: str = "") -> dict[str, Any]:
    learned = {"models": ["b/m"], "learned": {"metric": metric, "explore": 0.1}}
    weights = [100 - 10 * (len(names) - 1), *[10] * (len(names) - 1)]
    variants = [
        {"weight": weight, "variant": {"variant_id": name, "model_id": "a/m", "model_selection": learned}}
        for name, weight in zip(names, weights, strict=True)
    ]
    return {"kind": "Router", "name": "r", "default_route": {"route_id": "d", "variants": variants}}


PROVIDERS = tuple(
    {"kind": "Provider", "name": n, "type": "openai_compatible", "base_url": f"http://127.0.0.1:1/{n}"} for n in "ab"
)
KEY = {"kind": "ApiKey", "name": "k", "hash": hash_key("to-call"), "scopes": ["inference"]}


class Replica:
    """A control plane that can be stopped, and its stubs."""

    def __init__(self, store: MemoryStore, folder: Path, seconds: float = 0.05) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        settings = ControlPlaneSettings(
            EtcdOptions(()),
            self.address,
            admin_key="to-admin",
            grace=0.1,
            replica=self.address,
            data_dir=folder,
            learn_seconds=seconds,
        )
        self.plane = ControlPlane(store, settings, SystemClock())
        self._background = Background(Stop())
        self._server: RunningServer | None = None

    async def start(self) -> Replica:
        self._server = await self.plane.start(self._background)
        return self

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await self.plane.stop(server, self._background)

    async def call(self, stub: Any, method: str, request: Any, metadata: Any = ADMIN) -> Any:
        async with open_channel(self.address) as channel:
            try:
                return await getattr(stub(channel), method)(request, metadata=metadata, timeout=10)
            except grpc.aio.AioRpcError as error:
                raise from_rpc_error(error) from error

    async def report(self, *outcomes: experiment.Outcome) -> int:
        request = experiment.ReportOutcomesRequest(node_id="w", outcomes=outcomes)
        return int((await self.call(ExperimentServiceStub, "ReportOutcomes", request, None)).refused)

    async def learned(self, variant: str = "", metadata: Any = ADMIN, route: str = "d") -> pb.Learned:
        request = pb.GetLearnedRequest(router_id="r", route_id=route, variant_id=variant)
        found: pb.Learned = await self.call(LearningServiceStub, "GetLearned", request, metadata)
        return found


class Worker:
    """Hears tables of one replica, as workers do."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self.heard: list[pb.StreamTablesResponse] = []
        self.ended = False

    async def hear(self, stack: AsyncExitStack) -> Worker:
        channel = await stack.enter_async_context(open_channel(self._replica.address))
        call: Any = LearningServiceStub(channel).StreamTables(pb.StreamTablesRequest(node_id="w"))
        task = asyncio.create_task(self._read(call))

        async def leave() -> None:
            call.cancel()
            await asyncio.gather(task, return_exceptions=True)

        stack.push_async_callback(leave)
        return self

    async def _read(self, call: Any) -> None:
        while (message := await call.read()) is not grpc.aio.EOF:
            self.heard.append(message)
        self.ended = True

    def decisions(self) -> int:
        """Decisions that the newest table was learned from; 0: there is none."""
        known: dict[str, int] = {}
        for message in self.heard:
            known = {} if message.full else known
            known.update({t.variant_id: t.decisions for t in message.tables})
        return sum(known.values())


class Suite:
    def __init__(self, stack: AsyncExitStack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        self.store = MemoryStore()
        self.admin = PolicyAdmin(self.store, CelCompiler(), ShippedCatalogue())
        self._number = 0

    async def replica(self, folder: str = "") -> Replica:
        self._number += 1
        found = Replica(self.store, self.folder / (folder or f"replica-{self._number}"))
        self.stack.push_async_callback(found.stop)
        await found.start()
        await found.plane.board.ready.wait()
        await found.plane.leader.claim()
        return found

    async def worker(self, replica: Replica) -> Worker:
        return await Worker(replica).hear(self.stack)

    async def put(self, *forms: dict[str, Any]) -> None:
        writes = []
        for form in forms:
            resource, problems = read_form(form)
            assert resource is not None, problems
            writes.append(Write(to_document(resource)))
        await self.admin.apply(writes)


@pytest.fixture
async def suite(tmp_path: Path) -> AsyncIterator[Suite]:
    async with AsyncExitStack() as stack:
        found = Suite(stack, tmp_path)
        await found.put(*PROVIDERS, router("v"), KEY)
        yield found


async def until(done: Callable[[], bool]) -> None:
    """Return when `done` holds; a replica claims again every three seconds, so that may take a while."""
    async with asyncio.timeout(20):
        while not done():
            await asyncio.sleep(0.01)


async def test_a_worker_hears_everything_first_and_then_changes(suite: Suite) -> None:
    replica = await suite.replica()
    early = await suite.worker(replica)
    await until(lambda: bool(early.heard) and early.heard[-1].full)
    assert early.decisions() == 0
    await replica.report(recent(1))
    await until(lambda: early.decisions() == 1)
    assert not early.heard[-1].full
    late = await suite.worker(replica)
    await until(lambda: bool(late.heard))
    assert late.heard[0].full
    assert late.decisions() == 1


async def test_a_table_goes_when_policy_drops_its_variant(suite: Suite) -> None:
    replica = await suite.replica()
    worker = await suite.worker(replica)
    await replica.report(recent(1))
    await until(lambda: worker.decisions() == 1)
    await suite.put(router("other"))
    await until(lambda: worker.decisions() == 0)
    assert worker.heard[-1].full


async def test_replicas_that_do_not_learn_hand_outcomes_tables_and_questions_on(suite: Suite) -> None:
    first, second = await suite.replica(), await suite.replica()
    worker = await suite.worker(second)
    assert await second.report(recent(1), recent(2, learned=decided(chosen="nobody"))) == 1
    await until(lambda: worker.decisions() == 1)
    assert second.plane.learning.store.decisions("r/d/v", decided().kinds) == []
    assert [m.model for m in (await second.learned()).models] == [m.model for m in (await first.learned()).models]
    listed = await second.call(LearningServiceStub, "ListLearned", pb.ListLearnedRequest())
    assert [(t.variant_id, t.decisions, len(t.cells)) for t in listed.tables] == [("v", 1, 0)]


async def test_every_replica_simulates_by_the_table_that_it_has(suite: Suite) -> None:
    first, second = await suite.replica(), await suite.replica()
    worker = await suite.worker(second)
    await first.report(recent(1))
    await until(lambda: worker.decisions() == 1)
    body = b'{"model": "inworld/r", "messages": [{"role": "user", "content": "Write a poem about the sea."}]}'
    found = [await r.call(PolicyServiceStub, "Simulate", SimulateRequest(body=body)) for r in (first, second)]
    assert [one.learned_table for one in found] == [worker.heard[-1].tables[0].version] * 2


async def test_when_the_one_that_learns_dies_workers_keep_their_tables_and_another_goes_on(suite: Suite) -> None:
    first, second, third = [await suite.replica() for _ in range(3)]
    workers = [await suite.worker(second), await suite.worker(third)]
    await first.report(*(recent(n) for n in range(100)))
    await until(lambda: [w.decisions() for w in workers] == [100, 100])
    heard = [len(w.heard) for w in workers]
    await first.stop()
    # Its lease ends: the second one takes over with an empty disk.
    suite.store._claims[CLAIM] = second.address
    await third.plane.leader.claim()
    await second.plane.leader.claim()
    assert second.plane.leader.is_mine
    await second.report(recent(1_000))
    await until(lambda: second.plane.learning.store.mark("r/d/v") == 1)
    learned = second.plane.learning.learner
    await until(lambda: any(t.decisions == 1 for t in learned._own.values()))
    (shown,) = (second.plane.learning.tables.current or {}).values()
    assert shown.decisions == 100
    assert [w.decisions() for w in workers] == [100, 100], "what was known is worth more than one decision"
    assert [len(w.heard) for w in workers] == heard
    await second.report(*(recent(n) for n in range(2_000, 2_099)))
    # The second one knows as much by now, and the third one hears it from there.
    await until(lambda: second.plane.learning.store.mark("r/d/v") == 100)
    await second.report(recent(3_000))
    await until(lambda: [w.decisions() for w in workers] == [101, 101])


async def test_after_a_restart_the_table_is_there_again(suite: Suite) -> None:
    first = await suite.replica("disk")
    worker = await suite.worker(first)
    await first.report(*(recent(n) for n in range(20)))
    await until(lambda: worker.decisions() == 20)
    version = worker.heard[-1].tables[0].version
    await first.stop()
    await until(lambda: worker.ended)
    assert CLAIM not in suite.store._claims, "it was given up"
    again = await suite.worker(await suite.replica("disk"))
    await until(lambda: again.decisions() == 20)
    assert again.heard[-1].tables[0].version == version
    assert not any(m.full and not m.tables for m in again.heard), "nobody is told that there is nothing"


async def test_a_replica_that_does_not_learn_hands_nothing_on_to_replicas(suite: Suite) -> None:
    """Two that heard each other would hand old tables to and fro."""
    await suite.replica()
    second = await suite.replica()
    async with open_channel(second.address) as channel:
        call: Any = LearningServiceStub(channel).StreamTables(pb.StreamTablesRequest(node_id="x", relay=True))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert "does not learn" in (caught.value.details() or "")


async def test_a_stream_of_nobody_is_refused(suite: Suite) -> None:
    replica = await suite.replica()
    async with open_channel(replica.address) as channel:
        call: Any = LearningServiceStub(channel).StreamTables(pb.StreamTablesRequest())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_reports_need_a_key_and_a_variant_that_learns(suite: Suite) -> None:
    replica = await suite.replica()
    with pytest.raises(Unauthenticated):
        await replica.learned(metadata=None)
    with pytest.raises(PermissionDenied):
        await replica.learned(metadata=CALLER)
    with pytest.raises(NotFound, match="nothing learns at r/elsewhere"):
        await replica.learned(route="elsewhere")
    with pytest.raises(NotFound, match="nothing learns at r/d/w"):
        await replica.learned("w")
    await suite.put(router("v", "w"))
    await until(lambda: len(replica.plane.learning.servicer._reports.all()) == 2)
    with pytest.raises(InvalidRequest, match="v, w; name one"):
        await replica.learned()
    assert (await replica.learned("w")).table.variant_id == "w"


async def test_outcomes_without_a_unit_are_in_no_experiment(suite: Suite) -> None:
    replica = await suite.replica()
    await replica.report(recent(1), recent(2, unit_hash="u"))
    counts = replica.plane.evidence.counts("r/d", 0.0, 0.0)
    assert {arm: (c.units, c.requests) for arm, c in counts.items()} == {"v": (1, 1)}
    assert len(replica.plane.learning.store.decisions("r/d/v", decided().kinds)) == 2


async def test_feedback_finds_decisions_that_are_in_no_experiment(suite: Suite) -> None:
    await suite.put(router("v", metric="thumbs"))
    replica = await suite.replica()
    await until(lambda: "thumbs" in str(replica.plane.board.current))
    await replica.report(recent(1), recent(2, unit_hash="u"))
    feedback = [
        experiment.Feedback(generation_id=name, metric="thumbs", value=1.0) for name in ("g1", "g2", "nobody's")
    ]
    request = experiment.SubmitFeedbackRequest(feedback=feedback)
    told = await replica.call(ExperimentServiceStub, "SubmitFeedback", request, CALLER)
    assert (told.counted, told.unknown) == (2, 1)
    learned = await replica.learned()
    assert (learned.metric, learned.logged_reward) == ("thumbs", 1.0)
