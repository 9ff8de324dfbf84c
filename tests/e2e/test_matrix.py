"""Every fault at every phase, for every API, streamed or not, in every wire form and both topologies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from services.core.errors import FailureKind
from services.dataplane.dialects.registry import DIALECTS
from services.dataplane.providers.registry import CODECS
from tests.support.callers import Callers
from tests.support.evil import ENDINGS, WIRES, Phase
from tests.support.evil_hosts import Host, running_hosts
from tests.support.followed import followed
from tests.support.gates import Gates
from tests.support.inprocess import TOPOLOGIES, Running, running_suite
from tests.support.matrix import APIS, Cell, Stage, broken_cells, cells, documents, faults, verdict
from tests.support.upstream import running_upstream


@asynccontextmanager
async def staged(folder: Path, topology: str, stage: Stage) -> AsyncIterator[tuple[Running, Callers, dict[str, Host]]]:
    """A suite between callers of every API and the evil and good targets."""
    policy = stage.cells[0].policy
    async with (
        running_hosts(stage.play_evil) as (_, hosts),
        running_upstream(stage.play_good) as good,
        running_suite(folder, topology, *documents(hosts, good.url, policy, stage.cells)) as suite,
        grpc.aio.insecure_channel(suite.grpc) as channel,
    ):
        callers = Callers(suite.url, channel, lambda number: stage.shown[number].go.set())
        try:
            yield suite, callers, hosts
        finally:
            await callers.aclose()


async def run(folder: Path, topology: str, found: list[Cell]) -> dict[str, list[str]]:
    """Run cells; what is wrong, by cell."""
    stage = Stage(found)
    wrong: dict[str, list[str]] = {}
    async with staged(folder, topology, stage) as (suite, callers, hosts), followed(suite) as records:
        gates = Gates()

        async def one(cell: Cell) -> None:
            asking = callers.ask(cell)
            timed = cell.fault.clock is not None
            answer = await (gates.wait(asking, stage.stands(cell)) if timed else gates.move(asking))
            problems = await verdict(cell, answer, await records.get(cell.model), stage)
            if problems:
                wrong[str(cell)] = problems

        await asyncio.gather(*(one(cell) for cell in found))
        for name, host in hosts.items():
            tried = sum(cell.fault.host == name for cell in found)
            if host.accepted not in {0, tried}:
                wrong[f"host {name}"] = [f"{host.accepted} connections for {tried} attempts"]
        if stage.strays:
            wrong["strays"] = stage.strays
        running = [cell.name for cell in suite.worker.runner.health.report(0.0) if cell.in_flight]
        if running or suite.worker.engine.in_flight:
            wrong["afterwards"] = [f"{suite.worker.engine.in_flight} requests and attempts at {running} still run"]
    return wrong


def told(wrong: dict[str, list[str]]) -> str:
    return f"{len(wrong)} cells\n" + "\n".join(f"{cell}: {'; '.join(why)}" for cell, why in sorted(wrong.items()))


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("wire", WIRES)
async def test_every_fault_ends_as_its_row_says(tmp_path: Path, topology: str, wire: str) -> None:
    # One topology fails over within a wire form, the other one across.
    other = next(each for each in WIRES if each != wire)
    found = cells(wire, wire if topology == "fused" else other)
    wrong = await run(tmp_path, topology, found)
    assert not wrong, told(wrong)


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("wire", WIRES)
async def test_what_breaks_after_content_is_mended_where_policy_says_so(
    tmp_path: Path, topology: str, wire: str
) -> None:
    other = next(each for each in WIRES if each != wire)
    wrong = await run(tmp_path, topology, broken_cells(wire, other if topology == "fused" else wire))
    assert not wrong, told(wrong)


@pytest.mark.soak
@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("fallback", WIRES)
@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("api", APIS)
async def test_the_full_product_ends_as_its_rows_say(
    tmp_path: Path, topology: str, fallback: str, wire: str, api: str
) -> None:
    wrong = await run(tmp_path, topology, cells(wire, fallback, apis=[api], every=True))
    assert not wrong, told(wrong)


def test_the_matrix_is_complete_over_the_registries() -> None:
    assert set(APIS) == {dialect.api for dialect in DIALECTS}
    # One wire form for each protocol that is an API too, and for those that no caller speaks: Bedrock's and Cohere's.
    apis = {codec.api for codec in CODECS} - {""}
    assert len(WIRES) == len(apis | {"bedrock", "cohere"})
    spoken = {form["type"] for form in documents({"evil": Host("http://x")}, "http://x", "honest")[:-1]}
    assert {codec.api for codec in CODECS if spoken & set(codec.protocols)} - {""} == apis


@pytest.mark.parametrize("wire", WIRES)
def test_the_table_has_every_ending_at_every_phase_and_every_row_streamed_or_not(wire: str) -> None:
    rows = {stream: [fault.name for fault in faults(wire, stream=stream)] for stream in (False, True)}
    assert sorted(rows[False]) == sorted(rows[True])
    assert len(set(rows[True])) == len(rows[True])
    for ending in ENDINGS:
        for phase in ending.phases:
            assert f"{ending.name}-{phase.name.lower().replace('_', '-')}" in rows[True]
    assert {fault.phase for fault in faults(wire, stream=True)} == set(Phase)


def test_the_table_has_every_failure_that_a_provider_can_cause() -> None:
    ours = {FailureKind.CREDENTIAL_MISSING, FailureKind.UNSUPPORTED, FailureKind.DIVERGED}
    floor = {FailureKind.THROUGHPUT_TOO_LOW}  # only where policy sets one
    speech = {FailureKind.VOICE_MISSING}  # chat names no voice
    found = {
        kind for wire in WIRES for stream in (False, True) for f in faults(wire, stream=stream) for kind in f.kinds
    }
    assert found == set(FailureKind) - ours - floor - speech
