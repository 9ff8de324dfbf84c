"""What was learned of models, over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
from turnout.learning.v1 import learning_service_pb2 as pb
from turnout.learning.v1.learning_service_pb2_grpc import LearningServiceStub

from services.http_bridge.control import answer, call, handler
from services.http_bridge.http import Request, Response
from services.http_bridge.routing import Route

Parameters = Mapping[str, str]


class LearnedRoutes:
    """Serves the variants that learn, and the report on one."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = LearningServiceStub(channel)

    def routes(self) -> list[Route]:
        """Every route of it."""
        return [
            Route("GET", "/admin/v1/learned", handler(self.list)),
            Route("GET", "/admin/v1/learned/{router}/{route}", handler(self.report)),
        ]

    async def list(self, request: Request, parameters: Parameters) -> Response:
        """GET /admin/v1/learned."""
        del parameters
        return answer(await call(self._stub.ListLearned, pb.ListLearnedRequest(), request))

    async def report(self, request: Request, parameters: Parameters) -> Response:
        """GET /admin/v1/learned/{router}/{route}?variant=…"""
        message = pb.GetLearnedRequest(
            router_id=parameters["router"], route_id=parameters["route"], variant_id=request.query.get("variant", "")
        )
        return answer(await call(self._stub.GetLearned, message, request))
