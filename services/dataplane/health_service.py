"""`turnout.health.v1.HealthService`: what this worker knows of its targets' health, over gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
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

from services.core.errors import PolicyNotReady, RouterError
from services.dataplane.auth import ADMIN, READ, authenticate
from services.dataplane.health_events import HealthEvents
from services.dataplane.health_report import HealthReports
from services.dataplane.policy_holder import PolicyHolder
from services.wire.status import abort

Context = grpc.aio.ServicerContext[Any, Any]


def check_reader(policy: PolicyHolder, headers: Mapping[str, str]) -> None:
    """Let those read who may.

    Raises:
        RouterError: There is no policy yet, or the caller's key has neither scope `read` nor `admin`.
    """
    snapshot = policy.current()
    if snapshot is None:
        raise PolicyNotReady("this worker has no policy yet", retry_after=1.0)
    authenticate(snapshot, headers, READ, ADMIN)


class HealthServicer(health_service_pb2_grpc.HealthServiceServicer):
    """Serves health to keys of scope `read` or `admin`."""

    def __init__(self, policy: PolicyHolder, reports: HealthReports, events: HealthEvents) -> None:
        self._policy = policy
        self._reports = reports
        self._events = events

    async def ListTargetHealth(self, request: ListTargetHealthRequest, context: Context) -> ListTargetHealthResponse:
        del request
        await self._authorise(context)
        return self._reports.all()

    async def WatchHealth(self, request: WatchHealthRequest, context: Context) -> AsyncIterator[HealthEvent]:
        await self._authorise(context)
        # Headers at once: a watcher learns that it is connected before anything happens.
        await context.send_initial_metadata(())
        async with aclosing(self._events.watch(present=request.present)) as events:
            async for event in events:
                yield event

    async def _authorise(self, context: Context) -> None:
        headers = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        try:
            check_reader(self._policy, headers)
        except RouterError as error:
            await abort(context, error)
