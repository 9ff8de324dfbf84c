"""`turnout.inference.v1.InferenceService`: thin handlers between messages and the engine.

`LocalInference` is the worker's service without gRPC: the fused process hands
it to the bridge, and the gRPC servicer below calls the very same methods.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

import grpc
from turnout.health.v1.health_service_pb2 import ListTargetHealthResponse
from turnout.inference.v1 import chat_pb2, inference_service_pb2_grpc
from turnout.inference.v1.inference_service_pb2 import (
    Api,
    DescribeKeyRequest,
    InvokeEvent,
    InvokeRequest,
    InvokeResponse,
    KeyInfo,
    ListModelsRequest,
    ListModelsResponse,
)
from turnout.record.v1.record_pb2 import RequestRecord

from services.core.errors import ChainFailed, Failure, FailureKind, InvalidRequest, PolicyNotReady, RouterError
from services.dataplane.auth import ADMIN, INFERENCE, READ, authenticate
from services.dataplane.dialects.registry import TYPED, dialect_of
from services.dataplane.dialects.typed_write import split_events
from services.dataplane.engine import Call
from services.dataplane.health_report import HealthReports
from services.dataplane.joining import JOINED_HEADER, JoiningEngine
from services.dataplane.model_list import ModelLists
from services.dataplane.policy_holder import NO_POLICY
from services.dataplane.records import visible_record
from services.dataplane.translation import MODEL_HEADER, STREAM_HEADER, Dialect
from services.runtime.grpc_server import headers_of
from services.wire.status import abort

_APIS = {
    Api.API_CHAT_COMPLETIONS: "chat.completions",
    Api.API_MESSAGES: "messages",
    Api.API_GENERATE_CONTENT: "generateContent",
    Api.API_OPENROUTER_CHAT: "openrouter.chat.completions",
    Api.API_EMBEDDINGS: "embeddings",
    Api.API_MODERATIONS: "moderations",
    Api.API_IMAGES: "images",
    Api.API_IMAGE_EDITS: "image.edits",
    Api.API_SPEECH: "audio.speech",
    Api.API_INWORLD_SPEECH: "inworld.speech",
    Api.API_TRANSCRIPTIONS: "audio.transcriptions",
    Api.API_TRANSLATIONS: "audio.translations",
    Api.API_COUNT_TOKENS: "messages.count_tokens",
    Api.API_COUNT_CONTENT_TOKENS: "countTokens",
    Api.API_RESPONSES: "responses",
    Api.API_STORED_RESPONSES: "responses.stored",
}

Context = grpc.aio.ServicerContext[Any, Any]


class LocalInference:
    """The worker's inference, in process. It has the shape of the bridge's backend."""

    def __init__(self, serving: JoiningEngine, health: HealthReports) -> None:
        self._serving = serving
        self._policy = serving.engine.policy
        self._models = ModelLists(serving.engine.clock.wall)
        self._health = health

    async def invoke(self, request: InvokeRequest) -> InvokeResponse:
        reply = await self._serving.whole(_dialect(request), _call(request))
        return InvokeResponse(status=reply.status, headers=reply.headers, body=reply.data)

    async def invoke_stream(self, request: InvokeRequest) -> AsyncGenerator[InvokeEvent, None]:
        async with aclosing(self._serving.stream(_dialect(request), _call(request))) as replies:
            async for reply in replies:
                yield InvokeEvent(status=reply.status, headers=reply.headers, data=reply.data)

    async def list_models(self, headers: Mapping[str, str], known_version: str = "") -> ListModelsResponse:
        snapshot = self._policy.required()
        authenticate(snapshot, headers, INFERENCE, READ, ADMIN)
        return await self._models.of(snapshot, known_version)

    async def describe_key(self, headers: Mapping[str, str]) -> KeyInfo:
        key = authenticate(self._policy.required(), headers, INFERENCE, READ, ADMIN)
        return KeyInfo(name=key.name, scopes=sorted(key.scopes))

    async def generations(self, headers: Mapping[str, str], generation_id: str) -> list[RequestRecord | RouterError]:
        try:
            key = authenticate(self._policy.required(), headers, INFERENCE, READ, ADMIN)
            return [visible_record(self._serving.engine.records, generation_id, key)]
        except RouterError as error:
            return [error]

    async def target_health(self, headers: Mapping[str, str]) -> Mapping[str, ListTargetHealthResponse | RouterError]:
        authenticate(self._policy.required(), headers, READ, ADMIN)
        return {self._health.node_id: self._health.all()}

    async def ready(self) -> bool:
        return self._policy.current() is not None

    async def why_not_ready(self) -> RouterError:
        return PolicyNotReady(NO_POLICY, retry_after=1.0)

    async def aclose(self) -> None:
        """Nothing to let go of: the worker's process owns the connections."""


