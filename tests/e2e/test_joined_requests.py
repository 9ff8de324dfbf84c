"""Requests with an Idempotency-Key join the one in flight, through bridge and worker in both topologies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from prometheus_client import CollectorRegistry
from turnout.inference.v1 import chat_pb2
from turnout.inference.v1.inference_service_pb2_grpc import InferenceServiceStub

from services.dataplane.app import Worker, WorkerSettings
from services.http_bridge.app import BridgeSettings, start_bridge
from services.http_bridge.grpc_backend import GrpcBackend, rank
from services.runtime.grpc_channel import open_channel
from services.runtime.grpc_server import RunningServer
from services.runtime.metrics import Metrics
from services.runtime.supervise import Background, Stop
from tests.e2e.test_failover import PATHS, documents, outcome, pair, request_body, text_of
from tests.support.inprocess import (
    KEY,
    OTHER_KEY,
    OTHER_KEY_DOCUMENT,
    TOPOLOGIES,
    Running,
    eventually,
    policy_set,
    put_policy,
    records,
    running_suite,
)
from tests.support.ports import free_port
from tests.support.upstream import (
    STREAM_HEAD,
    Pause,
    Step,
    Upstream,
    openai_answer,
    openai_events,
    streamed,
    whole,
)

__all__ = ["pair"]

APIS = ("chat", "messages")


def keyed(key: str = "once", api_key: str = KEY) -> dict[str, str]:
    return {"idempotency-key": key, "authorization": f"Bearer {api_key}"}


def ask(suite: Running, api: str, *, stream: bool, headers: dict[str, str]) -> asyncio.Task[httpx.Response]:
    return asyncio.create_task(
        suite.http.post(PATHS[api], json=request_body(api, stream=stream, model="bad/m"), headers=headers)
    )


def readers(worker: Worker) -> int:
    return sum(len(run._readers) for run in worker.serving.runs._runs.values())


def gated(stream: bool, gate: Pause) -> list[Step]:
    """An answer whose second half waits for the test."""
    if not stream:
        return [gate, whole(200, openai_answer("Hello"))]
    first, *rest = streamed(openai_events("Hel", "lo"))[1:]
    return [STREAM_HEAD, first, rest[0], gate, *rest[1:]]


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("stream", [False, True])
async def test_equal_requests_with_one_key_share_one_answer(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str, api: str, stream: bool
) -> None:
    bad, gate = pair[0], Pause()
    bad.script(gated(stream, gate))
    async with running_suite(tmp_path, topology, *documents(*pair, "openai")) as suite:
        first = ask(suite, api, stream=stream, headers=keyed())
        await asyncio.wait_for(bad.arrived.wait(), 5)
        others = [ask(suite, api, stream=stream, headers=keyed()) for _ in range(3)]
        await eventually(lambda: readers(suite.worker) == 4)
        gate.go.set()
        found = [await first, *await asyncio.gather(*others)]
        again = await ask(suite, api, stream=stream, headers=keyed())
        kept = records(suite)
    assert [text_of(api, stream, answer.text)[0] for answer in found] == ["Hello"] * 4
    assert len({answer.text for answer in found}) == 1, "every frame from the start, evidence included"
    assert [answer.headers.get("x-turnout-joined") for answer in found] == [None, "true", "true", "true"]
    assert len({answer.headers["x-generation-id"] for answer in found}) == 1
    assert "x-turnout-joined" not in again.headers, "in flight only: nothing is kept after the end"
    assert (len(bad.journal), len(kept)) == (2, 2)
    assert not readers(suite.worker)


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("stream", [False, True])
async def test_the_last_caller_to_leave_closes_the_upstream_and_no_other_one_does(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str, stream: bool
) -> None:
    bad = pair[0]
    bad.script(gated(stream, Pause()))
    async with running_suite(tmp_path, topology, *documents(*pair, "openai")) as suite:
        tasks = [ask(suite, "chat", stream=stream, headers=keyed()) for _ in range(2)]
        await eventually(lambda: readers(suite.worker) == 2)
        await asyncio.wait_for(bad.arrived.wait(), 5)
        tasks[0].cancel()
        await eventually(lambda: readers(suite.worker) == 1)
        assert not bad.journal[0].ended.is_set()
        tasks[1].cancel()
        await asyncio.wait_for(bad.journal[0].ended.wait(), 5)
        await outcome(suite, "cancelled")
        assert len(records(suite)) == len(bad.journal) == 1
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("stream", [False, True])
async def test_the_first_caller_may_leave_and_the_others_get_the_whole_answer(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str, stream: bool
) -> None:
    bad, gate = pair[0], Pause()
    bad.script(gated(stream, gate))
    async with running_suite(tmp_path, topology, *documents(*pair, "openai")) as suite:
        first = ask(suite, "chat", stream=stream, headers=keyed())
        await eventually(lambda: readers(suite.worker) == 1)
        second = ask(suite, "chat", stream=stream, headers=keyed())
        await eventually(lambda: readers(suite.worker) == 2)
        first.cancel()
        await eventually(lambda: readers(suite.worker) == 1)
        gate.go.set()
        answer = await second
        assert [r.outcome for r in records(suite)] == ["ok"]
    assert text_of("chat", stream, answer.text)[0] == "Hello"
    assert len(bad.journal) == 1


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("stream", [False, True])
async def test_another_body_under_a_key_in_flight_is_refused_in_the_callers_words(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str, api: str, stream: bool
) -> None:
    bad, gate = pair[0], Pause()
    bad.script(gated(stream, gate))
    async with running_suite(tmp_path, topology, *documents(*pair, "openai")) as suite:
        first = ask(suite, api, stream=stream, headers=keyed())
        await eventually(lambda: readers(suite.worker) == 1)
        body = {**request_body(api, stream=stream, model="bad/m"), "max_tokens": 7}
        refused = await suite.http.post(PATHS[api], json=body, headers=keyed())
        gate.go.set()
        assert (await first).status_code == 200
        kept = {record.outcome: record for record in records(suite)}
    assert refused.status_code == 422
    error = refused.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert "idempotency-key is in use" in error["message"]
    assert (refused.json().get("type") == "error") is (api == "messages")
    assert (kept["refused"].status, kept["refused"].error_reason) == (422, "IDEMPOTENCY_KEY_IN_USE")
    assert kept["refused"].api_key_name == "test"
    assert len(bad.journal) == 1


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_keys_of_other_callers_and_apis_and_requests_without_one_are_never_joined(
    tmp_path: Path, pair: tuple[Upstream, Upstream], topology: str
) -> None:
    bad, gate = pair[0], Pause()
    bad.script(gated(False, gate))
    async with running_suite(tmp_path, topology, *documents(*pair, "openai"), OTHER_KEY_DOCUMENT) as suite:
        tasks = [
            ask(suite, "chat", stream=False, headers=keyed()),
            ask(suite, "chat", stream=False, headers=keyed(api_key=OTHER_KEY)),
            ask(suite, "messages", stream=False, headers=keyed()),
            ask(suite, "chat", stream=False, headers=keyed("twice")),
            *(ask(suite, "chat", stream=False, headers=headers) for headers in ({}, {}, keyed(""), keyed(""))),
        ]
        await eventually(lambda: len(bad.journal) == len(tasks))
        unknown = await ask(suite, "chat", stream=False, headers=keyed(api_key="to-unknown"))
        gate.go.set()
        found = await asyncio.gather(*tasks)
    assert unknown.status_code == 401
    assert {answer.status_code for answer in found} == {200}
    assert not any("x-turnout-joined" in answer.headers for answer in found)


async def test_typed_callers_join_too(tmp_path: Path, pair: tuple[Upstream, Upstream]) -> None:
    bad, gate = pair[0], Pause()
    bad.script(gated(False, gate))
    request = chat_pb2.ChatRequest(model="bad/m", max_tokens=8)
    request.messages.add(role="user").parts.add(text="Hello")
    metadata = tuple(keyed().items())
    async with (
        running_suite(tmp_path, "grpc", *documents(*pair, "openai")) as suite,
        grpc.aio.insecure_channel(suite.grpc) as channel,
    ):
        stub: Any = InferenceServiceStub(channel)
        first = stub.CreateChatCompletion(request, metadata=metadata)
        await asyncio.wait_for(bad.arrived.wait(), 5)
        second = stub.CreateChatCompletion(request, metadata=metadata)
        await eventually(lambda: readers(suite.worker) == 2)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.StreamChatCompletion(request, metadata=metadata).read()
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        gate.go.set()
        answers_found = [await first, await second]
        joined = [dict(await call.trailing_metadata()).get("x-turnout-joined") for call in (first, second)]
    assert joined == [None, "true"]
    assert len({answer.record.generation_id for answer in answers_found}) == 1
    assert len(bad.journal) == 1


@asynccontextmanager
async def several_workers(
    folder: Path, count: int, *forms: dict[str, Any]
) -> AsyncIterator[tuple[list[Worker], list[RunningServer], list[str], httpx.AsyncClient]]:
    """A bridge over `count` workers, and over one address where nobody is."""
    async with AsyncExitStack() as closing:
        workers, servers = [], []
        for number in range(count):
            background = Background(Stop())
            settings = WorkerSettings(
                f"worker-{number}", ("127.0.0.1:1",), folder / str(number), listen="127.0.0.1:0", environment={}
            )
            worker = Worker(settings, Metrics(CollectorRegistry()))
            server = await worker.start(background)
            closing.push_async_callback(worker.stop, server, background)
            put_policy(worker, policy_set(*forms))
            workers.append(worker)
            servers.append(server)
        addresses = [*(f"127.0.0.1:{server.port}" for server in servers), f"127.0.0.1:{free_port()}"]
        backend, policy = GrpcBackend(addresses), open_channel("127.0.0.1:1")
        closing.push_async_callback(backend.aclose)
        closing.push_async_callback(policy.close)
        settings_of_bridge = BridgeSettings(port=0, environment={})
        bridge = await start_bridge(settings_of_bridge, backend, policy, Metrics(CollectorRegistry()))
        closing.push_async_callback(bridge.stop, 0.0, 2.0)
        http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{bridge.port}", headers=keyed(), trust_env=False, timeout=30
        )
        yield workers, servers, addresses, await closing.enter_async_context(http)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_bridge_sends_equal_keys_to_one_worker_and_to_the_next_when_it_is_away(
    tmp_path: Path, pair: tuple[Upstream, Upstream], stream: bool
) -> None:
    bad, gate = pair[0], Pause()
    bad.script(gated(stream, gate))
    async with several_workers(tmp_path, 3, *documents(*pair, "openai")) as (workers, servers, addresses, http):

        def ask_keyed(key: str) -> asyncio.Task[httpx.Response]:
            body = request_body("chat", stream=stream, model="bad/m")
            return asyncio.create_task(http.post(PATHS["chat"], json=body, headers={"idempotency-key": key}))

        def owner(key: str) -> Worker:
            return next(workers[place] for place in order(key) if place < 3)

        def order(key: str) -> list[int]:
            return sorted(range(4), key=lambda place: rank(addresses[place], key), reverse=True)

        keys = [f"key-{number}" for number in range(6)]
        tasks = [ask_keyed(key) for key in keys for _ in range(3)]
        await eventually(lambda: sum(readers(worker) for worker in workers) == len(tasks))
        assert len(bad.journal) == len(keys), "each key has one upstream request, wherever it came in"
        assert all(readers(owner(key)) >= 3 for key in keys)
        assert any(order(key)[0] == 3 for key in (f"key-{n}" for n in range(20))), "the address where nobody is, too"
        gate.go.set()
        found = await asyncio.gather(*tasks)
        assert sum("x-turnout-joined" in answer.headers for answer in found) == len(tasks) - len(keys)
        gone = workers.index(owner("key-0"))
        await servers[gone].stop(0.0)
        next_one = next(workers[place] for place in order("key-0") if place < 3 and place != gone)
        served = len(next_one.records._trails)
        assert (await ask_keyed("key-0")).status_code == 200
        assert len(next_one.records._trails) == served + 1
        health = (await http.get("/admin/v1/health")).json()
    told = {worker["worker"]: worker.get("error", worker.get("node_id")) for worker in health["workers"]}
    assert told[addresses[3]] == told[addresses[gone]] == "the worker cannot be reached"
    assert sum(str(word).startswith("worker-") for word in told.values()) == 2


async def test_a_joined_stream_begins_with_the_frames_that_are_already_out(
    tmp_path: Path, pair: tuple[Upstream, Upstream]
) -> None:
    bad, gate = pair[0], Pause()
    bad.script(gated(True, gate))
    body = request_body("chat", stream=True, model="bad/m")
    async with running_suite(tmp_path, "fused", *documents(*pair, "openai")) as suite:

        async def text(go: asyncio.Event | None = None) -> str:
            found = ""
            async with (
                suite.http.stream("POST", PATHS["chat"], json=body, headers=keyed()) as answer,
                aclosing(answer.aiter_text()) as pieces,
            ):
                async for piece in pieces:
                    found += piece
                    if go is not None and "Hel" in found:
                        go.set()
            return found

        shown = asyncio.Event()
        first = asyncio.create_task(text(shown))
        await asyncio.wait_for(shown.wait(), 5)
        second = asyncio.create_task(text(gate.go))
        assert await first == await second
