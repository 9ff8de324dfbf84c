"""Evidence outlives the replica that collected it: every other one has a copy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from turnout.experiment.v1 import experiment_service_pb2 as pb
from turnout.experiment.v1.experiment_service_pb2_grpc import ExperimentServiceStub
from turnout.learning.v1.learning_service_pb2 import LearnedDecision

from services.controlplane.app import ControlPlane
from services.controlplane.store.base import PolicyStore
from services.runtime.grpc_channel import open_channel
from tests.support.inprocess import eventually
from tests.support.nodes import ADMIN_KEY, plane
from tests.support.ports import free_port


def outcomes(first: int, count: int) -> Any:
    found = [
        pb.Outcome(generation_id=f"g{n}", router_id="r", route_id="d", variant_id="a", unit_hash=f"u{n}", outcome="ok")
        for n in range(first, first + count)
    ]
    return pb.ReportOutcomesRequest(node_id="w", outcomes=found)


def ids(found: ControlPlane) -> set[str]:
    return {row[0] for row in found.evidence.rows("SELECT id FROM requests")}


def names(count: int) -> set[str]:
    return {f"g{n}" for n in range(count)}


@asynccontextmanager
async def stub_of(port: int) -> AsyncIterator[Any]:
    async with open_channel(f"127.0.0.1:{port}") as channel:
        yield ExperimentServiceStub(channel)


@pytest.mark.parametrize("store", ["memory"], indirect=True)
async def test_a_replica_that_takes_over_has_what_was_collected_before_it(store: PolicyStore) -> None:
    ports = [free_port() for _ in range(3)]
    async with plane(store, ports[1], "b") as second:
        async with plane(store, ports[0], "a", grace=10.0) as first:
            await second.leader.release()
            await first.leader.claim()
            await second.leader.claim()
            assert (first.leader.is_mine, second.leader.is_mine) == (True, False)
            async with stub_of(ports[1]) as stub:  # it hands on
                await stub.ReportOutcomes(outcomes(0, 2_500))
                await eventually(lambda: ids(second) == names(2_500))
                await stub.ReportOutcomes(outcomes(2_500, 500))
            assert len(ids(first)) == 3_000
        # It was stopped in good order at once, as in a rolling update.
        assert ids(second) == names(3_000)
        await second.leader.claim()
        assert second.leader.is_mine
        async with stub_of(ports[1]) as stub:
            await stub.ReportOutcomes(outcomes(2_999, 11))
        async with plane(store, ports[2], "c") as third:
            await eventually(lambda: ids(third) == names(3_010))


@pytest.mark.parametrize("store", ["memory"], indirect=True)
async def test_decisions_to_learn_from_are_copied_with_their_feedback(store: PolicyStore) -> None:
    ports = [free_port() for _ in range(2)]
    async with plane(store, ports[0], "a") as first, plane(store, ports[1], "b") as second:
        await first.leader.claim()
        await second.leader.claim()
        request = outcomes(0, 20)
        for outcome in request.outcomes:
            outcome.learned.CopyFrom(
                LearnedDecision(
                    kinds="k", kind=[0], weight=[1.0], models=["a/x", "a/y"], chosen="a/x", expected=[0.5, 0.5]
                )
            )
            outcome.learned.propensities.extend([0.5, 0.5])
            outcome.at.GetCurrentTime()
        async with stub_of(ports[0]) as stub:
            await stub.ReportOutcomes(request)
            for value in (0.0, 1.0):
                await stub.SubmitFeedback(
                    pb.SubmitFeedbackRequest(feedback=[pb.Feedback(generation_id="g3", metric="thumbs", value=value)]),
                    metadata=(("authorization", f"Bearer {ADMIN_KEY}"),),
                )
        await eventually(lambda: second.learning.store.rows("SELECT value FROM feedback") == [(1.0,)])
        rows = "SELECT id, variant, kinds, message FROM decisions ORDER BY id"
        assert second.learning.store.rows(rows) == first.learning.store.rows(rows)
        assert len(first.learning.store.rows(rows)) == 20
        assert second.learning.store.mark("r/d/a"), "there is something new to learn"


@pytest.mark.parametrize("store", ["memory"], indirect=True)
async def test_who_does_not_collect_sends_what_it_has_and_ends(store: PolicyStore) -> None:
    await store.claim("evidence", "127.0.0.1:1", 10)
    port = free_port()
    async with plane(store, port) as found, stub_of(port) as stub:
        await eventually(lambda: bool(found.leader.holder))
        call = stub.CopyEvidence(pb.CopyEvidenceRequest(replica="x"))
        assert [message async for message in call] == []
        assert await call.code() is grpc.StatusCode.OK


def damage(folder: Path) -> None:
    """What a disk does: the files are there, and are no databases."""
    for name in ("evidence", "decisions"):
        for file in folder.glob(f"{name}.sqlite-*"):
            file.unlink()
        (folder / f"{name}.sqlite").write_bytes(b"this is no database" * 1_000)


@pytest.mark.parametrize("store", ["memory"], indirect=True)
async def test_a_collector_whose_files_broke_does_not_collect_before_it_has_anothers_copy(
    store: PolicyStore, tmp_path: Path
) -> None:
    ports = [free_port() for _ in range(2)]
    address, folder = f"127.0.0.1:{ports[0]}", tmp_path / "a"
    async with plane(store, ports[1], "b") as second:
        async with plane(store, ports[0], "a", folder=folder) as first:
            await second.leader.release()
            await first.leader.claim()
            await second.leader.claim()
            assert first.leader.is_mine
            async with stub_of(ports[0]) as stub:
                await stub.ReportOutcomes(outcomes(0, 1_500))
            await eventually(lambda: ids(second) == names(1_500))
        damage(folder)
        # As if it had been killed: its claim is still there when it comes back under its address.
        await store.release("evidence", f"127.0.0.1:{ports[1]}")
        await store.claim("evidence", address, 10)
        async with plane(store, ports[0], "a", folder=folder) as again:
            await eventually(lambda: again.leader.awaits_copy and again.leader.holder != address)
            assert ids(again) == set()
            await again.leader.claim()
            assert not again.leader.is_mine
            await second.leader.claim()
            assert second.leader.is_mine
            await again.leader.claim()
            await eventually(lambda: not again.leader.awaits_copy)
            assert ids(again) == names(1_500)
            assert not again.evidence.lacks
            await second.leader.release()
            await again.leader.claim()
            assert again.leader.is_mine
    assert sorted(f.name for f in folder.glob("*.broken")) == ["decisions.sqlite.broken", "evidence.sqlite.broken"]
