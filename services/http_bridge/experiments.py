"""Experiments over HTTP: feedback from callers, and what can be said of experiments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import grpc
from turnout.experiment.v1 import experiment_service_pb2 as pb
from turnout.experiment.v1.experiment_service_pb2_grpc import ExperimentServiceStub

from services.core.errors import InvalidRequest
from services.http_bridge.admin_form import object_of
from services.http_bridge.control import answer, call, handler, json_body
from services.http_bridge.http import Request, Response, json_response
from services.http_bridge.routing import Route

Parameters = Mapping[str, str]


class ExperimentRoutes:
    """Serves feedback and reports."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = ExperimentServiceStub(channel)

    def routes(self) -> list[Route]:
        """Every route of it."""
        return [
            Route("POST", "/v1/feedback", handler(self.feedback)),
            Route("GET", "/admin/v1/experiments", handler(self.list)),
            Route("GET", "/admin/v1/experiments/{router}/{route}", handler(self.report)),
        ]

    async def feedback(self, request: Request, parameters: Parameters) -> Response:
        """POST /v1/feedback: {generation_id | user, metric, value, at?}, or {"feedback": [...]} of them."""
        del parameters
        body = object_of(json_body(request))
        rows = body.get("feedback", [body])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise InvalidRequest("`feedback` must be a list of objects", param="feedback")
        message = pb.SubmitFeedbackRequest(feedback=[_feedback(row) for row in rows])
        found = await call(self._stub.SubmitFeedback, message, request)
        return json_response(202, {"counted": found.counted, "unknown": found.unknown})

    async def list(self, request: Request, parameters: Parameters) -> Response:
        """GET /admin/v1/experiments."""
        del parameters
        return answer(await call(self._stub.ListExperiments, pb.ListExperimentsRequest(), request))

    async def report(self, request: Request, parameters: Parameters) -> Response:
        """GET /admin/v1/experiments/{router}/{route}?control=…&since=…&alpha=…&fixed_horizon=true"""
        query = request.query
        message = pb.GetReportRequest(
            router_id=parameters["router"],
            route_id=parameters["route"],
            control=query.get("control", ""),
            fixed_horizon=query.get("fixed_horizon") == "true",
            alpha=_number(query.get("alpha", "0"), "alpha"),
        )
        if query.get("since"):
            message.since.FromDatetime(_instant(query["since"], "since"))
        return answer(await call(self._stub.GetReport, message, request))


def _feedback(row: Mapping[str, Any]) -> pb.Feedback:
    texts = {name: row.get(name) or "" for name in ("generation_id", "user", "metric")}
    for name, text in texts.items():
        if not isinstance(text, str):
            raise InvalidRequest(f"`{name}` must be text", param=name)
    value = row.get("value")
    if isinstance(value, bool):
        value = float(value)
    if not isinstance(value, (int, float)):
        raise InvalidRequest("`value` must be a number, true or false", param="value")
    message = pb.Feedback(generation_id=texts["generation_id"], user=texts["user"], metric=texts["metric"], value=value)
    if row.get("at") is not None:
        message.at.FromDatetime(_instant(row["at"], "at"))
    return message


def _instant(text: Any, param: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"`{param}` must be an instant such as 2026-11-25T10:00:00Z", param=param) from error


def _number(text: str, param: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InvalidRequest(f"`{param}` must be a number", param=param) from error
