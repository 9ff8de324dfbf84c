"""The official OpenAI and Anthropic SDKs in front of providers of their own protocol and of the other one.

What a careful client does: five tool calls at once and their results, answers by a schema, pictures, sound and
documents. The providers are played; they check what they get with their own SDK's types.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import openai
import pydantic
import pytest

from tests.golden.translation.sdk_types import check_request
from tests.support.inprocess import KEY, TOPOLOGIES, Running, running_suite
from tests.support.upstream import (
    Seen,
    Step,
    Upstream,
    anthropic_answer,
    openai_answer,
    running_upstream,
    streamed,
    whole,
)

CITIES = ("Rome", "Oslo", "Bonn", "Graz", "Kyiv")
SCHEMA: Any = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PNG = "iVBORw0KGgo="
PDF = "JVBERi0xLjQK"
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
MODELS = ("chat/gpt-4.1", "claude/claude-sonnet-4-5")


class Place(pydantic.BaseModel):
    city: str


def provider(seen: Seen) -> Sequence[Step]:
    """Both providers: five calls where there are tools and no results yet, JSON where a schema is wanted, else text."""
    body = seen.json
    if seen.path.endswith("/messages"):
        return _claude(body)
    return _openai(body)


def _openai(body: dict[str, Any]) -> Sequence[Step]:
    check_request("openai", body, set())
    results = [m for m in body["messages"] if m["role"] == "tool"]
    if "tools" in body and not results:
        calls = [
            {
                "id": f"call_{n}",
                "type": "function",
                "function": {"name": "weather", "arguments": json.dumps({"city": c})},
            }
            for n, c in enumerate(CITIES)
        ]
        if not body.get("stream"):
            answer = openai_answer("")
            answer["choices"][0]["message"] |= {"content": None, "tool_calls": calls}
            answer["choices"][0]["finish_reason"] = "tool_calls"
            return [whole(200, answer)]
        return streamed(_chunks([{"tool_calls": [{**call, "index": n}]} for n, call in enumerate(calls)], "tool_calls"))
    text = _said({m["tool_call_id"]: m["content"] for m in results}, schema="response_format" in body)
    if not body.get("stream"):
        return [whole(200, openai_answer(text))]
    return streamed(_chunks([{"content": text}], "stop"))


def _chunks(deltas: Sequence[Any], finish: str) -> list[bytes]:
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choices = [[{"index": 0, "delta": d, "finish_reason": None}] for d in [{"role": "assistant"}, *deltas]]
    choices.append([{"index": 0, "delta": {}, "finish_reason": finish}])
    frames = [{**base, "choices": c} for c in choices] + [{**base, "choices": [], "usage": USAGE}]
    return [b"data: " + json.dumps(f).encode() + b"\n\n" for f in frames] + [b"data: [DONE]\n\n"]


def _claude(body: dict[str, Any]) -> Sequence[Step]:
    check_request("anthropic", body, set())
    blocks = [b for m in body["messages"] if isinstance(m["content"], list) for b in m["content"]]
    results = {b["tool_use_id"]: _flat(b["content"]) for b in blocks if b["type"] == "tool_result"}
    calls = [
        {"type": "tool_use", "id": f"call_{n}", "name": "weather", "input": {"city": c}} for n, c in enumerate(CITIES)
    ]
    text = _said(results, schema="format" in body.get("output_config", {}))
    content = calls if "tools" in body and not results else [{"type": "text", "text": text}]
    stop = "tool_use" if content is calls else "end_turn"
    if not body.get("stream"):
        return [whole(200, {**anthropic_answer(), "content": content, "stop_reason": stop})]
    return streamed(_events(content, stop))


def _flat(content: Any) -> str:
    return content if isinstance(content, str) else "".join(b["text"] for b in content)


def _events(content: Sequence[Any], stop: str) -> list[bytes]:
    message = {**anthropic_answer(), "content": [], "stop_reason": None}
    events: list[Any] = [{"type": "message_start", "message": message}]
    for index, block in enumerate(content):
        begun = {**block, **({"input": {}} if "input" in block else {"text": ""})}
        delta = (
            {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
            if "input" in block
            else {"type": "text_delta", "text": block["text"]}
        )
        events.append({"type": "content_block_start", "index": index, "content_block": begun})
        events.append({"type": "content_block_delta", "index": index, "delta": delta})
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": stop, "stop_sequence": None}
    events += [{"type": "message_delta", "delta": delta, "usage": {"output_tokens": 4}}, {"type": "message_stop"}]
    return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events]


def _said(results: dict[str, str], *, schema: bool) -> str:
    """What the model says: what it was told of each call, in order."""
    if schema:
        return json.dumps({"city": "Rome"})
    return "; ".join(f"{name}={results[name]}" for name in sorted(results)) or "Seen."


@asynccontextmanager
async def running(folder: Path, topology: str) -> AsyncIterator[tuple[Running, Upstream]]:
    async with running_upstream(provider) as upstream:
        forms = [
            {"kind": "Provider", "name": "chat", "type": "openai", "base_url": f"{upstream.url}/v1"},
            {"kind": "Provider", "name": "claude", "type": "anthropic", "base_url": upstream.url},
        ]
        forms = [{**form, "credentials": ["env:KEY"]} for form in forms]
        async with running_suite(folder, topology, *forms, environment={"KEY": "sk"}) as suite:
            yield suite, upstream


def chat(suite: Running) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{suite.url}/v1", api_key=KEY, max_retries=0)


def messages(suite: Running) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=suite.url, api_key=KEY, max_retries=0)


ASK: Any = [{"role": "user", "content": "Weather?"}]
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA, "strict": True}}
EXPECTED = "; ".join(f"call_{n}={city}: 18" for n, city in enumerate(CITIES))


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
async def test_five_tool_calls_and_their_results_with_openais_sdk(
    tmp_path: Path, topology: str, model: str, *, stream: bool
) -> None:
    async with running(tmp_path, topology) as (suite, _), chat(suite) as client:

        async def ask(turns: Any) -> Any:
            if not stream:
                found = await client.chat.completions.create(model=model, messages=turns, tools=[TOOL])
                return found.choices[0]
            async with client.chat.completions.stream(model=model, messages=turns, tools=[TOOL]) as events:
                return (await events.get_final_completion()).choices[0]

        first = await ask(ASK)
        assert first.finish_reason == "tool_calls"
        calls = first.message.tool_calls
        assert [json.loads(c.function.arguments) for c in calls] == [{"city": city} for city in CITIES]
        told = [
            {"role": "tool", "tool_call_id": c.id, "content": f"{json.loads(c.function.arguments)['city']}: 18"}
            for c in calls
        ]
        # As people do: the answer goes back as it came.
        turn = first.message.model_dump(exclude_none=True, exclude={"parsed"})
        turn["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.function.name, "arguments": c.function.arguments}}
            for c in calls
        ]
        second = await ask([*ASK, turn, *told])
    assert second.message.content == EXPECTED


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
async def test_five_tool_calls_and_their_results_with_anthropics_sdk(
    tmp_path: Path, topology: str, model: str, *, stream: bool
) -> None:
    tool: Any = {"name": "weather", "input_schema": SCHEMA}
    async with running(tmp_path, topology) as (suite, _), messages(suite) as client:

        async def ask(turns: Any) -> Any:
            if not stream:
                return await client.messages.create(model=model, max_tokens=100, messages=turns, tools=[tool])
            async with client.messages.stream(model=model, max_tokens=100, messages=turns, tools=[tool]) as events:
                return await events.get_final_message()

        first = await ask(ASK)
        assert first.stop_reason == "tool_use"
        assert [block.input for block in first.content] == [{"city": city} for city in CITIES]
        told = [
            {"type": "tool_result", "tool_use_id": b.id, "content": f"{b.input['city']}: 18"} for b in first.content
        ]
        turn = [b.model_dump(exclude_none=True, include={"type", "id", "name", "input"}) for b in first.content]
        second = await ask([*ASK, {"role": "assistant", "content": turn}, {"role": "user", "content": told}])
    assert second.content[0].text == EXPECTED


# OpenAI's own metadata holds text only; that of the router does not, and the SDK says so when it dumps an answer.
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("model", MODELS)
async def test_an_answer_by_a_schema(tmp_path: Path, model: str) -> None:
    async with running(tmp_path, "fused") as (suite, upstream):
        async with chat(suite) as client:
            found = await client.chat.completions.parse(model=model, messages=ASK, response_format=Place)
        assert found.choices[0].message.parsed == Place(city="Rome")
        async with messages(suite) as other:
            wanted: Any = {"format": {"type": "json_schema", "schema": SCHEMA}}
            answer = await other.messages.create(model=model, max_tokens=100, messages=ASK, output_config=wanted)
        assert Place.model_validate_json(answer.content[0].text) == Place(city="Rome")  # type: ignore[union-attr]
        schemas = [_schema(seen.json) for seen in upstream.journal]
    assert [schema["properties"].keys() for schema in schemas] == [{"city"}, {"city"}]


def _schema(body: dict[str, Any]) -> Any:
    if "output_config" in body:
        return body["output_config"]["format"]["schema"]
    return body["response_format"]["json_schema"]["schema"]


CHAT_MEDIA: Any = [
    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
    {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
    {"type": "text", "text": "What is this?"},
]
MESSAGE_MEDIA: Any = [
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}, "title": "a.pdf"},
    {"type": "text", "text": "What is this?"},
]


@pytest.mark.parametrize("model", MODELS)
async def test_pictures_and_documents_arrive_in_the_providers_words(tmp_path: Path, model: str) -> None:
    async with running(tmp_path, "fused") as (suite, upstream):
        async with chat(suite) as client:
            found = await client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": CHAT_MEDIA}]
            )
        assert found.choices[0].message.content == "Seen."
        async with messages(suite) as other:
            answer = await other.messages.create(
                model=model, max_tokens=100, messages=[{"role": "user", "content": MESSAGE_MEDIA}]
            )
        assert answer.content[0].text == "Seen."  # type: ignore[union-attr]
        for seen in upstream.journal:
            content = seen.json["messages"][0]["content"]
            if model.startswith("claude"):
                assert content[0]["source"] == {"type": "base64", "media_type": "image/png", "data": PNG}
                assert content[1]["source"] == {"type": "base64", "media_type": "application/pdf", "data": PDF}
                assert content[1]["title"] == "a.pdf"
            else:
                assert content[0]["image_url"]["url"] == f"data:image/png;base64,{PNG}"
                file = {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}
                assert content[1] == {"type": "file", "file": file}
            assert content[2]["text"] == "What is this?"


async def test_sound_goes_where_it_is_heard_and_is_refused_by_name_elsewhere(tmp_path: Path) -> None:
    part: Any = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    async with running(tmp_path, "fused") as (suite, upstream), chat(suite) as client:
        turns: Any = [{"role": "user", "content": [part]}]
        await client.chat.completions.create(model=MODELS[0], messages=turns)
        assert upstream.journal[0].json["messages"][0]["content"] == [part]
        with pytest.raises(openai.APIStatusError, match="audio input has no translation"):
            await client.chat.completions.create(model=MODELS[1], messages=turns)
        found = await client.chat.completions.create(
            model=MODELS[1], messages=turns, extra_body={"models": [MODELS[0]]}
        )
        assert found.model == MODELS[0]
