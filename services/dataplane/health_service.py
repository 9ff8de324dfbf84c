"""`turnout.health.v1.HealthService`: what this worker knows of its targets' health, over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc
from turnout.health.v1 import health_service_pb2_grpc
from turnout.health.v1.health_pb2 import HealthEvent
from turnout.health.v1.health_service_pb2 import (
    ListTargetHealthRequest,
    ListTargetHealthResponse,
    WatchHealthRequest,
)

from services.dataplane.auth import ADMIN, READ, admit
from services.dataplane.health_events import HealthEvents
from services.dataplane.health_report import HealthReports
from services.dataplane.policy_holder import PolicyHolder

Context = grpc.aio.ServicerContext[Any, Any]


class HealthServicer(health_service_pb2_grpc.HealthServiceServicer):
    """Serves health to keys of scope `read` or `admin`."""

    def __init__(self, policy: PolicyHolder, reports: HealthReports, events: HealthEvents) -> None:
        self._policy = policy
        self._reports = reports
        self._events = events

    async def ListTargetHealth(self, request: ListTargetHealthRequest, context: Context) -> ListTargetHealthResponse:
        del request
        await admit(self._policy, context, READ, ADMIN)
        return self._reports.all()

    async def WatchHealth(self, request: WatchHealthRequest, context: Context) -> AsyncIterator[HealthEvent]:
        await admit(self._policy, context, READ, ADMIN)
        # Headers at once: a watcher learns that it is connected before anything happens.
        await context.send_initial_metadata(())
        async with aclosing(self._events.watch(present=request.present)) as events:
            async for event in events:
                yield event
