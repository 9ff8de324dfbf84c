"""Google's official SDK with its base URL set to Turnout, in front of Google and of providers that speak otherwise."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import errors, types

from tests.support.inprocess import KEY, Running, running_suite
from tests.support.upstream import (
    Pause,
    Seen,
    Step,
    google_answer,
    google_events,
    openai_answer,
    openai_events,
    running_upstream,
    streamed,
    whole,
)

MODELS = ("goo/gemini-2.5-flash", "oai/gpt-x")
PNG = base64.b64decode("iVBORw0KGgo=")


@dataclass
class Vendors:
    """A Google and an OpenAI in one process: what they were asked, and what they say next."""

    seen: list[Seen] = field(default_factory=list)
    says: dict[str, Sequence[Step]] = field(default_factory=dict)

    def play(self, seen: Seen) -> Sequence[Step]:
        self.seen.append(seen)
        if seen.path.endswith(":countTokens"):
            return [whole(200, {"totalTokens": 31, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 31}]})]
        google = "enerateContent" in seen.path
        wire = "google" if google else "openai"
        if wire in self.says:
            return self.says[wire]
        if google:
            stream = "streamGenerateContent" in seen.path
            return streamed(google_events("Hel", "lo")) if stream else [whole(200, google_answer("Hello"))]
        return streamed(openai_events("Hel", "lo")) if seen.json.get("stream") else [whole(200, openai_answer("Hello"))]

    @property
    def asked(self) -> Any:
        return self.seen[-1].json


@asynccontextmanager
async def serving(folder: Path, topology: str = "fused") -> AsyncIterator[tuple[Running, Vendors, genai.Client]]:
    vendors = Vendors()
    async with running_upstream(vendors.play) as up:
        forms = [
            {"kind": "Provider", "name": "goo", "type": "google", "base_url": f"{up.url}/v1beta"},
            {"kind": "Provider", "name": "oai", "type": "openai_compatible", "base_url": f"{up.url}/v1"},
            {"kind": "Model", "name": "oai/listed", "max_output_tokens": 4000},
        ]
        async with running_suite(folder, topology, *forms) as suite, sdk(suite) as client:
            yield suite, vendors, client


@asynccontextmanager
async def sdk(suite: Running, key: str = KEY, **more: Any) -> AsyncIterator[genai.Client]:
    """The SDK's client, over the HTTP library whose connections can be closed."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        options = types.HttpOptions(base_url=suite.url, httpx_async_client=http)
        yield genai.Client(api_key=key, http_options=options, **more)


@pytest.mark.parametrize("topology", ["fused", "grpc"])
@pytest.mark.parametrize("model", MODELS)
async def test_text_whole_and_streamed(tmp_path: Path, topology: str, model: str) -> None:
    async with serving(tmp_path, topology) as (suite, _, client):
        answer = await client.aio.models.generate_content(model=model, contents="Hi")
        assert (answer.text, answer.model_version) == ("Hello", model)
        assert answer.sdk_http_response is not None
        assert (answer.sdk_http_response.headers or {})["x-generation-id"]
        assert answer.usage_metadata is not None
        assert answer.usage_metadata.total_token_count == 13
        chunks = [c async for c in await client.aio.models.generate_content_stream(model=model, contents="Hi")]
        assert "".join(c.text or "" for c in chunks) == "Hello"
        finishes = [c.candidates[0].finish_reason for c in chunks if c.candidates and c.candidates[0].finish_reason]
        assert finishes == [types.FinishReason.STOP]
        assert chunks[-1].candidates is not None
        assert chunks[-1].candidates[0].finish_reason is not None
        assert {c.model_version for c in chunks} == {model}
        records = [suite.worker.records.get(t.generation_id) for t in suite.worker.records._trails]
        assert [(r.api, r.stream, r.outcome) for r in records] == [
            ("generateContent", False, "ok"),
            ("generateContent", True, "ok"),
        ]


CITIES = ("Lima", "Oslo", "Rome", "Cairo", "Quito")
WEATHER = types.FunctionDeclaration(
    name="weather",
    description="Tells the weather",
    parameters=types.Schema(
        type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)}, required=["city"]
    ),
)