class InferenceServicer(inference_service_pb2_grpc.InferenceServiceServicer):
    """The gRPC face of the worker."""

    def __init__(self, serving: JoiningEngine, local: LocalInference) -> None:
        self._serving = serving
        self._records = serving.engine.records
        self._local = local

    async def Invoke(self, request: InvokeRequest, context: Context) -> InvokeResponse:
        if request.api not in _APIS:
            await abort(context, InvalidRequest("`api` is not set or not known", param="api"))
        return await self._local.invoke(request)

    async def InvokeStream(self, request: InvokeRequest, context: Context) -> AsyncIterator[InvokeEvent]:
        if request.api not in _APIS:
            await abort(context, InvalidRequest("`api` is not set or not known", param="api"))
        try:
            async with aclosing(self._local.invoke_stream(request)) as events:
                async for event in events:
                    yield event
        except RouterError as error:
            # The answer broke, and its form has no place for an error.
            await abort(context, error)

    async def CreateChatCompletion(self, request: chat_pb2.ChatRequest, context: Context) -> chat_pb2.ChatResponse:
        reply = await self._serving.whole(TYPED, _typed_call(request, context, stream=False))
        _tell_joined(context, reply.headers)
        if reply.error is not None:
            await abort(context, reply.error)
        response = chat_pb2.ChatResponse.FromString(reply.data)
        response.record.CopyFrom(self._record(reply.headers))
        return response

    async def StreamChatCompletion(
        self, request: chat_pb2.ChatRequest, context: Context
    ) -> AsyncIterator[chat_pb2.ChatEvent]:
        end: chat_pb2.ChatEvent | None = None
        headers: dict[str, str] = {}
        call = _typed_call(request, context, stream=True)
        async with aclosing(self._serving.stream(TYPED, call)) as replies:
            async for reply in replies:
                if reply.headers:
                    headers = reply.headers
                    _tell_joined(context, headers)
                if reply.error is not None:
                    await abort(context, reply.error)
                for event in split_events(reply.data):
                    if event.WhichOneof("event") == "end":
                        end = event
                    else:
                        yield event
        record = self._record(headers)
        if end is None:
            await abort(context, _broken(record))
            return
        end.end.record.CopyFrom(record)
        yield end

    async def ListModels(self, request: ListModelsRequest, context: Context) -> ListModelsResponse:
        try:
            return await self._local.list_models(headers_of(context), request.known_version)
        except RouterError as error:
            await abort(context, error)
            raise

    async def DescribeKey(self, request: DescribeKeyRequest, context: Context) -> KeyInfo:
        del request
        try:
            return await self._local.describe_key(headers_of(context))
        except RouterError as error:
            await abort(context, error)
            raise

    def _record(self, headers: Mapping[str, str]) -> RequestRecord:
        return self._records.get(headers["x-generation-id"])


def _dialect(request: InvokeRequest) -> Dialect:
    api = _APIS.get(request.api)
    if api is None:
        raise InvalidRequest("`api` is not set or not known", param="api")
    return dialect_of(api)


def _call(request: InvokeRequest) -> Call:
    timeout = request.timeout_ms / 1000.0 if request.timeout_ms > 0 else None
    headers: Mapping[str, str] = request.headers
    if request.model:
        headers = {**headers, MODEL_HEADER: request.model, STREAM_HEADER: "true" if request.stream else "false"}
    elif request.stream:
        headers = {**headers, STREAM_HEADER: "true"}
    return Call(request.body, headers, request.traceparent, request.tracestate, timeout)


def _typed_call(request: chat_pb2.ChatRequest, context: Context, *, stream: bool) -> Call:
    """A typed request as a call; the caller's gRPC deadline bounds it."""
    headers = dict(headers_of(context))
    headers[STREAM_HEADER] = "true" if stream else "false"
    remaining = context.time_remaining()
    return Call(
        request.SerializeToString(),
        headers,
        headers.get("traceparent", ""),
        headers.get("tracestate", ""),
        # grpc says a huge number instead of None when the caller set no deadline.
        remaining if remaining is not None and remaining < 1e6 else None,
        inbound_span=True,
    )


def _tell_joined(context: Context, headers: Mapping[str, str]) -> None:
    """Tell a typed caller that another one's answer is its own: in the trailing metadata."""
    if JOINED_HEADER in headers:
        context.set_trailing_metadata(((JOINED_HEADER, headers[JOINED_HEADER]),))


def _broken(record: RequestRecord) -> ChainFailed:
    """The error of a stream that broke after its first content."""
    last = record.attempts[-1] if record.attempts else None
    kind = FailureKind(last.failure) if last is not None and last.failure else FailureKind.STREAM_TRUNCATED
    message = last.error_message if last is not None and last.error_message else "the stream broke"
    return ChainFailed(
        message, failure=Failure(kind, message), status=502, fields={"generation_id": record.generation_id}
    )
