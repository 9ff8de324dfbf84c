"""OpenAI's official SDK at the Responses API, in front of its own protocol, of others, and of a real llama.cpp server.

The providers are played; they check what they get with their own SDK's types.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pydantic
import pytest

from tests.e2e.test_dialect_sdks import CITIES, EXPECTED, PNG, SCHEMA
from tests.e2e.test_dialect_sdks import provider as other_provider
from tests.golden.translation.sdk_types import check_request
from tests.support.inprocess import KEY, TOPOLOGIES, Running, records, running_suite
from tests.support.llama import LlamaServer
from tests.support.streams import read_responses
from tests.support.upstream import (
    Close,
    Seen,
    Step,
    Upstream,
    anthropic_answer,
    responses_answer,
    responses_events,
    responses_message,
    running_upstream,
    streamed,
    whole,
)

MODELS = ("native/gpt-5", "claude/claude-sonnet-4-5", "chat/llama-3", "called/gpt-5")
"""At OpenAI's own API, across to Anthropic's and to chat completions, and at a chat provider with `api: responses`."""
NATIVE = {"native/gpt-5", "called/gpt-5"}
TOOL: Any = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": True}
ASK: Any = [{"role": "user", "content": "Weather?"}]
REASONING = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Look."}],
             "encrypted_content": "gAAAAABo"}  # fmt: skip


class Place(pydantic.BaseModel):
    city: str


def provider(seen: Seen) -> Sequence[Step]:
    """Every provider of these tests."""
    return _responses(seen.json) if seen.path.endswith("/responses") else other_provider(seen)


def _responses(body: dict[str, Any]) -> Sequence[Step]:
    """Reasoning and five calls where there are tools and no results yet, JSON where a schema is wanted, else text."""
    check_request("responses", body, set())
    given = body["input"] if isinstance(body["input"], list) else []
    results = {i["call_id"]: i["output"] for i in given if i.get("type") == "function_call_output"}
    if "tools" in body and not results:
        items = [REASONING, *(_call(n, city) for n, city in enumerate(CITIES))]
    elif "format" in body.get("text", {}):
        items = [responses_message(json.dumps({"city": "Rome"}))]
    else:
        items = [responses_message("; ".join(f"{name}={results[name]}" for name in sorted(results)) or "Seen.")]
    if body.get("stream"):
        return streamed(_events(items))
    return [whole(200, responses_answer(output=items))]


def _call(number: int, city: str) -> dict[str, Any]:
    head = {"type": "function_call", "id": f"fc_{number}", "call_id": f"call_{number}", "status": "completed"}
    return {**head, "name": "weather", "arguments": json.dumps({"city": city})}


def _events(items: Sequence[dict[str, Any]]) -> list[bytes]:
    if items[0]["type"] == "message":
        return responses_events(items[0]["content"][0]["text"])
    begun = responses_answer(status="in_progress", output=[], usage=None)
    events: list[dict[str, Any]] = [{"type": "response.created", "response": begun}]
    for index, item in enumerate(items):
        at = {"output_index": index, "item_id": item["id"]}
        empty = {**item, "arguments": ""} if item["type"] == "function_call" else {**item, "summary": []}
        events.append({"type": "response.output_item.added", "output_index": index, "item": empty})
        if item["type"] == "function_call":
            events.append({"type": "response.function_call_arguments.delta", **at, "delta": item["arguments"]})
            done = {"name": item["name"], "arguments": item["arguments"]}
            events.append({"type": "response.function_call_arguments.done", **at, **done})
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    events.append({"type": "response.completed", "response": responses_answer(output=list(items))})
    numbered = [{**event, "sequence_number": n} for n, event in enumerate(events)]
    return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in numbered]


def forms(upstream: Upstream) -> list[dict[str, Any]]:
    found = [
        {"kind": "Provider", "name": "native", "type": "openai", "base_url": f"{upstream.url}/v1"},
        {"kind": "Provider", "name": "spare", "type": "openai", "base_url": f"{upstream.url}/v1"},
        {"kind": "Provider", "name": "claude", "type": "anthropic", "base_url": upstream.url},
        {"kind": "Provider", "name": "chat", "type": "openai_compatible", "base_url": f"{upstream.url}/v1"},
        {"kind": "Provider", "name": "called", "type": "openai_compatible", "base_url": f"{upstream.url}/v1"},
    ]
    found = [{**form, "credentials": ["env:KEY"]} for form in found]
    return [*found, {"kind": "Model", "name": "called/gpt-5", "api": "responses"}]


@asynccontextmanager
async def running(folder: Path, topology: str, played: Any = provider) -> AsyncIterator[tuple[Running, Upstream]]:
    async with (
        running_upstream(played) as upstream,
        running_suite(folder, topology, *forms(upstream), environment={"KEY": "sk"}) as suite,
    ):
        yield suite, upstream


def sdk(suite: Running) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{suite.url}/v1", api_key=KEY, max_retries=0)


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("model", MODELS)
async def test_text_whole_and_streamed(tmp_path: Path, topology: str, model: str) -> None:
    async with running(tmp_path, topology) as (suite, _), sdk(suite) as client:
        answer = await client.responses.create(model=model, input="Hi", metadata={"team": "blue"})
        async with client.responses.stream(model=model, input="Hi") as events:
            kinds = [event.type async for event in events]
            final = await events.get_final_response()
    assert answer.output_text == final.output_text == "Seen."
    assert (answer.status, answer.model, answer.object) == ("completed", model, "response")
    assert answer.usage is not None
    assert answer.usage.total_tokens == 13
    evidence: Any = answer.model_extra
    assert [a["model"] for a in evidence["turnout_metadata"]["attempts"]] == [model]
    assert (final.model_extra or {})["turnout_metadata"]["generation_id"]
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    if model not in NATIVE:  # whose provider is played, and repeats nothing
        assert answer.metadata == {"team": "blue"}


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
async def test_five_tool_calls_and_their_results(tmp_path: Path, topology: str, model: str, *, stream: bool) -> None:
    async with running(tmp_path, topology) as (suite, upstream), sdk(suite) as client:

        async def ask(given: Any) -> Any:
            if not stream:
                return await client.responses.create(model=model, input=given, tools=[TOOL])
            async with client.responses.stream(model=model, input=given, tools=[TOOL]) as events:
                return await events.get_final_response()

        first = await ask(ASK)
        calls = [item for item in first.output if item.type == "function_call"]
        assert [json.loads(call.arguments) for call in calls] == [{"city": city} for city in CITIES]
        results = [
            {"type": "function_call_output", "call_id": c.call_id, "output": f"{json.loads(c.arguments)['city']}: 18"}
            for c in calls
        ]
        # As people do: the items go back as they came.
        second = await ask([*ASK, *(item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in first.output), *results])  # fmt: skip
        last = upstream.journal[-1].json
    assert second.output_text == EXPECTED
    if model in NATIVE:
        back = [item for item in last["input"] if item.get("type") == "reasoning"]
        assert [item["encrypted_content"] for item in back] == ["gAAAAABo"]


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("model", MODELS)
async def test_answers_by_a_schema(tmp_path: Path, topology: str, model: str) -> None:
    async with running(tmp_path, topology) as (suite, _), sdk(suite) as client:
        found = await client.responses.parse(model=model, input="Where?", text_format=Place)
    assert found.output_parsed == Place(city="Rome")


@pytest.mark.parametrize("model", MODELS)
async def test_pictures_and_documents_reach_every_provider(tmp_path: Path, model: str) -> None:
    content: Any = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQK"},
    ]
    async with running(tmp_path, "fused") as (suite, upstream), sdk(suite) as client:
        answer = await client.responses.create(model=model, input=[{"role": "user", "content": content}])
        sent = upstream.journal[-1].body
    assert answer.output_text == "Seen."
    assert PNG.encode() in sent
    assert b"JVBERi0xLjQK" in sent


@pytest.mark.parametrize("stream", [False, True])
async def test_reasoning_of_anthropics_model_finds_back_to_it(tmp_path: Path, *, stream: bool) -> None:
    thinking = {"type": "thinking", "thinking": "Look.", "signature": "c2ln"}
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}}

    def claude(seen: Seen) -> Sequence[Step]:
        if seen.path.endswith("/responses"):
            return provider(seen)
        done = "tool_result" in seen.body.decode()
        content = [{"type": "text", "text": "18"}] if done else [thinking, call]
        stop = "end_turn" if done else "tool_use"
        answer = {**anthropic_answer(), "content": content, "stop_reason": stop}
        if not seen.json.get("stream"):
            return [whole(200, answer)]
        begun = {**answer, "content": [], "stop_reason": None}
        events: list[Any] = [{"type": "message_start", "message": begun}]
        for index, block in enumerate(content):
            empty = {**block, "thinking": "", "signature": ""} if block["type"] == "thinking" else {**block}
            moves = []
            if block["type"] == "thinking":
                moves = [{"type": "thinking_delta", "thinking": "Look."}, {"type": "signature_delta", "signature": "c2ln"}]  # fmt: skip
            elif block["type"] == "tool_use":
                empty["input"] = {}
                moves = [{"type": "input_json_delta", "partial_json": '{"city":"Rome"}'}]
            events.append({"type": "content_block_start", "index": index, "content_block": empty})
            events += [{"type": "content_block_delta", "index": index, "delta": move} for move in moves]
            events.append({"type": "content_block_stop", "index": index})
        events.append({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 4}})
        events.append({"type": "message_stop"})
        return streamed([f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events])

    more: Any = {"tools": [TOOL], "reasoning": {"effort": "low", "summary": "auto"}, "max_output_tokens": 9_000}
    async with running(tmp_path, "fused", claude) as (suite, upstream), sdk(suite) as client:

        async def ask(given: Any) -> Any:
            if not stream:
                return await client.responses.create(model=MODELS[1], input=given, **more)
            async with client.responses.stream(model=MODELS[1], input=given, **more) as events:
                return await events.get_final_response()

        first = await ask(ASK)
        assert [item.type for item in first.output] == ["reasoning", "function_call"]
        assert first.output[0].summary[0].text == "Look."
        items = [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in first.output]
        result = {"type": "function_call_output", "call_id": "toolu_1", "output": "18"}
        second = await ask([*ASK, *items, result])
        sent = upstream.journal[-1].json["messages"]
        # The same turn at OpenAI goes without what OpenAI could not read.
        await client.responses.create(model=MODELS[0], input=[*ASK, *items, result])
        elsewhere = upstream.journal[-1].json["input"]
    assert second.output_text == "18"
    assert sent[1]["content"] == [thinking, call]
    assert [item.get("type") for item in elsewhere] == [None, "function_call", "function_call_output"]


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("model", ["native/gpt-5", "claude/claude-sonnet-4-5"])
async def test_a_stream_that_breaks_raises_in_the_sdk(tmp_path: Path, topology: str, model: str) -> None:
    def broken(seen: Seen) -> Sequence[Step]:
        steps = list(provider(seen))
        keep = 6 if seen.path.endswith("/responses") else 4
        return [*steps[:keep], Close]

    async with running(tmp_path, topology, broken) as (suite, _), sdk(suite) as client:
        texts: list[str] = []

        async def read_on() -> None:
            async for event in await client.responses.create(model=model, input="Hi", stream=True):
                if event.type == "response.output_text.delta":
                    texts.append(event.delta)

        with pytest.raises(openai.APIError) as raised:
            await read_on()
        body = (await suite.http.post("/v1/responses", json={"model": model, "input": "Hi", "stream": True})).text
    assert texts == ["Seen."]
    assert raised.value.code in {"disconnected", "stream_truncated"}
    read = read_responses(body)
    assert not read.whole
    assert read.error["code"] == raised.value.code
    assert '"response.failed"' in body


async def test_state_stays_at_the_provider_that_keeps_it(tmp_path: Path) -> None:
    def failing(seen: Seen) -> Sequence[Step]:
        return [whole(503, {"error": {"message": "busy", "type": "server_error"}})]

    async with running(tmp_path, "fused", failing) as (suite, upstream), sdk(suite) as client:
        others: Any = {"models": ["native/gpt-4.1", "spare/gpt-5", "claude/claude-sonnet-4-5"]}
        with pytest.raises(openai.APIStatusError):
            await client.responses.create(
                model="native/gpt-5", input="And?", previous_response_id="resp_1", extra_body=others
            )
        asked = {seen.json["model"] for seen in upstream.journal}
        (record,) = records(suite)
        with pytest.raises(openai.APIStatusError) as refused:
            await client.responses.create(model="claude/claude-sonnet-4-5", input="And?", previous_response_id="resp_1")
    assert asked == {"gpt-5", "gpt-4.1"}
    assert [a.failure for a in record.attempts if not a.model.startswith("native/")] == ["UNSUPPORTED", "UNSUPPORTED"]
    assert "previous_response_id" in str(refused.value)


async def test_a_chat_caller_reaches_a_model_that_has_no_other_api(tmp_path: Path) -> None:
    async with running(tmp_path, "fused") as (suite, upstream), sdk(suite) as client:
        answer = await client.chat.completions.create(model="called/gpt-5", messages=ASK)
        sent = upstream.journal[-1]
    assert answer.choices[0].message.content == "Seen."
    assert sent.path == "/v1/responses"
    assert sent.json["store"] is False


@pytest.mark.parametrize("api", ["", "responses"])
async def test_a_real_llama_cpp_server_answers(tmp_path: Path, llama: LlamaServer, api: str) -> None:
    """By its own Responses API, and by chat completions; as its own API has it, and through the exchange model."""
    local = {"kind": "Provider", "name": "local", "type": "llamacpp", "base_url": f"{llama.url}/v1"}
    plain = {**local, "name": "plain", "type": "openai_compatible"}
    named = [{"kind": "Model", "name": f"{name}/tiny", "api": api} for name in ("local", "plain")] if api else []
    keyed = [{**form, "credentials": ["env:KEY"]} for form in (local, plain)]
    async with running_suite(tmp_path, "fused", *keyed, *named, environment={"KEY": llama.api_key}) as suite:
        client = sdk(suite)
        for name in ("local", "plain"):
            model = f"{name}/tiny"
            answer = await client.responses.create(model=model, input="Hi", max_output_tokens=16)
            assert answer.output_text
            assert answer.usage is not None
            assert answer.usage.output_tokens > 0
            texts, last = [], None
            async for event in await client.responses.create(
                model=model, input="Hi", max_output_tokens=16, stream=True
            ):
                last = event
                texts.append(event.delta if event.type == "response.output_text.delta" else "")
            assert last is not None
            assert last.type in {"response.completed", "response.incomplete"}
            assert last.response.output_text == "".join(texts)
            chat = await client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "Hi"}], max_tokens=16
            )
            assert chat.choices[0].message.content
        await client.close()