def _openai_calls(*, stream: bool) -> Sequence[Step]:
    calls = [
        {
            "index": i,
            "id": f"c{i}",
            "type": "function",
            "function": {"name": "weather", "arguments": f'{{"city":"{c}"}}'},
        }
        for i, c in enumerate(CITIES)
    ]
    if not stream:
        answer = openai_answer("")
        answer["choices"][0] |= {"finish_reason": "tool_calls"}
        answer["choices"][0]["message"] |= {"content": None, "tool_calls": calls}
        return [whole(200, answer)]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas: list[Any] = [{"role": "assistant", "content": None}]
    for call in calls:
        told = call["function"]
        assert isinstance(told, dict)
        deltas.append({"tool_calls": [{**call, "function": {**told, "arguments": ""}}]})
        text = told["arguments"]
        deltas += [
            {"tool_calls": [{"index": call["index"], "function": {"arguments": p}}]} for p in (text[:4], text[4:])
        ]
    chunks = [{**head, "choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    frames = [b"data: " + json.dumps(c).encode() + b"\n\n" for c in chunks]
    return streamed([*frames, b"data: [DONE]\n\n"])


@pytest.mark.parametrize("stream", [False, True])
async def test_five_parallel_calls_come_whole_and_their_results_go_back(tmp_path: Path, stream: bool) -> None:
    async with serving(tmp_path) as (_, vendors, client):
        vendors.says["openai"] = _openai_calls(stream=stream)
        config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[WEATHER])])
        asked = types.Content(role="user", parts=[types.Part(text="Weather?")])
        if stream:
            pieces = await client.aio.models.generate_content_stream(model=MODELS[1], contents=[asked], config=config)
            parts = [p for c in [c async for c in pieces] if c.candidates for p in c.candidates[0].content.parts or []]
        else:
            answer = await client.aio.models.generate_content(model=MODELS[1], contents=[asked], config=config)
            assert answer.candidates is not None
            parts = answer.candidates[0].content.parts or []
        calls = [p.function_call for p in parts if p.function_call]
        assert [(c.name, c.args) for c in calls] == [("weather", {"city": city}) for city in CITIES]
        schema = vendors.asked["tools"][0]["function"]["parameters"]
        assert schema == {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}
        del vendors.says["openai"]
        results = [
            types.Part.from_function_response(name="weather", response={"result": f"sun in {c}"}) for c in CITIES
        ]
        turns = [asked, types.Content(role="model", parts=parts), types.Content(role="user", parts=results)]
        again = await client.aio.models.generate_content(model=MODELS[1], contents=turns, config=config)
        assert again.text == "Hello"
        told = vendors.asked["messages"]
        assert [c["id"] for c in told[1]["tool_calls"]] == [f"c{i}" for i in range(5)]
        assert [(m["tool_call_id"], m["content"]) for m in told[2:]] == [
            (f"c{i}", f"sun in {city}") for i, city in enumerate(CITIES)
        ]
        # The same conversation goes on at Google, which wants to know why the calls carry no proof of its own.
        await client.aio.models.generate_content(model=MODELS[0], contents=turns, config=config)
        first = vendors.asked["contents"][1]["parts"][0]
        assert base64.urlsafe_b64decode(first["thoughtSignature"]) == b"skip_thought_signature_validator"


async def test_a_schema_a_picture_and_a_configuration_reach_an_openai(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, vendors, client):
        config = types.GenerateContentConfig(
            system_instruction="Be kind.",
            response_mime_type="application/json",
            response_schema={"type": "OBJECT", "properties": {"a": {"type": "INTEGER", "nullable": True}}},
            temperature=0.5,
            max_output_tokens=64,
            stop_sequences=["END"],
            thinking_config=types.ThinkingConfig(thinking_budget=0),
        )
        contents = [types.Part.from_bytes(data=PNG, mime_type="image/png"), "What is it?"]
        await client.aio.models.generate_content(model=MODELS[1], contents=contents, config=config)
        body = vendors.asked
        assert body["messages"][0] == {"role": "system", "content": "Be kind."}
        assert body["messages"][1]["content"][0]["image_url"]["url"] == "data:image/png;base64,iVBORw0KGgo="
        schema = body["response_format"]["json_schema"]["schema"]
        assert schema["properties"]["a"] == {"type": ["integer", "null"]}
        assert (body["temperature"], body["stop"], body["reasoning_effort"]) == (0.5, ["END"], "none")


