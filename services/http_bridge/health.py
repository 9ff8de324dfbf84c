"""`GET /admin/v1/health`: which targets are set aside, why, and until when, as all workers see it.

Health is each worker's own: a target is listed once, with what every worker says of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict
from turnout.health.v1.health_pb2 import TargetHealth, TargetState
from turnout.health.v1.health_service_pb2 import ListTargetHealthResponse

from services.core.errors import RouterError
from services.http_bridge.backend import InferenceBackend
from services.http_bridge.errors import router_error_response
from services.http_bridge.http import Request, Response, json_response

_ABOUT = ("name", "provider", "model", "endpoint", "credential")
_PREFIX = "TARGET_STATE_"


class HealthRoutes:
    """Serves the health of targets."""

    def __init__(self, backend: InferenceBackend) -> None:
        self._backend = backend

    async def get(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """All targets, and the workers that were asked."""
        del parameters
        try:
            answers = await self._backend.target_health(request.headers)
            if not any(isinstance(answer, ListTargetHealthResponse) for answer in answers.values()):
                raise await self._backend.why_not_ready()
        except RouterError as error:
            return router_error_response(request.path, error)
        return json_response(200, aggregated(answers))


def aggregated(answers: Mapping[str, ListTargetHealthResponse | RouterError]) -> dict[str, Any]:
    """The answers of all workers by target, what is set aside first."""
    targets: dict[str, dict[str, Any]] = {}
    workers: list[dict[str, Any]] = []
    for worker, answer in answers.items():
        if isinstance(answer, RouterError):
            workers.append({"worker": worker, "error": answer.message})
            continue
        workers.append({"worker": worker, "node_id": answer.node_id})
        for target in answer.targets:
            found = targets.setdefault(target.name, {**_about(target), "set_aside": False, "workers": []})
            found["set_aside"] = found["set_aside"] or target.state != TargetState.TARGET_STATE_CLOSED
            found["workers"].append({"node_id": answer.node_id, **_seen(target)})
    ordered = sorted(targets.values(), key=lambda target: (not target["set_aside"], target["name"]))
    return {"targets": ordered, "workers": workers}


def _about(target: TargetHealth) -> dict[str, str]:
    return {name: value for name in _ABOUT if (value := getattr(target, name))}


def _seen(target: TargetHealth) -> dict[str, Any]:
    """What one worker says of a target; what it does not know is left out."""
    form = MessageToDict(target, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    form["state"] = form["state"].removeprefix(_PREFIX).lower()
    return {name: value for name, value in form.items() if name not in _ABOUT}
