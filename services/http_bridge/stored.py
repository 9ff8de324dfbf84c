"""The rest of OpenAI's Responses API: calls about responses that a provider keeps.

The address says what is asked of which response; the worker gets that as an object.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec
from turnout.inference.v1.inference_service_pb2 import Api

from services.core.values import changed
from services.http_bridge.http import Handler, Request, Response, StreamingResponse
from services.http_bridge.inference import InferenceRoutes
from services.http_bridge.routing import Route

_PLACE = "/v1/responses/{id}"
_CALLS = (
    ("GET", _PLACE, "retrieve"),
    ("DELETE", _PLACE, "delete"),
    ("POST", f"{_PLACE}/cancel", "cancel"),
    ("GET", f"{_PLACE}/input_items", "input_items"),
)


def stored_routes(inference: InferenceRoutes) -> list[Route]:
    """The routes of calls about a stored response."""
    handle = inference.handler(Api.API_STORED_RESPONSES)
    return [Route(method, path, _asking(handle, action)) for method, path, action in _CALLS]


def _asking(handle: Handler, action: str) -> Handler:
    async def ask(request: Request, parameters: Mapping[str, str]) -> Response | StreamingResponse:
        query = parse_qsl(request.raw_query, keep_blank_values=True)
        asked = {"id": parameters["id"], "action": action, "query": query}
        return await handle(changed(request, body=msgspec.json.encode(asked)), {})

    return ask
