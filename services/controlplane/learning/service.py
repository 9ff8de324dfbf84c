"""`turnout.learning.v1.LearningService`: pushes tables to workers and other replicas, and reports on them.

Streams end when their worker leaves, and all of them when the replica stops. A replica that does not collect hands on
what it is asked, and pushes what it hears.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from turnout.learning.v1 import learning_service_pb2 as pb
from turnout.learning.v1 import learning_service_pb2_grpc
from turnout.learning.v1.learning_service_pb2_grpc import LearningServiceStub

from services.controlplane.auth import READ, Authoriser
from services.controlplane.evidence.leader import CLAIM_SECONDS, Leader, collected
from services.controlplane.handlers import Context, authorised
from services.controlplane.learning.report import Reports
from services.controlplane.learning.tables import Tables, changes, everything
from services.core.errors import InvalidRequest, Overloaded
from services.runtime.waiting import first_of
from services.wire.status import abort

log = logging.getLogger(__name__)


class LearningServicer(learning_service_pb2_grpc.LearningServiceServicer):
    """The service."""

    stub = LearningServiceStub

    def __init__(self, tables: Tables, reports: Reports, authoriser: Authoriser, leader: Leader) -> None:
        self.authoriser = authoriser
        self._tables = tables
        self._reports = reports
        self.leader = leader
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """End every stream now, and each new one as soon as it has begun."""
        self._stopping.set()

    # From workers, as their policy streams: no key.
    async def StreamTables(
        self, request: pb.StreamTablesRequest, context: Context
    ) -> AsyncIterator[pb.StreamTablesResponse]:
        if not request.node_id:
            await abort(context, InvalidRequest("a stream needs a node_id", param="node_id"))
        if request.relay and not self.leader.is_mine:
            # Two replicas that hear each other would hand the same tables to and fro for ever.
            told = "this replica of the control plane does not learn"
            await abort(context, Overloaded(told, retry_after=CLAIM_SECONDS))
        seen = self._tables.current
        yield everything(seen)
        while not self._stopping.is_set():
            await first_of(self._tables.other_than(seen), self._stopping.wait())
            now = self._tables.current
            if now is not None and now is not seen:
                changed, seen = changes(seen, now), now
                if changed is not None:
                    yield changed

    @authorised(READ)
    @collected
    async def GetLearned(self, request: pb.GetLearnedRequest, context: Context) -> pb.Learned:
        return await self._reports.report(request.router_id, request.route_id, request.variant_id)

    @authorised(READ)
    @collected
    async def ListLearned(self, request: pb.ListLearnedRequest, context: Context) -> pb.ListLearnedResponse:
        return pb.ListLearnedResponse(tables=self._reports.all())
