"""What is learned, with everything in processes of their own: etcd, a control plane, the bridge, and who chooses by it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from turnout.experiment.v1 import experiment_service_pb2 as experiment
from turnout.experiment.v1.experiment_service_pb2_grpc import ExperimentServiceStub
from turnout.learning.v1 import learning_service_pb2 as pb
from turnout.learning.v1.learning_service_pb2_grpc import LearningServiceStub

from services.core.discovery.messages import documents_of
from services.core.routing.learned.choice import choose
from services.core.routing.learned.table import Table
from services.core.routing.plan import LearnedChoice
from services.runtime.kinds import shipped_kinds
from services.wire.learning import decision_message, to_table
from services.wire.policy import to_resource
from tests.e2e.test_chaos import ENVIRONMENT, apply, command, serving
from tests.support.etcd import Etcd
from tests.support.inprocess import KEY, policy_set
from tests.support.ports import free_port
from tests.support.processes import running

pytestmark = pytest.mark.process

KINDS = shipped_kinds()
MODELS = ("one/m", "two/m")
GOOD = {0: "one/m", 1: "two/m"}
"""Which model is good for requests of a kind; the other one is bad."""
EXPLORE = 0.2


def policy() -> Any:
    learned = {"metric": "thumbs", "explore": EXPLORE}
    selection = {"models": [MODELS[1]], "learned": learned}
    variant = {"variant_id": "v", "model_id": MODELS[0], "model_selection": selection}
    router = {
        "kind": "Router",
        "name": "r",
        "default_route": {"route_id": "d", "variants": [{"weight": 100, "variant": variant}]},
    }
    providers = [
        {"kind": "Provider", "name": n, "type": "openai_compatible", "base_url": "http://127.0.0.1:1/v1"}
        for n in ("one", "two")
    ]
    return [to_resource(d) for d in documents_of(policy_set(*providers, router)).values()]


class Plane:
    """The control plane as a process that can be killed, and the bridge that callers reach it by."""

    def __init__(self, etcd: Etcd, folder: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://127.0.0.1:{free_port()}"
        self._folder = folder
        self._command = command("controlplane", "--listen", self.address, "--etcd", etcd.endpoint)
        self._command += ["--data-dir", str(folder / "plane"), "--learn-seconds", "0.1"]
        self._stack = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        run = running(self._command, self._folder / "plane.log", lambda: serving(self.address), environment=ENVIRONMENT)
        self._process = self._stack.enter_context(run)

    def start_bridge(self) -> None:
        flags = ("--port", self.url.rpartition(":")[2], "--dataplane", "127.0.0.1:1", "--controlplane", self.address)
        run = running(
            command("http_bridge", *flags), self._folder / "bridge.log", self._listens, environment=ENVIRONMENT
        )
        self._stack.enter_context(run)

    def _listens(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=1, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    def close(self) -> None:
        self._stack.close()


class Chooser:
    """Chooses by what it hears, and reports, as a worker does; its seeds are numbers in order."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self.heard: list[pb.StreamTablesResponse] = []
        self.tables: dict[str, pb.LearnedTable] = {}
        self._changed = asyncio.Event()
        self._asked = 0

    async def hear(self) -> None:
        """Hear tables until the stream ends."""
        async with grpc.aio.insecure_channel(self._plane.address) as channel:
            call: Any = LearningServiceStub(channel).StreamTables(pb.StreamTablesRequest(node_id="chooser"))
            try:
                while (message := await call.read()) is not grpc.aio.EOF:
                    self.heard.append(message)
                    self.tables = {} if message.full else self.tables
                    self.tables.update({table.variant_id: table for table in message.tables})
                    self._changed.set()
            except grpc.aio.AioRpcError:
                return
            finally:
                call.cancel()

    async def knows(self, rewarded: int) -> pb.LearnedTable:
        """The table, as soon as so many rewards are in it."""
        async with asyncio.timeout(60):
            while "v" not in self.tables or self.tables["v"].rewarded < rewarded:
                self._changed.clear()
                await self._changed.wait()
        return self.tables["v"]

    def ask(self, kind: int, explore: float = EXPLORE) -> tuple[str, experiment.Outcome]:
        """Choose for a request of a kind: the model, and the outcome to report."""
        self._asked += 1
        found = to_table(self.tables["v"], KINDS) if "v" in self.tables else None
        table = found if found is not None else Table(KINDS.clusters)
        choice = choose(table, {kind: 1.0}, MODELS, self._asked, floor=explore)
        learned = decision_message(LearnedChoice(choice, KINDS.version, {kind: 1.0}))
        outcome = experiment.Outcome(
            generation_id=f"g{self._asked}",
            router_id="r",
            route_id="d",
            variant_id="v",
            at=Timestamp(seconds=int(time.time()) - 3_600 + self._asked),
            outcome="ok",
            served_model=choice.models[0],
            learned=learned,
        )
        return choice.models[0], outcome

    def greedy(self, kind: int) -> str:
        """What is chosen for a kind without exploring."""
        table = to_table(self.tables["v"], KINDS)
        assert table is not None
        return choose(table, {kind: 1.0}, MODELS, 1, floor=0.0).scored[0].model

    async def report(self, outcomes: list[experiment.Outcome]) -> None:
        async with grpc.aio.insecure_channel(self._plane.address) as channel:
            stub: Any = ExperimentServiceStub(channel)
            request = experiment.ReportOutcomesRequest(node_id="chooser", outcomes=outcomes)
            async with asyncio.timeout(30):
                while True:
                    try:
                        await stub.ReportOutcomes(request, timeout=5)
                    except grpc.aio.AioRpcError:
                        await asyncio.sleep(0.1)  # no replica has claimed the evidence yet
                        continue
                    return