async def test_a_failing_google_is_replaced_by_an_openai_without_a_trace(tmp_path: Path) -> None:
    async with serving(tmp_path) as (suite, vendors, client):
        vendors.says["google"] = [whole(503, {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}})]
        options = types.HttpOptions(extra_body={"models": [MODELS[1]], "metadata": {"tier": "gold"}})
        config = types.GenerateContentConfig(http_options=options)
        answer = await client.aio.models.generate_content(model=MODELS[0], contents="Hi", config=config)
        assert (answer.text, answer.model_version) == ("Hello", MODELS[1])
        stream = await client.aio.models.generate_content_stream(model=MODELS[0], contents="Hi", config=config)
        assert "".join([c.text or "" async for c in stream]) == "Hello"
        google = next(s.json for s in vendors.seen if "enerateContent" in s.path)
        assert google.keys() <= {"contents", "generationConfig"}
        bare = {"contents": [{"parts": [{"text": "Hi"}]}], "models": [MODELS[1]]}
        raw = (await suite.http.post(f"/v1beta/models/{MODELS[0]}:generateContent", json=bare)).json()
        assert [(a["model"], a["success"]) for a in raw["metadata"]["attempts"]] == [
            (MODELS[0], False),
            (MODELS[1], True),
        ]


async def test_errors_are_of_the_classes_that_callers_catch(tmp_path: Path) -> None:
    async with serving(tmp_path) as (suite, vendors, client):
        with pytest.raises(errors.ClientError) as unknown:
            await client.aio.models.generate_content(model="nobody/x", contents="Hi")
        assert (unknown.value.code, unknown.value.status) == (404, "NOT_FOUND")
        async with sdk(suite, "to-wrong") as stranger:
            with pytest.raises(errors.ClientError) as keyless:
                await stranger.aio.models.generate_content(model=MODELS[0], contents="Hi")
        assert (keyless.value.code, keyless.value.status) == (401, "UNAUTHENTICATED")
        theirs = {"error": {"code": 400, "message": "Bad thing.", "status": "INVALID_ARGUMENT"}}
        vendors.says["google"] = [whole(400, theirs)]
        with pytest.raises(errors.ClientError) as refused:
            await client.aio.models.generate_content(model=MODELS[0], contents="Hi")
        assert refused.value.details == theirs
        vendors.says["google"] = [whole(500, {"error": {"code": 500, "message": "oops", "status": "INTERNAL"}})]
        with pytest.raises(errors.ServerError) as failed:
            await client.aio.models.generate_content(model=MODELS[0], contents="Hi")
        assert failed.value.code == 502
        answer = await suite.http.post(f"/v1beta/models/{MODELS[0]}:embedContent", json={})
        assert (answer.status_code, answer.json()["error"]["status"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("wire", ["google", "openai"])
async def test_a_stream_that_breaks_raises_behind_what_it_gave(tmp_path: Path, wire: str) -> None:
    async with serving(tmp_path) as (_, vendors, client):
        frames = google_events("Hel") if wire == "google" else openai_events("Hel")
        broken = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
        error = b"data: " + json.dumps(broken).encode() + b"\n\n"
        gate = Pause()
        *begin, end = streamed([*frames[:2], error])
        vendors.says[wire] = [*begin[:-1], gate, begin[-1], end]
        model = MODELS[0] if wire == "google" else MODELS[1]
        told: list[types.GenerateContentResponse] = []

        async def read() -> None:
            async for piece in await client.aio.models.generate_content_stream(model=model, contents="Hi"):
                told.append(piece)
                gate.go.set()

        with pytest.raises(errors.ServerError):
            await read()
        assert "".join(p.text or "" for p in told) == "Hel"
        assert all(not (p.candidates and p.candidates[0].finish_reason) for p in told)


async def test_content_never_waits_for_the_finish(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, vendors, client):
        gate = Pause()
        last = b"data: " + json.dumps(google_answer("All of it.", "STOP")).encode() + b"\n\n"
        vendors.says["google"] = [*streamed([last])[:2], gate, *streamed([])[1:]]
        told = []
        async for piece in await client.aio.models.generate_content_stream(model=MODELS[0], contents="Hi"):
            told.append(piece)
            gate.go.set()
        assert "".join(p.text or "" for p in told) == "All of it."
        assert told[0].text == "All of it."
        assert told[-1].candidates is not None
        assert told[-1].candidates[0].finish_reason is types.FinishReason.STOP


async def test_addresses_of_vertex_keys_in_the_query_and_streams_as_a_list(tmp_path: Path) -> None:
    async with serving(tmp_path) as (suite, vendors, _):
        async with sdk(suite, vertexai=True) as vertex:
            answer = await vertex.aio.models.generate_content(model=MODELS[1], contents="Hi")
        assert answer.model_version == MODELS[1]
        body = {"contents": [{"parts": [{"text": "Hi"}]}]}
        place = "/v1beta1/projects/any/locations/eu/publishers/oai/models/gpt-x"
        found = (await suite.http.post(f"{place}:generateContent", json=body)).json()
        assert found["modelVersion"] == MODELS[1]
        bare = {"authorization": ""}
        url = f"/v1beta/models/{MODELS[1]}:streamGenerateContent?key={KEY}"
        listed = await suite.http.post(url, json=body, headers=bare)
        assert listed.headers["content-type"] == "application/json"
        chunks = listed.json()
        assert "".join(c["candidates"][0]["content"]["parts"][0]["text"] for c in chunks) == "Hello"
        assert [c["candidates"][0].get("finishReason") for c in chunks] == [None, None, "STOP"]
        assert all(KEY not in s.path and KEY not in json.dumps(dict(s.headers)) for s in vendors.seen)
        refused = await suite.http.post(url.replace(KEY, "to-wrong"), json=body, headers=bare)
        assert refused.status_code == 401
        assert refused.json()[0]["error"]["status"] == "UNAUTHENTICATED"


async def test_the_list_of_models_in_googles_form(tmp_path: Path) -> None:
    async with serving(tmp_path) as (suite, _, client):
        found = {m.name: m async for m in await client.aio.models.list()}
        assert "models/oai/listed" in found
        one = await client.aio.models.get(model="oai/listed")
        assert one.output_token_limit == 4000
        assert one.supported_actions == ["generateContent", "countTokens"]
        page = (await suite.http.get("/v1beta/models?pageSize=1")).json()
        assert [m["name"] for m in page["models"]] == ["models/oai/listed"]
        assert (await suite.http.get("/v1beta/models?pageToken=1")).json() == {"models": []}
        with pytest.raises(errors.ClientError):
            await client.aio.models.get(model="oai/missing")


async def test_the_list_of_models_in_vertexs_form(tmp_path: Path) -> None:
    async with serving(tmp_path) as (suite, _, _), sdk(suite, vertexai=True) as client:
        found = [m.name async for m in await client.aio.models.list()]
        assert found == ["publishers/oai/models/listed"]
        one = await client.aio.models.get(model="oai/listed")
        assert (one.name, one.display_name) == ("publishers/oai/models/listed", "oai/listed")
        answer = await client.aio.models.generate_content(model=found[0] or "", contents="Hi")
        assert answer.model_version == "oai/listed"
        with pytest.raises(errors.ClientError) as missing:
            await client.aio.models.get(model="oai/missing")
        assert (missing.value.code, missing.value.status) == (404, "NOT_FOUND")
        place = "/v1/projects/any/locations/eu/publishers"
        assert (await suite.http.get(f"{place}/other/models")).json() == {"publisherModels": []}
        listed = (await suite.http.get(f"{place}/oai/models?pageSize=1")).json()
        assert [m["name"] for m in listed["publisherModels"]] == found
        unknown = await suite.http.get(f"{place}/oai/models/missing")
        assert unknown.json()["error"]["status"] == "NOT_FOUND"


@pytest.mark.parametrize("vertexai", [False, True])
async def test_tokens_are_counted_and_an_estimate_says_so(tmp_path: Path, vertexai: bool) -> None:
    async with serving(tmp_path) as (suite, vendors, _), sdk(suite, vertexai=vertexai) as client:
        config = types.CountTokensConfig(system_instruction="Be kind.") if vertexai else None
        counted = await client.aio.models.count_tokens(model=MODELS[0], contents="Hello there", config=config)
        assert counted.total_tokens == 31
        inner = vendors.asked["generateContentRequest"]
        assert inner["model"] == "models/gemini-2.5-flash"
        assert inner["contents"] == [{"parts": [{"text": "Hello there"}], "role": "user"}]
        assert ("systemInstruction" in inner) is vertexai
        guessed = await client.aio.models.count_tokens(model=MODELS[1], contents="Hello there", config=config)
        assert 3 < (guessed.total_tokens or 0) < 20
        with pytest.raises(errors.ClientError) as unknown:
            await client.aio.models.count_tokens(model="nobody/m", contents="Hello there")
        assert (unknown.value.code, unknown.value.status) == (404, "NOT_FOUND")
        found = [suite.worker.records.get(t.generation_id) for t in suite.worker.records._trails]
        assert [r.api for r in found] == ["countTokens"] * 3


FEEDBACK = {"blockReason": "PROHIBITED_CONTENT", "safetyRatings": [{"category": "HARM_CATEGORY_HARASSMENT"}]}
REFUSED = {"error": {"code": "content_policy_violation", "message": "Not this.", "type": "invalid_request_error"}}
BLOCKED: dict[str, tuple[str, Sequence[Step], types.BlockedReason]] = {
    "google": (
        MODELS[0],
        [whole(200, {"promptFeedback": FEEDBACK, "modelVersion": "gemini", "usageMetadata": {"promptTokenCount": 4}})],
        types.BlockedReason.PROHIBITED_CONTENT,
    ),
    "openai": (MODELS[1], [whole(400, REFUSED)], types.BlockedReason.SAFETY),
}


@pytest.mark.parametrize("wire", BLOCKED)
async def test_a_blocked_prompt_is_an_answer_with_its_reason(tmp_path: Path, wire: str) -> None:
    model, answers, reason = BLOCKED[wire]
    async with serving(tmp_path) as (suite, vendors, client):
        vendors.says[wire] = answers
        whole_one = await client.aio.models.generate_content(model=model, contents="Hi")
        pieces = [c async for c in await client.aio.models.generate_content_stream(model=model, contents="Hi")]
        assert len(pieces) == 1
        for found in (whole_one, pieces[0]):
            assert found.prompt_feedback is not None
            assert (found.prompt_feedback.block_reason, found.candidates) == (reason, None)
            assert found.model_version == model
        if wire == "google":
            vendors.says[wire] = streamed([b"data: " + json.dumps({"promptFeedback": FEEDBACK}).encode() + b"\n\n"])
        body = {"contents": [{"parts": [{"text": "Hi"}]}]}
        listed = await suite.http.post(f"/v1beta/models/{model}:streamGenerateContent", json=body)
        (told,) = listed.json()
        assert (listed.status_code, told["promptFeedback"]["blockReason"]) == (200, reason.value)
        assert [a["error"] for a in told["metadata"]["attempts"]] == ["CONTENT_REFUSED"]
        if wire == "openai":
            assert told["promptFeedback"]["blockReasonMessage"] == "Not this."
        else:
            assert told["promptFeedback"] == FEEDBACK
        events = await suite.http.post(f"/v1beta/models/{model}:streamGenerateContent?alt=sse", json=body)
        assert events.headers["content-type"].startswith("text/event-stream")
        found = [suite.worker.records.get(t.generation_id) for t in suite.worker.records._trails]
        assert {(r.outcome, r.status) for r in found} == {("failed", 200)}
