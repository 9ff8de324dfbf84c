"""Google's addresses: a model's name, a colon and a method in the path, the key in the query, streams as lists.

At Vertex AI's addresses project and location are ignored, since policy says where a model is. A publisher other
than Google is the first part of the model's name, as it is to Google's SDKs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from turnout.inference.v1.inference_service_pb2 import Api

from services.core.values import changed
from services.http_bridge.errors import error_response
from services.http_bridge.http import JSON, Handler, Request, Response, StreamingResponse
from services.http_bridge.inference import InferenceRoutes
from services.http_bridge.routing import Route

_KEY_HEADERS = ("authorization", "x-api-key", "x-goog-api-key")
GOOGLE = "google"
PUBLISHERS = tuple(
    f"{version}{place}/publishers/{{publisher}}/models"
    for version in ("/v1beta1", "/v1")
    for place in ("", "/projects/{project}/locations/{location}")
)
"""Where Vertex AI has its models."""
_PATHS = tuple(f"{place}/{{model...}}" for place in ("/v1beta/models", "/v1/models", *PUBLISHERS))


def with_key(request: Request) -> Request:
    """`request` with the key of its query as a header, where no header has one."""
    key = request.query.get("key")
    if not key or any(request.headers.get(name) for name in _KEY_HEADERS):
        return request
    return changed(request, headers={**request.headers, "x-goog-api-key": key})


def published(publisher: str, model: str) -> str:
    """The name of a publisher's model."""
    return model if publisher == GOOGLE else f"{publisher}/{model}"


class GeminiRoutes:
    """Serves the methods of models."""

    def __init__(self, inference: InferenceRoutes) -> None:
        self._whole: Mapping[str, Handler] = {
            "generateContent": inference.handler(Api.API_GENERATE_CONTENT),
            "countTokens": inference.handler(Api.API_COUNT_CONTENT_TOKENS),
        }
        self._stream = inference.handler(Api.API_GENERATE_CONTENT, always_streams=True)

    def routes(self) -> list[Route]:
        """The routes, most particular last: each is known by its shape alone."""
        return [Route("POST", path, self.call) for path in _PATHS]

    async def call(self, request: Request, parameters: Mapping[str, str]) -> Response | StreamingResponse:
        """Call a method of a model."""
        model, _, method = parameters["model"].rpartition(":")
        named = {"model": published(parameters.get("publisher", GOOGLE), model)}
        request = with_key(request)
        if method == "streamGenerateContent" and model:
            answer = await self._stream(request, named)
            return answer if request.query.get("alt") == "sse" else _as_list(answer)
        handler = self._whole.get(method) if model else None
        if handler is None:
            told = f"there is no {request.path} here; models have {', '.join(self._whole)} and streamGenerateContent"
            return error_response(request.path, 404, told, code="unknown_url")
        return await handler(request, named)


def _as_list(answer: Response | StreamingResponse) -> Response | StreamingResponse:
    """A stream as one JSON list, element by element, which is what Google sends unless it is asked for events."""
    if isinstance(answer, Response):
        # An error before the first content; Google puts it in a list as well.
        body = b"[" + answer.body + b"]" if answer.headers.get("content-type", "").startswith(JSON) else answer.body
        headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
        return Response(answer.status, body, headers)
    answer.headers["content-type"] = JSON
    answer.chunks = _elements(answer.chunks)
    return answer


async def _elements(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The data of frames as elements of a list. A stream that breaks has an error as its last element."""
    before = b"["
    async with aclosing(chunks):
        async for piece in chunks:
            # The worker sends whole frames, each with its data in one line.
            lines = [line.removeprefix(b"data: ") for line in piece.split(b"\n") if line.startswith(b"data: ")]
            if lines:
                yield before + b",\r\n".join(lines)
                before = b",\r\n"
    yield b"]" if before != b"[" else b"[]"