@pytest.fixture
def plane(etcd: Etcd, tmp_path: Path) -> Iterator[Plane]:
    found = Plane(etcd, tmp_path)
    try:
        found.start()
        found.start_bridge()
        yield found
    finally:
        found.close()


@pytest.fixture
async def http(plane: Plane) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=plane.url, headers=headers, trust_env=False, timeout=20) as client:
        yield client


async def taught(chooser: Chooser, http: httpx.AsyncClient, count: int) -> None:
    """So many requests, half of each kind, each with the feedback of its caller."""
    rows, outcomes = [], []
    for number in range(count):
        model, outcome = chooser.ask(number % 2)
        rows.append({"generation_id": outcome.generation_id, "metric": "thumbs", "value": model == GOOD[number % 2]})
        outcomes.append(outcome)
    await chooser.report(outcomes)
    told = await http.post("/v1/feedback", json={"feedback": rows})
    assert (told.status_code, told.json()) == (202, {"counted": count, "unknown": 0})


@pytest.mark.timeout(180)
async def test_each_kind_gets_its_better_model_and_a_killed_control_plane_knows_it_again(
    plane: Plane, http: httpx.AsyncClient
) -> None:
    await apply(plane.address, policy())
    chooser = Chooser(plane)
    hearing = asyncio.create_task(chooser.hear())
    await taught(chooser, http, 300)
    table = await chooser.knows(300)
    assert (chooser.greedy(0), chooser.greedy(1)) == (GOOD[0], GOOD[1])
    chosen = [(kind, chooser.ask(kind)[0]) for kind in (0, 1) for _ in range(200)]
    assert sum(model == GOOD[kind] for kind, model in chosen) > 0.7 * len(chosen), "the floor is left to the other one"

    listed = (await http.get("/admin/v1/learned")).json()["tables"]
    assert [(t["router_id"], t["variant_id"], t["decisions"], t["version"]) for t in listed] == [
        ("r", "v", "300", table.version)
    ]
    report = (await http.get("/admin/v1/learned/r/d", params={"variant": "v"})).json()
    assert {m["model"] for m in report["models"]} == set(MODELS)
    assert report["metric"] == "thumbs"
    assert (await http.get("/admin/v1/learned/r/elsewhere")).status_code == 404

    await asyncio.to_thread(plane.kill)
    await hearing
    assert chooser.tables["v"] == table, "who has heard it goes on with it"
    assert (chooser.greedy(0), chooser.greedy(1)) == (GOOD[0], GOOD[1])
    before = len(chooser.heard)
    await asyncio.to_thread(plane.start)
    hearing = asyncio.create_task(chooser.hear())
    async with asyncio.timeout(60):
        while len(chooser.heard) < before + 2 and not (len(chooser.heard) > before and chooser.heard[-1].full):
            await asyncio.sleep(0.05)
    assert not any(message.full and not message.tables for message in chooser.heard[before:])
    assert chooser.tables["v"].version == table.version, "learned again from what is on its disk"
    await taught(chooser, http, 100)
    assert (await chooser.knows(400)).decisions == 400
    plane.close()
    await hearing
