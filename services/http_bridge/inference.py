"""The inference routes: HTTP in, InvokeRequest out, and back. Prompts are not parsed here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import msgspec
from turnout.inference.v1.inference_service_pb2 import Api, InvokeEvent, InvokeRequest

from services.core.errors import RouterError
from services.core.policy.durations import parse_duration
from services.http_bridge.backend import InferenceBackend
from services.http_bridge.errors import (
    OPENROUTER_PREFIX,
    error_response,
    in_openrouters_words,
    router_error_response,
)
from services.http_bridge.http import MAX_BODY, Handler, Request, Response, StreamingResponse
from services.http_bridge.observe import Observer
from services.runtime.clock import Clock
from services.runtime.trace_context import TraceContext

FORWARDED = frozenset(
    (
        "x-turnout-restart",
        "x-turnout-fault",
        "x-turnout-explain",
        "authorization",
        "x-api-key",
        "anthropic-version",
        "anthropic-beta",
        "user-agent",
        "x-title",
        "http-referer",
        "x-session-id",
        "x-claude-code-session-id",
        "idempotency-key",
        "content-type",
        "x-goog-api-key",
        "openai-beta",
        "openai-organization",
        "openai-project",
        "x-openrouter-title",
        "x-openrouter-metadata",
        "x-openrouter-experimental-metadata",
    )
)
"""Headers that reach the worker; no other one leaves the bridge."""

STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
TIMEOUT_HEADER = "x-turnout-timeout"


_STREAM_BY_ADDRESS = frozenset({Api.API_INWORLD_SPEECH})
"""APIs whose body names the model, and whose address says whether to stream."""


class _Peek(msgspec.Struct):
    """The one field that the bridge has to know."""

    stream: bool | None = None


_peek = msgspec.json.Decoder(_Peek).decode


class InferenceRoutes:
    """Serves inference over a backend."""

    def __init__(self, backend: InferenceBackend, observer: Observer, clock: Clock) -> None:
        self._backend = backend
        self._observer = observer
        self._clock = clock

    def handler(self, api: Api.ValueType, *, always_streams: bool = False) -> Handler:
        """The handler of one API.

        Args:
            always_streams: Its answers are handed on as they come, whatever the body says.
        """

        # The others speak OpenAI's dialect there as well.
        foreign = api not in (Api.API_OPENROUTER_CHAT, Api.API_MESSAGES, Api.API_GENERATE_CONTENT)

        async def handle(request: Request, parameters: Mapping[str, str]) -> Response | StreamingResponse:
            model = parameters.get("model", "")
            # Where the address names the model, or a method, it says as well whether to stream.
            by_address = bool(model) or api in _STREAM_BY_ADDRESS
            streams = always_streams or (not by_address and _asks_stream(request.body))
            if request.too_large:
                return error_response(request.path, 413, f"the request's body is larger than {MAX_BODY:,} bytes")
            began = self._clock.wall()
            headers = request.headers
            span = self._observer.begin(headers.get("traceparent", ""), headers.get("tracestate", ""))
            message = _message(api, request, span, model, stream=streams)
            status = 499
            try:
                if streams:
                    response = await self._stream(message)
                else:
                    response = await self._whole(message)
                status = response.status
                if isinstance(response, Response) and foreign and request.path.startswith(OPENROUTER_PREFIX):
                    response = in_openrouters_words(response)
                if isinstance(response, StreamingResponse):
                    ended = _Ended(self._observer, span, request.path, status, began)
                    response.chunks = ended.watch(response.chunks)
                    status = 0
                return response
            except RouterError as error:
                status = error.status
                return router_error_response(request.path, error)
            finally:
                if status:
                    self._observer.end(span, request.path, status, began)

        return handle

    async def _whole(self, message: InvokeRequest) -> Response:
        answer = await self._backend.invoke(message)
        return Response(answer.status, answer.body, dict(answer.headers))

    async def _stream(self, message: InvokeRequest) -> Response | StreamingResponse:
        """Wait for the first event: a failure before the first content is a whole response."""
        events = self._backend.invoke_stream(message)
        try:
            first = await anext(events)
        except BaseException:
            await events.aclose()
            raise
        headers = dict(first.headers)
        if headers.get("content-type", "").startswith("application/json"):
            async with aclosing(events):
                rest = [event.data async for event in events]
            return Response(first.status, first.data + b"".join(rest), headers)
        return StreamingResponse(first.status, _chunks(first, events), {**headers, **STREAM_HEADERS})


class _Ended:
    """Tells the observer when a stream has ended, however it ends."""

    def __init__(self, observer: Observer, span: TraceContext, route: str, status: int, began: float) -> None:
        self._tell = (observer, span, route, status, began)

    async def watch(self, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        observer, span, route, status, began = self._tell
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    yield chunk
        finally:
            observer.end(span, route, status, began)


async def _chunks(first: InvokeEvent, events: AsyncGenerator[InvokeEvent, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        if first.data:
            yield first.data
        async for event in events:
            if event.data:
                yield event.data


def _asks_stream(body: bytes) -> bool:
    """Whether the caller asks for a stream; a body that cannot be read goes to the worker, which says why."""
    try:
        return _peek(body).stream is True
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _message(api: Api.ValueType, request: Request, span: TraceContext, model: str, *, stream: bool) -> InvokeRequest:
    headers = request.headers
    timeout = parse_duration(headers[TIMEOUT_HEADER]) if TIMEOUT_HEADER in headers else None
    return InvokeRequest(
        api=api,
        body=request.body,
        headers={name: value for name, value in headers.items() if name in FORWARDED},
        traceparent=span.traceparent,
        tracestate=span.tracestate,
        timeout_ms=int(timeout * 1000) if timeout else 0,
        model=model,
        stream=stream and (bool(model) or api in _STREAM_BY_ADDRESS),
    )
