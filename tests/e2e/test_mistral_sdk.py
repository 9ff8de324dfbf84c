"""Mistral's official SDK pointed at the router, in front of Mistral itself, of Anthropic and of Cohere."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pydantic
import pytest
from mistralai.client import Mistral
from mistralai.client.errors import HTTPValidationError, SDKError
from mistralai.client.models import ChatCompletionRequest

from tests.support.inprocess import KEY, TOPOLOGIES, Running, running_suite
from tests.support.upstream import Seen, Step, Upstream, openai_answer, running_upstream, streamed, whole

TOOLS: Any = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}
    for name in ("weather", "time")
]
CITY = '{"city":"Rome"}'
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
MODELS = ("mistral/m", "claude/m", "co/m")
ASK: Any = [{"role": "user", "content": "Weather and time in Rome?"}]


class Place(pydantic.BaseModel):
    city: str


def mistral(seen: Seen) -> Sequence[Step]:
    """Mistral: refuses what it does not document; two calls where there are tools, else an answer."""
    body = seen.json
    assert seen.headers["authorization"] == "Bearer mk"
    known = ChatCompletionRequest.model_validate(body).model_dump(mode="json", by_alias=True, exclude_unset=True)
    if known != body:
        return [whole(422, {"detail": [{"type": "extra_forbidden", "loc": ["body"], "msg": "Extra inputs"}]})]
    told = body["messages"][-1]["role"] == "tool"
    calls = [
        {"id": "aX2gaLIy0", "type": "function", "index": 0, "function": {"name": "weather", "arguments": CITY}},
        {"id": "aX2gaLIy1", "type": "function", "index": 1, "function": {"name": "time", "arguments": "{}"}},
    ]
    message: dict[str, Any] = {"content": "18 degrees, 12:30"}
    if "response_format" in body:
        message = {"content": CITY}
    elif "tools" in body and not told:
        message = {"content": "", "tool_calls": calls}
    finish = "tool_calls" if "tool_calls" in message else "stop"
    base = {"id": "m-1", "created": 1, "model": "m"}
    if not body.get("stream"):
        choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", **message}}
        return [whole(200, {**base, "object": "chat.completion", "choices": [choice], "usage": USAGE})]
    thought = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]
    deltas: list[Any] = [{"role": "assistant", "content": thought}] if "tools" not in body else []
    deltas += [message] if "tool_calls" in message else [{"content": "18 degrees"}, {"content": ", 12:30"}]
    chunks = [{**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append(
        {**base, "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": finish}], "usage": USAGE}
    )
    return streamed([*(f"data: {json.dumps(c)}\n\n".encode() for c in chunks), b"data: [DONE]\n\n"])


def claude(seen: Seen) -> Sequence[Step]:
    body = seen.json
    text = {"type": "text", "text": "18 degrees, 12:30"}
    calls = [
        {"type": "tool_use", "id": "toolu_0", "name": "weather", "input": {"city": "Rome"}},
        {"type": "tool_use", "id": "toolu_1", "name": "time", "input": {}},
    ]
    told = any(b["type"] == "tool_result" for b in body["messages"][-1]["content"] if isinstance(b, dict))
    usage = {"input_tokens": 9, "output_tokens": 4}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
    found = {"content": [text], "stop_reason": "end_turn"} if told else {"content": calls, "stop_reason": "tool_use"}
    return [whole(200, {**message, **found, "usage": usage})]


def cohere(seen: Seen) -> Sequence[Step]:
    body = seen.json
    calls = [
        {"id": "weather_0", "type": "function", "function": {"name": "weather", "arguments": CITY}},
        {"id": "time_1", "type": "function", "function": {"name": "time", "arguments": "{}"}},
    ]
    told = body["messages"][-1]["role"] == "tool"
    said = {"content": [{"type": "text", "text": "18 degrees, 12:30"}]}
    message = said if told else {"tool_plan": "I look.", "tool_calls": calls}
    usage = {"tokens": {"input_tokens": 9, "output_tokens": 4}}
    finish = "COMPLETE" if told else "TOOL_CALL"
    return [
        whole(200, {"id": "c-1", "message": {"role": "assistant", **message}, "finish_reason": finish, "usage": usage})
    ]


@asynccontextmanager
async def serving(folder: Path, topology: str = "fused") -> AsyncIterator[tuple[Running, dict[str, Upstream]]]:
    """A suite in front of fakes of Mistral, Anthropic, Cohere and OpenAI."""
    async with (
        running_upstream(mistral) as first,
        running_upstream(claude) as second,
        running_upstream(cohere) as third,
        running_upstream() as fourth,
    ):
        fourth.script([whole(200, openai_answer())])
        forms = [
            {
                "kind": "Provider",
                "name": "mistral",
                "type": "mistral",
                "base_url": f"{first.url}/v1",
                "credentials": ["env:MK"],
            },
            {"kind": "Provider", "name": "claude", "type": "anthropic", "base_url": second.url},
            {"kind": "Provider", "name": "co", "type": "cohere", "base_url": f"{third.url}/v2"},
            {"kind": "Provider", "name": "gpt", "type": "openai", "base_url": f"{fourth.url}/v1"},
        ]
        async with running_suite(folder, topology, *forms, environment={"MK": "mk"}) as suite:
            yield suite, {"mistral/m": first, "claude/m": second, "co/m": third, "gpt": fourth}


@asynccontextmanager
async def sdk(suite: Running, key: str = KEY) -> AsyncIterator[Mistral]:
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:
        yield Mistral(api_key=key, server_url=suite.url, async_client=http)


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("model", MODELS)
async def test_two_calls_at_once_go_round(tmp_path: Path, topology: str, model: str) -> None:
    async with serving(tmp_path, topology) as (suite, upstreams), sdk(suite) as client:
        ask: Any = {"model": model, "tools": TOOLS, "parallel_tool_calls": True, "random_seed": 3}
        first = await client.chat.complete_async(messages=ASK, **ask)
        message = first.choices[0].message
        assert message is not None
        calls = message.tool_calls or []
        assert first.choices[0].finish_reason == "tool_calls"
        told = [(c.function.name, json.loads(str(c.function.arguments))) for c in calls]
        assert told == [("weather", {"city": "Rome"}), ("time", {})]
        results: Any = [{"role": "tool", "tool_call_id": c.id, "name": c.function.name, "content": "x"} for c in calls]
        second = await client.chat.complete_async(messages=[*ASK, message, *results], **ask)
        assert second.choices[0].message is not None
        assert second.choices[0].message.content == "18 degrees, 12:30"
        assert (second.usage.prompt_tokens, second.usage.completion_tokens) == (9, 4)
    paths = {"mistral/m": "/v1/chat/completions", "claude/m": "/v1/messages", "co/m": "/v2/chat"}
    assert [seen.path for seen in upstreams[model].journal] == [paths[model]] * 2
    sent = upstreams["mistral/m"].journal[-1].json if model == "mistral/m" else None
    if sent is not None:
        assert sent["random_seed"] == 3
        assert [m.get("tool_call_id") for m in sent["messages"][-2:]] == ["aX2gaLIy0", "aX2gaLIy1"]


async def test_streams_hold_reasoning_text_calls_and_usage(tmp_path: Path) -> None:
    async with serving(tmp_path) as (suite, _), sdk(suite) as client:
        text, thoughts, usage, finish = "", "", None, ""
        async with await client.chat.stream_async(model="mistral/m", messages=ASK) as events:
            async for event in events:
                usage = event.data.usage or usage
                for choice in event.data.choices:
                    finish = str(choice.finish_reason or finish)
                    content = choice.delta.content
                    if isinstance(content, str):
                        text += content
                    elif content:
                        thoughts += content[0].thinking[0].text  # type: ignore[union-attr]
        assert (text, thoughts, finish) == ("18 degrees, 12:30", "Hm.", "stop")
        assert usage is not None
        assert usage.completion_tokens == 4
        named = []
        async with await client.chat.stream_async(model="mistral/m", messages=ASK, tools=TOOLS) as events:
            async for event in events:
                for choice in event.data.choices:
                    named += [c.function.name for c in choice.delta.tool_calls or []]
        assert named == ["weather", "time"]


async def test_a_schema_comes_back_as_its_type(tmp_path: Path) -> None:
    async with serving(tmp_path) as (suite, upstreams), sdk(suite) as client:
        answer = await client.chat.parse_async(Place, model="mistral/m", messages=ASK)
        assert answer.choices is not None
        message = answer.choices[0].message
        assert message is not None
        assert message.parsed == Place(city="Rome")
        wanted = upstreams["mistral/m"].journal[0].json["response_format"]
        assert wanted["json_schema"]["schema"]["properties"]["city"]["type"] == "string"


async def test_errors_are_those_that_its_users_catch(tmp_path: Path) -> None:
    async with serving(tmp_path) as (suite, upstreams):
        async with sdk(suite, "wrong") as client:
            with pytest.raises(SDKError) as caught:
                await client.chat.complete_async(model="mistral/m", messages=ASK)
            assert caught.value.status_code == 401
        async with sdk(suite) as client:
            with pytest.raises(SDKError) as caught:
                await client.chat.complete_async(model="mistral-large-2407-nope", messages=ASK)
            assert caught.value.status_code == 404
            refusal = {"detail": [{"type": "missing", "loc": ["body", "x"], "msg": "Field required"}]}
            upstreams["mistral/m"]._choose = lambda seen: [whole(422, refusal)]
            with pytest.raises(HTTPValidationError) as invalid:
                await client.chat.complete_async(model="mistral/m", messages=ASK)
            assert invalid.value.status_code == 422


@pytest.mark.parametrize("model", ["gpt/gpt-4.1", "claude/m"])
async def test_what_its_clients_say_in_mistrals_way_reaches_others_in_theirs(tmp_path: Path, model: str) -> None:
    thought = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "Yes?"}]
    page = {"type": "document_url", "document_url": "data:application/pdf;base64,JVBERi0=", "document_name": "a.pdf"}
    messages: Any = [*ASK, {"role": "assistant", "content": thought}, {"role": "user", "content": [page]}]
    async with serving(tmp_path) as (suite, upstreams), sdk(suite) as client:
        answer = await client.chat.complete_async(
            model=model, messages=messages, tools=TOOLS, tool_choice="any", random_seed=3, safe_prompt=True
        )
        assert answer.choices[0].finish_reason
        (seen,) = upstreams["claude/m" if model == "claude/m" else "gpt"].journal
    body = seen.json
    sent = body["messages"][-1]["content"][0]
    if model == "claude/m":
        assert (sent["type"], sent["source"]["data"], body["tool_choice"]["type"]) == ("document", "JVBERi0=", "any")
    else:
        assert body["seed"] == 3
        assert body["tool_choice"] == "required"
        assert sent["file"] == {"filename": "a.pdf", "file_data": page["document_url"]}
        assert body["messages"][1] == {"role": "assistant", "content": [thought[1]]}
        assert "prefix" not in json.dumps(body)


async def test_openai_callers_fields_are_adapted_to_what_mistral_takes(tmp_path: Path) -> None:
    """The fake refuses unknown fields with 422, as Mistral does."""
    body = {
        "model": "mistral/m",
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": "Hi", "name": "ada"},
            {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "annotations": [],
                "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "time", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "12:30"},
        ],
        "tools": [{"type": "function", "function": {"name": "time"}}],
        "max_completion_tokens": 50,
        "seed": 7,
        "store": False,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    async with serving(tmp_path) as (suite, _):
        answer = await suite.http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    chunks = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    assert "".join(c["delta"].get("content") or "" for k in chunks for c in k["choices"]) == "18 degrees, 12:30"
    told = " ".join(chunks[-1]["metadata"]["warnings"])
    assert "store was dropped" in told
    assert "names of authors were dropped" in told
