"""A control plane that only teaches: it pushes the tables that a test says, and notes the outcomes that it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from turnout.experiment.v1 import experiment_service_pb2 as experiment
from turnout.experiment.v1 import experiment_service_pb2_grpc as experiment_grpc
from turnout.learning.v1 import learning_service_pb2 as pb
from turnout.learning.v1 import learning_service_pb2_grpc as pb_grpc

from services.core.routing.learned.clusters import Clusters, Kinds, trained
from services.core.routing.learned.features import features
from services.core.routing.learned.table import Cell, Table
from services.wire.learning import table_message

SUM, VERSE = "Solve for x: 5x + 2 = 17. Show the steps.", "Write a poem about a quiet autumn sea."
KINDS = Kinds("test-kinds", trained([features(SUM), features(VERSE)], 2))
"""Two kinds of requests: sums and verses, in either order."""


def table(
    rewards: Mapping[str, Sequence[float]], kinds: Kinds = KINDS, *, variant: str = "v", decisions: int = 100
) -> pb.LearnedTable:
    """A table of the variant r/d/v: for each model its mean reward of a hundred requests of each kind."""
    found = Table(Clusters(len(next(iter(rewards.values())))))
    for model, each in rewards.items():
        found.cells[model, ""] = [Cell(rewarded=100.0, reward=100.0 * mean) for mean in each]
    message = table_message(found, kinds.version)
    message.router_id, message.route_id, message.variant_id = "r", "d", variant
    message.decisions = decisions
    message.learned_at.CopyFrom(Timestamp(seconds=1_750_000_000))
    return message


class Teacher(pb_grpc.LearningServiceServicer, experiment_grpc.ExperimentServiceServicer):
    """The services. `streams` counts the streams that were begun."""

    def __init__(self) -> None:
        self.address = ""
        self.streams = 0
        self.outcomes: list[experiment.Outcome] = []
        self._said: list[pb.StreamTablesResponse] = []
        self._changed = asyncio.Event()
        self._hung_up = 0

    def say(self, *tables: pb.LearnedTable, full: bool = False) -> None:
        """Push tables, to who is there now and who comes."""
        self._said.append(pb.StreamTablesResponse(full=full, tables=tables))
        self._wake()

    def hang_up(self) -> None:
        """End the streams that there are."""
        self._hung_up += 1
        self._wake()

    async def some_came(self) -> None:
        """Return when outcomes came, or anything else has happened."""
        await self._changed.wait()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    # The names are those of the protos.
    async def StreamTables(
        self, request: pb.StreamTablesRequest, context: Any
    ) -> AsyncIterator[pb.StreamTablesResponse]:
        assert request.node_id
        assert not request.relay
        self.streams += 1
        told, calls = 0, self._hung_up
        while self._hung_up == calls:
            changed = self._changed
            for message in self._said[told:]:
                yield message
            told = len(self._said)
            await changed.wait()

    async def ReportOutcomes(
        self, request: experiment.ReportOutcomesRequest, context: Any
    ) -> experiment.ReportOutcomesResponse:
        known = {outcome.generation_id for outcome in self.outcomes}
        self.outcomes += [outcome for outcome in request.outcomes if outcome.generation_id not in known]
        self._wake()
        return experiment.ReportOutcomesResponse()


@asynccontextmanager
async def teaching(address: str = "127.0.0.1:0") -> AsyncIterator[Teacher]:
    """A teacher at an address of its own."""
    teacher = Teacher()
    server = grpc.aio.server()
    pb_grpc.add_LearningServiceServicer_to_server(teacher, server)
    experiment_grpc.add_ExperimentServiceServicer_to_server(teacher, server)
    port = server.add_insecure_port(address)
    teacher.address = f"127.0.0.1:{port}"
    await server.start()
    try:
        yield teacher
    finally:
        teacher.hang_up()
        await server.stop(1.0)
