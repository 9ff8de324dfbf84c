"""`GET /v1/models`, in a shape that OpenAI's, OpenRouter's and Anthropic's clients all parse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnout.inference.v1.inference_service_pb2 import ModelInfo

from services.core.errors import RouterError
from services.http_bridge.backend import InferenceBackend
from services.http_bridge.errors import error_response, router_error_response
from services.http_bridge.http import Request, Response, json_response

_EPOCH = "1970-01-01T00:00:00Z"


class ModelRoutes:
    """Serves the list of models."""

    def __init__(self, backend: InferenceBackend) -> None:
        self._backend = backend

    async def list(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """All models."""
        del parameters
        try:
            models = (await self._backend.list_models(request.headers)).models
        except RouterError as error:
            return router_error_response(request.path, error)
        if "anthropic-version" in request.headers:
            data = [_anthropic(m) for m in models]
            ends = (
                {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
            )
            return json_response(200, {"data": data, "has_more": False, **ends})
        return json_response(200, {"object": "list", "data": [_openai(m) for m in models]})

    async def get(self, request: Request, parameters: Mapping[str, str]) -> Response:
        """One model; its id may hold slashes."""
        try:
            models = (await self._backend.list_models(request.headers)).models
        except RouterError as error:
            return router_error_response(request.path, error)
        for model in models:
            if model.id == parameters["id"]:
                anthropic = "anthropic-version" in request.headers
                return json_response(200, _anthropic(model) if anthropic else _openai(model))
        return error_response(
            request.path, 404, f"the model {parameters['id']!r} is not listed", code="model_not_found"
        )


def _openai(model: ModelInfo) -> dict[str, Any]:
    form: dict[str, Any] = {
        "id": model.id,
        "object": "model",
        "created": model.created_at.seconds,
        "owned_by": model.owned_by,
        "name": model.display_name,
    }
    if model.context_length:
        form["context_length"] = model.context_length
    if model.HasField("input_price") and model.HasField("output_price"):
        form["pricing"] = {"prompt": _price(model.input_price), "completion": _price(model.output_price)}
    return form


def _price(dollars: float) -> str:
    """A price per token as OpenRouter spells it: a decimal number in text."""
    return f"{dollars:.12f}".rstrip("0").rstrip(".") or "0"


def _anthropic(model: ModelInfo) -> dict[str, Any]:
    return {"type": "model", "id": model.id, "display_name": model.display_name, "created_at": _EPOCH}
