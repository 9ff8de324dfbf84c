"""OpenRouter's clients at /api/v1: its official SDK, and OpenAI's pointed there, changing base URL and key only."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import openrouter
import pytest
from openrouter import errors as openrouter_errors
from opentelemetry.sdk.resources import Resource

from services.runtime.spans import spans_of
from tests.support.inprocess import KEY, OTHER_KEY, OTHER_KEY_DOCUMENT, TOPOLOGIES, Running, records, running_suite
from tests.support.upstream import (
    STREAM_HEAD,
    Close,
    Pause,
    Upstream,
    anthropic_answer,
    anthropic_events,
    chunk,
    openai_answer,
    openai_events,
    running_upstream,
    streamed,
    whole,
)

ASK: Any = [{"role": "user", "content": "Hi"}]
CHAT = "/api/v1/chat/completions"
TOOL: Any = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
PRICES = {"input_per_million": 1, "output_per_million": 2}


@asynccontextmanager
async def serving(
    folder: Path, topology: str = "fused", *forms: dict[str, Any], comments_after: float = 10.0
) -> AsyncIterator[tuple[Running, Upstream, Upstream]]:
    """A suite with two providers: alpha speaks OpenAI's protocol, beta Anthropic's."""
    async with running_upstream() as alpha, running_upstream() as beta:
        documents = [
            {"kind": "Provider", "name": "alpha", "type": "openai_compatible", "base_url": f"{alpha.url}/v1"},
            {"kind": "Provider", "name": "beta", "type": "anthropic", "base_url": beta.url, "labels": {"zdr": "true"}},
            {"kind": "Model", "name": "alpha/m", "prices": PRICES},
            {"kind": "Model", "name": "beta/m", "prices": PRICES},
            OTHER_KEY_DOCUMENT,
        ]
        async with running_suite(folder, topology, *documents, *forms) as suite:
            suite.worker.engine.comments_after = comments_after
            yield suite, alpha, beta


@asynccontextmanager
async def sdk(suite: Running, key: str = KEY) -> AsyncIterator[openrouter.OpenRouter]:
    async with (
        httpx.AsyncClient(trust_env=False, timeout=30) as http,
        openrouter.OpenRouter(api_key=key, server_url=f"{suite.url}/api/v1", async_client=http) as client,
    ):
        yield client


def openai_sdk(suite: Running) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url=f"{suite.url}/api/v1", api_key=KEY, max_retries=0, http_client=httpx.AsyncClient(trust_env=False)
    )


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize(("model", "native"), [("alpha/m", "stop"), ("beta/m", "end_turn")])
async def test_a_whole_answer_has_what_openrouters_have(tmp_path: Path, topology: str, model: str, native: str) -> None:
    async with serving(tmp_path, topology) as (suite, alpha, beta), sdk(suite) as client:
        alpha.script([whole(200, openai_answer("Hello"))])
        beta.script([whole(200, anthropic_answer("Hello"))])
        result = await client.chat.send_async(
            model=model, messages=ASK, stream=False, max_tokens=10, x_open_router_metadata="enabled"
        )
        answer = await suite.http.post(CHAT, json={"model": model, "messages": ASK, "max_tokens": 10})
    assert result.choices[0].message.content == "Hello"
    assert result.usage is not None
    assert result.usage.cost == pytest.approx((9 * 1 + 4 * 2) / 1e6)
    shown = result.openrouter_metadata
    assert shown is not None
    assert (shown.requested, shown.strategy, shown.attempt, shown.endpoints.total) == (model, "direct", 1, 1)
    assert shown.attempts is not None
    assert [(a.model, a.status) for a in shown.attempts] == [(model, 200)]
    body = answer.json()
    assert body["provider"] == model.partition("/")[0]
    assert body["choices"][0]["native_finish_reason"] == native
    assert "openrouter_metadata" not in body
    assert answer.headers["x-generation-id"] == body["metadata"]["generation_id"]


@pytest.mark.parametrize(("model", "native"), [("alpha/m", "stop"), ("beta/m", "end_turn")])
async def test_a_stream_has_usage_and_cost_without_asking(tmp_path: Path, model: str, native: str) -> None:
    async with serving(tmp_path) as (suite, alpha, beta), sdk(suite) as client:
        alpha.script(streamed(openai_events("Hel", "lo")))
        beta.script(streamed(anthropic_events("Hel", "lo")))
        events = await client.chat.send_async(
            model=model, messages=ASK, stream=True, max_tokens=10, x_open_router_metadata="enabled"
        )
        async with events:
            chunks = [event async for event in events]
        answer = await suite.http.post(CHAT, json={"model": model, "messages": ASK, "max_tokens": 10, "stream": True})
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hello"
    last = chunks[-1]
    assert last.usage is not None
    assert last.usage.cost == pytest.approx((9 * 1 + 2 * 2) / 1e6)
    assert last.openrouter_metadata is not None
    shown = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    assert {c["provider"] for c in shown} == {model.partition("/")[0]}
    assert [c["choices"][0].get("native_finish_reason") for c in shown][-1] == native
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_tools_and_reasoning_reach_both_ways(tmp_path: Path) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "Let me see."}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    async with serving(tmp_path) as (suite, alpha, _), sdk(suite) as client:
        alpha.script([whole(200, openai_answer() | {"choices": [choice]})])
        result = await client.chat.send_async(model="alpha/m", messages=ASK, tools=[TOOL], stream=False)
    said = result.choices[0].message
    assert said.tool_calls is not None
    assert said.tool_calls[0].function.name == "look"
    assert said.reasoning == "Let me see."
    assert alpha.journal[0].json["tools"] == [TOOL]


async def test_routing_preferences_are_acted_on_and_stay_here(tmp_path: Path) -> None:
    async with serving(tmp_path) as (suite, alpha, beta), sdk(suite) as client:
        alpha.script([whole(200, openai_answer("from alpha"))])
        beta.script([whole(200, anthropic_answer("from beta"))])
        result = await client.chat.send_async(
            models=["alpha/m", "beta/m"], messages=ASK, provider={"zdr": True}, stream=False, max_tokens=10
        )
        assert result.choices[0].message.content == "from beta"
        with pytest.raises(openrouter_errors.NotFoundResponseError) as caught:
            await client.chat.send_async(model="alpha/m", messages=ASK, provider={"zdr": True}, stream=False)
        everything = {
            "model": "alpha/m:nitro",
            "messages": ASK,
            "provider": {"order": ["alpha"], "sort": "price"},
            "transforms": ["middle-out"],
            "route": "fallback",
            "usage": {"include": True},
            "include_usage": True,
            "debug": {"echo_upstream_body": True},
            "plugins": [{"id": "response-healing"}],
            "preset": "mine",
            "trace": {"trace_id": "t"},
            "session_id": "s",
        }
        answer = await suite.http.post(CHAT, json=everything)
    assert "label 'zdr' of alpha is not set" in str(caught.value)
    assert answer.status_code == 200, answer.text
    assert alpha.journal[-1].json == {"model": "m", "messages": ASK}
    assert len(beta.journal) == 1


async def test_auto_serves_and_tells_what_served(tmp_path: Path) -> None:
    async with serving(tmp_path) as (suite, alpha, beta), sdk(suite) as client:
        alpha.script([whole(200, openai_answer("from alpha"))])
        beta.script([whole(200, anthropic_answer("from beta"))])
        result = await client.chat.send_async(
            model="openrouter/auto", messages=ASK, stream=False, x_open_router_metadata="enabled"
        )
        narrowed = await suite.http.post(CHAT, json={"model": "auto", "models": ["beta"], "messages": ASK})
    assert result.model == "alpha/m"
    assert result.openrouter_metadata is not None
    assert result.openrouter_metadata.strategy == "auto"
    assert narrowed.json()["model"] == "beta/m"


ERRORS = [
    (400, {"code": "context_length_exceeded"}, 400, openrouter_errors.BadRequestResponseError, openai.BadRequestError),
    (401, {}, 502, openrouter_errors.BadGatewayResponseError, openai.InternalServerError),
    (422, {}, 422, openrouter_errors.UnprocessableEntityResponseError, openai.UnprocessableEntityError),
    (429, {}, 429, openrouter_errors.TooManyRequestsResponseError, openai.RateLimitError),
    (500, {}, 502, openrouter_errors.BadGatewayResponseError, openai.InternalServerError),
    (503, {}, 503, openrouter_errors.ServiceUnavailableResponseError, openai.InternalServerError),
]


@pytest.mark.parametrize(("status", "more", "seen", "theirs", "openais"), ERRORS)
async def test_each_error_is_the_class_that_callers_catch(
    tmp_path: Path, status: int, more: dict[str, Any], seen: int, theirs: Any, openais: Any
) -> None:
    body = {"error": {"message": "No.", "type": "some_error", "param": None, "code": None, **more}}
    fail_fast = {"kind": "Settings", "name": "default", "retry": {"max_attempts": 1}}
    async with serving(tmp_path, "fused", fail_fast) as (suite, alpha, _):
        alpha.script([whole(status, body)])
        async with sdk(suite) as client:
            with pytest.raises(theirs) as caught:
                await client.chat.send_async(model="alpha/m", messages=ASK, stream=False, retries=None)
        async with openai_sdk(suite) as other:
            with pytest.raises(openais) as also:
                await other.chat.completions.create(model="alpha/m", messages=ASK)
    error = caught.value.data.error
    assert error.code == seen
    assert also.value.status_code == seen
    assert {"error_type", "provider_name"} <= error.metadata.keys()
    assert error.metadata["provider_name"] == "alpha"
    assert ("raw" in error.metadata) == (status in (400, 422)), "other bodies are the operator's"


async def test_our_own_errors_have_their_classes_too(tmp_path: Path) -> None:
    async with serving(tmp_path) as (suite, _, _), sdk(suite, "wrong") as stranger, sdk(suite) as client:
        with pytest.raises(openrouter_errors.UnauthorizedResponseError):
            await stranger.chat.send_async(model="alpha/m", messages=ASK, stream=False)
        with pytest.raises(openrouter_errors.NotFoundResponseError) as unknown:
            await client.chat.send_async(model="nobody/m", messages=ASK, stream=False)
        with pytest.raises(openrouter_errors.BadRequestResponseError):
            await client.chat.send_async(
                model="alpha/m", messages=ASK, provider={"max_price": {"prompt": "cheap"}}, stream=False
            )
        nowhere = await suite.http.get("/api/v1/nowhere")
    assert unknown.value.data.error.metadata["error_type"] == "not_found"
    assert nowhere.json()["error"]["code"] == 404


async def test_other_apis_have_openrouters_errors_at_these_paths(tmp_path: Path) -> None:
    async with serving(tmp_path) as (suite, _, _):
        theirs = await suite.http.post("/api/v1/embeddings", json={"model": "nobody/m", "input": "x"})
        openais = await suite.http.post("/v1/embeddings", json={"model": "nobody/m", "input": "x"})
    assert theirs.status_code == openais.status_code == 404
    assert theirs.json()["error"]["code"] == 404
    assert theirs.json()["error"]["metadata"] == {"error_type": "not_found", "code": openais.json()["error"]["code"]}


async def test_a_stream_that_breaks_ends_with_an_error_chunk(tmp_path: Path) -> None:
    broken = [STREAM_HEAD, *(chunk(f) for f in openai_events("Hel", "lo")[:2]), Close]
    async with serving(tmp_path) as (suite, alpha, _), sdk(suite) as client:
        alpha.script(broken)
        events = await client.chat.send_async(model="alpha/m", messages=ASK, stream=True)
        async with events:
            chunks = [event async for event in events]
        async with openai_sdk(suite) as other:
            stream = await other.chat.completions.create(model="alpha/m", messages=ASK, stream=True)
            with pytest.raises(openai.APIError):
                async for _ in stream:
                    pass
    last = chunks[-1]
    assert last.choices[0].finish_reason == "error"
    assert last.error is not None
    assert last.error.code == 502
    assert last.error.metadata is not None
    assert last.error.metadata.error_type == "provider_unavailable"
    assert last.id == chunks[0].id


async def test_silence_is_filled_with_comments_and_errors_behind_them_are_told_in_band(tmp_path: Path) -> None:
    gate = Pause()
    fail_fast = {"kind": "Settings", "name": "default", "retry": {"max_attempts": 1}}
    async with serving(tmp_path, "fused", fail_fast, comments_after=0.05) as (suite, alpha, _):
        alpha.script([gate, whole(503, {"error": {"message": "busy"}})])
        text = await spoken_while_silent(suite, alpha, gate)
        assert text.startswith(": OPENROUTER PROCESSING\n\n")
        lines = [line for line in text.splitlines() if line.startswith("data: ")]
        (told,) = (json.loads(line[6:]) for line in lines)
        assert (told["error"]["code"], told["choices"][0]["finish_reason"]) == (503, "error")
        record = await anext(suite.worker.records.follow(1, end=True))
        assert (record.outcome, record.status, record.error_reason) == ("failed", 200, "CHAIN_FAILED")
        gate = Pause()
        alpha.script([gate, *streamed(openai_events("late"))])
        text = await spoken_while_silent(suite, alpha, gate)
        assert text.startswith(": OPENROUTER PROCESSING\n\n")
        assert '"content": "late"' in text
        assert text.endswith("data: [DONE]\n\n")


async def spoken_while_silent(suite: Running, upstream: Upstream, gate: Pause) -> str:
    """The text of a stream whose provider waits until the second comment has come."""
    body = {"model": "alpha/m", "messages": ASK, "stream": True}
    text = ""
    async with suite.http.stream("POST", CHAT, json=body) as answer:
        assert answer.status_code == 200
        async for piece in answer.aiter_text():
            text += piece
            if text.count(": OPENROUTER PROCESSING") >= 2 and not gate.go.is_set():
                upstream.release(gate)
    return text


async def test_without_a_long_silence_errors_keep_their_status(tmp_path: Path) -> None:
    fail_fast = {"kind": "Settings", "name": "default", "retry": {"max_attempts": 1}}
    async with serving(tmp_path, "fused", fail_fast) as (suite, alpha, _):
        alpha.script([whole(503, {"error": {"message": "busy"}})])
        answer = await suite.http.post(CHAT, json={"model": "alpha/m", "messages": ASK, "stream": True})
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == 503


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_a_generation_can_be_asked_for_by_its_own_key(tmp_path: Path, topology: str) -> None:
    async with serving(tmp_path, topology) as (suite, alpha, beta), sdk(suite, OTHER_KEY) as client:
        alpha.script([whole(500, {"error": {"message": "down"}})])
        beta.script([whole(200, anthropic_answer("Hello"))])
        result = await client.chat.send_async(
            models=["alpha/m", "beta/m"], messages=ASK, stream=False, http_referer="https://app.example"
        )
        found = (await client.generations.get_generation_async(id=result.id)).data
        mine = await suite.http.post(CHAT, json={"model": "beta/m", "messages": ASK})
        generation = mine.headers["x-generation-id"]
        path = f"/api/v1/generation?id=gen-{generation}"
        others = await suite.http.get(path, headers={"authorization": f"Bearer {OTHER_KEY}"})
        own = await suite.http.get(f"/v1/generation?id={generation}")
        nobody = await suite.http.get("/v1/generation?id=nothing")
        without = await suite.http.get("/v1/generation", headers={"authorization": "Bearer no"})
    assert (found.model, found.provider_name, found.finish_reason) == ("beta/m", "beta", "stop")
    assert found.native_finish_reason == "end_turn"
    assert found.http_referer == "https://app.example"
    assert found.provider_responses is not None
    assert [r.status for r in found.provider_responses][-1] == 200
    assert found.total_cost == pytest.approx((9 * 1 + 4 * 2) / 1e6)
    assert "Hello" not in own.text, "a record holds no content"
    assert own.json()["data"]["request_id"] == generation
    assert (others.status_code, nobody.status_code, without.status_code) == (404, 404, 400)


@pytest.mark.filterwarnings("ignore:warning. .. DEPRECATED:DeprecationWarning")
async def test_clients_can_ask_about_their_key(tmp_path: Path) -> None:
    async with serving(tmp_path) as (suite, _, _), sdk(suite, OTHER_KEY) as client:
        key = (await client.api_keys.get_current_key_metadata_async()).data
        credit = (await client.credits.get_credits_async()).data
        stranger = await suite.http.get("/api/v1/key", headers={"authorization": "Bearer no"})
    assert (key.label, key.limit, key.is_free_tier) == ("other", None, False)
    assert (credit.total_credits, credit.total_usage) == (0, 0)
    assert stranger.status_code == 401


async def test_the_official_sdk_reads_the_list_of_models(tmp_path: Path) -> None:
    async with serving(tmp_path) as (suite, _, _), sdk(suite, OTHER_KEY) as client:
        models = await client.models.list_async()
    assert {m.id for m in models.result.data} >= {"alpha/m", "beta/m"}


async def test_what_callers_call_a_request_in_their_traces_reaches_spans(tmp_path: Path) -> None:
    trace = {"trace_id": "t-1", "trace_name": "shop", "span_name": "answer", "generation_name": "g", "tier": "gold"}
    async with serving(tmp_path) as (suite, alpha, _):
        alpha.script([whole(200, openai_answer("Hello"))])
        body = {"model": "alpha/m", "messages": ASK, "trace": trace}
        named = await suite.http.post("/api/v1/chat/completions", json={**body, "session_id": "s-1"})
        assert named.status_code == 200
        headed = await suite.http.post("/v1/chat/completions", json=body, headers={"x-session-id": "s-2"})
        assert headed.status_code == 200
        found = records(suite)
        assert all("trace" not in seen.json for seen in alpha.journal)
        told = (await suite.http.get("/api/v1/generation", params={"id": named.headers["x-generation-id"]})).json()
    attributes = [dict(spans_of(record, Resource.create({}))[0].attributes or {}) for record in found]
    assert [a["gen_ai.conversation.id"] for a in attributes] == ["s-1", "s-2"]
    callers = {name: value for name, value in attributes[0].items() if name.startswith("turnout.caller.")}
    assert callers == {
        "turnout.caller.trace_id": "t-1",
        "turnout.caller.trace_name": "shop",
        "turnout.caller.span_name": "answer",
        "turnout.caller.generation_name": "g",
        "turnout.caller.trace": '{"tier":"gold"}',
    }
    assert told["data"]["session_id"] == "s-1"
