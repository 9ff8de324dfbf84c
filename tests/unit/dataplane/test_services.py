"""The worker's gRPC services over a real connection: inference in bytes and typed, models, records."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from turnout.inference.v1 import chat_pb2, inference_service_pb2_grpc
from turnout.inference.v1.inference_service_pb2 import Api, InvokeRequest, ListModelsRequest
from turnout.inference.v1.inference_service_pb2_grpc import InferenceServiceStub
from turnout.record.v1 import record_service_pb2_grpc
from turnout.record.v1.record_service_pb2 import FollowRecordsRequest, GetRecordRequest

from services.core.errors import ChainFailed, Failure, FailureKind, InvalidRequest, NotFound, Unauthenticated
from services.dataplane.app import SERVICES
from services.dataplane.health_report import HealthReports
from services.dataplane.inference_service import InferenceServicer, LocalInference
from services.dataplane.joining import JoiningEngine
from services.dataplane.record_service import RecordServicer
from services.runtime.grpc_server import start_server
from services.wire.status import from_rpc_error
from tests.support.inprocess import KEY
from tests.support.upstream import anthropic_answer, anthropic_events, openai_answer, openai_events
from tests.unit.dataplane.fakes import FakeTransport, Rig, provider, rig, router, stream, whole

METADATA = (("authorization", f"Bearer {KEY}"),)
FORMS = [
    provider("one", labels={"region": "eu"}),
    provider("two", "anthropic"),
    router("one/a", "two/claude-sonnet-4-5", display_name="The Router"),
    {"kind": "Alias", "name": "best", "model": "one/a"},
    {
        "kind": "Model",
        "name": "one/a",
        "context_length": 8192,
        "prices": {"input_per_million": 1, "output_per_million": 2},
    },
]


@asynccontextmanager
async def served(transport: FakeTransport) -> AsyncIterator[tuple[Rig, grpc.aio.Channel]]:
    found = rig(transport, *FORMS)

    serving = JoiningEngine(found.engine)
    health = HealthReports("worker", found.engine.policy, found.engine.runner.health, found.engine.clock)
    local = LocalInference(serving, health)

    def add(server: grpc.aio.Server) -> None:
        inference_service_pb2_grpc.add_InferenceServiceServicer_to_server(InferenceServicer(serving, local), server)
        servicer = RecordServicer(found.engine.policy, found.engine.records)
        record_service_pb2_grpc.add_RecordServiceServicer_to_server(servicer, server)

    server = await start_server("127.0.0.1:0", add, SERVICES)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            yield found, channel
    finally:
        await server.stop(0.1)


def invoke(api: Any = Api.API_CHAT_COMPLETIONS, **more: Any) -> InvokeRequest:
    body = {"model": "inworld/r", "messages": [{"role": "user", "content": "hi"}], **more}
    return InvokeRequest(api=api, body=json.dumps(body).encode(), headers={"authorization": f"Bearer {KEY}"})


async def test_a_request_in_bytes_is_answered_in_bytes() -> None:
    async with served(FakeTransport(one=[whole(openai_answer())])) as (_, channel):
        answer = await InferenceServiceStub(channel).Invoke(invoke())
        assert answer.status == 200
        assert json.loads(answer.body)["model"] == "one/a"
        assert answer.headers["content-type"] == "application/json"


async def test_a_refusal_in_bytes_is_an_answer_and_no_grpc_error() -> None:
    async with served(FakeTransport()) as (_, channel):
        answer = await InferenceServiceStub(channel).Invoke(invoke(Api.API_MESSAGES))
        assert answer.status == 400
        assert json.loads(answer.body)["error"]["message"].startswith("max_tokens")


async def test_an_api_that_is_not_set_is_a_grpc_error() -> None:
    async with served(FakeTransport()) as (_, channel):
        stub = InferenceServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Invoke(invoke(Api.API_UNSPECIFIED))
        assert isinstance(from_rpc_error(caught.value), InvalidRequest)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in stub.InvokeStream(invoke(Api.API_UNSPECIFIED)):
                pass
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_stream_in_bytes_carries_its_status_first() -> None:
    async with served(FakeTransport(one=[stream(*openai_events("Hi"))])) as (_, channel):
        events = [e async for e in InferenceServiceStub(channel).InvokeStream(invoke(stream=True))]
        assert [e.status for e in events] == [200] + [0] * (len(events) - 1)
        assert b"".join(e.data for e in events).endswith(b"data: [DONE]\n\n")


async def gather(call: Any, events: list[Any]) -> None:
    async for event in call:
        events.append(event)


TYPED = chat_pb2.ChatRequest(
    model="inworld/r", messages=[chat_pb2.Message(role="user", parts=[chat_pb2.Part(text="hi")])], max_tokens=9
)


async def test_a_typed_request_is_answered_with_its_record() -> None:
    down = Failure(FailureKind.CONNECT_FAILED, "no connection")
    async with served(FakeTransport(one=[down], two=[whole(anthropic_answer("Hello"))])) as (found, channel):
        traced = (*METADATA, ("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01"))
        answer = await InferenceServiceStub(channel).CreateChatCompletion(TYPED, metadata=traced)
        assert answer.message.parts[0].text == "Hello"
        assert answer.model == "two/claude-sonnet-4-5"
        assert [a.success for a in answer.record.attempts] == [False, True]
        assert answer.record.trace_id == "ab" * 16
        assert answer.record.parent_span_id == "cd" * 8
        assert found.trails[0].inbound_span


async def test_a_typed_stream_ends_with_one_end_that_holds_the_record() -> None:
    async with served(FakeTransport(one=[stream(*openai_events("He", "llo"))])) as (_, channel):
        call = InferenceServiceStub(channel).StreamChatCompletion(TYPED, metadata=METADATA)
        events = [e async for e in call]
        assert [e.WhichOneof("event") for e in events] == ["text", "text", "end"]
        assert "".join(e.text for e in events) == "Hello"
        assert events[-1].end.finish_reason == "stop"
        assert events[-1].end.record.usage.output_tokens == 2


async def test_a_typed_failure_is_a_status_with_our_reason() -> None:
    limited = whole({"error": {"code": "rate_limit_exceeded"}}, 429, **{"retry-after": "9999"})
    async with served(FakeTransport(one=[limited], two=[limited])) as (_, channel):
        stub = InferenceServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.CreateChatCompletion(TYPED, metadata=METADATA)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        error = from_rpc_error(caught.value)
        assert isinstance(error, ChainFailed)
        assert error.failure.kind is FailureKind.RATE_LIMITED
        assert error.retry_after == pytest.approx(9999, abs=1)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.CreateChatCompletion(TYPED)
        assert isinstance(from_rpc_error(caught.value), Unauthenticated)


async def test_a_typed_stream_that_breaks_ends_with_a_status_and_no_end() -> None:
    torn = stream(*anthropic_events("Hel")[:3])
    down = Failure(FailureKind.CONNECT_FAILED, "no connection")
    async with served(FakeTransport(one=[down], two=[torn])) as (_, channel):
        events: list[chat_pb2.ChatEvent] = []
        call = InferenceServiceStub(channel).StreamChatCompletion(TYPED, metadata=METADATA)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await gather(call, events)
        assert [e.WhichOneof("event") for e in events] == ["text"]
        error = from_rpc_error(caught.value)
        assert isinstance(error, ChainFailed)
        assert error.failure.kind is FailureKind.STREAM_TRUNCATED
        assert error.fields["generation_id"]


async def test_the_callers_grpc_deadline_bounds_a_typed_request() -> None:
    hanging = stream()
    hanging.hangs = True
    async with served(FakeTransport(one=[hanging], two=[hanging])) as (found, channel):
        call = InferenceServiceStub(channel).StreamChatCompletion(TYPED, metadata=METADATA, timeout=1.0)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in call:
                pass
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        async with asyncio.timeout(30):
            while not found.trails:
                await asyncio.sleep(0.005)
        assert found.trails[0].ended - found.trails[0].started < 5


async def test_models_are_what_callers_can_name() -> None:
    async with served(FakeTransport()) as (_, channel):
        stub = InferenceServiceStub(channel)
        models = (await stub.ListModels(ListModelsRequest(), metadata=METADATA)).models
        found = {m.id: m for m in models}
        assert list(found) == sorted(found)
        assert {"best", "inworld/r", "one/a", "two/claude-sonnet-4-5"} <= set(found)
        assert found["inworld/r"].display_name == "The Router"
        assert found["best"].display_name == "best → one/a"
        assert found["one/a"].context_length == 8192
        assert found["one/a"].pricing["prompt"] == 1e-6
        assert found["one/a"].labels["region"] == "eu"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ListModels(ListModelsRequest())
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_records_are_got_and_followed_by_keys_that_may_read() -> None:
    async with served(FakeTransport(one=[whole(openai_answer())])) as (_, channel):
        records = record_service_pb2_grpc.RecordServiceStub(channel)
        answer = await InferenceServiceStub(channel).Invoke(invoke())
        generation = answer.headers["x-generation-id"]
        record = await records.GetRecord(GetRecordRequest(generation_id=generation), metadata=METADATA)
        assert record.outcome == "ok"
        request = FollowRecordsRequest(tail=5, no_follow=True)
        followed = [r.generation_id async for r in records.FollowRecords(request, metadata=METADATA)]
        assert followed == [generation]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await records.GetRecord(GetRecordRequest(generation_id="unknown"), metadata=METADATA)
        assert isinstance(from_rpc_error(caught.value), NotFound)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await records.GetRecord(GetRecordRequest(generation_id=generation))
        assert isinstance(from_rpc_error(caught.value), Unauthenticated)
