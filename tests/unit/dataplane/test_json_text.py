"""Answers that were to be JSON: which are judged, and what of them is told."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from turnout.inference.v1 import chat_pb2

from services.dataplane.dialects.registry import dialect_of
from services.dataplane.engine import Call
from services.dataplane.exchange import ChatAnswer, Text
from services.dataplane.json_text import MAX_CHARS, JsonText
from services.dataplane.outcomes import Outcomes, message_of
from services.dataplane.record_form import record_of
from services.dataplane.sinks import metrics_sink
from services.dataplane.trail import Trail
from services.runtime.metrics import Metrics
from services.runtime.testing import FakeClock
from services.wire.google_facts import content_asks_json
from services.wire.needs import asks_json
from tests.support.asking import asked_headers, question
from tests.support.inprocess import KEY
from tests.support.matrix import ANSWERS, APIS, PROVIDERS
from tests.unit.dataplane.build import attempt, plan, trail
from tests.unit.dataplane.fakes import FakeTransport, provider, rig, stream, whole

GOOD, BAD = ('{"a": [1, ', '"b"]}'), ("Here you are: ", '{"a": 1}')
SCHEMA = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "string"}}}}
FORMS: dict[str, dict[str, Any]] = {
    "chat.completions": {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}},
    "openrouter.chat.completions": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    },
    "responses": {"text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}}},
    "messages": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    "generateContent": {
        "generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA},
    },
}


def call(api: str, *, streams: bool, asks: bool = True) -> Call:
    if api == "typed":
        request = chat_pb2.ChatRequest(model="p/m")
        request.messages.add(role="user").parts.add(text="x")
        if asks:
            request.response_format.type = "json_schema"
            request.response_format.schema.update(SCHEMA)
        headers = {"x-turnout-stream": "true"} if streams else {}
        return Call(request.SerializeToString(), {"authorization": f"Bearer {KEY}", **headers})
    body = question(api, stream=streams) | (FORMS[api] if asks else {})
    return Call(json.dumps(body).encode(), {"authorization": f"Bearer {KEY}", **asked_headers(api, stream=streams)})


async def asked(api: str, wire: str, texts: tuple[str, ...], *, streams: bool, asks: bool = True) -> Trail:
    """The trail of a request that `wire` answers with `texts`."""
    answer, events = ANSWERS[wire]
    told = stream(*events(*texts)) if streams else whole(answer("".join(texts)))
    if wire == "bedrock" and streams:
        told.headers = {"content-type": "application/vnd.amazon.eventstream"}
    # A provider that speaks several APIs is called by the caller's own, unless its model says otherwise.
    models = [{"kind": "Model", "name": "p/m", "api": "responses"}] if wire == "responses" else []
    found = rig(FakeTransport(p=[told]), provider("p", PROVIDERS[wire][0]), *models)
    return await _ended(found, api, call(api, streams=streams, asks=asks), streams=streams)


async def _ended(found: Any, api: str, request: Call, *, streams: bool) -> Trail:
    dialect = dialect_of(api)
    if streams:
        async with aclosing(found.engine.stream(dialect, request)) as replies:
            statuses = [r.status async for r in replies]
        assert statuses[0] == 200
    else:
        reply = await found.engine.whole(dialect, request)
        assert reply.status == 200, reply.data
    (ended,) = found.trails
    return ended


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("wire", PROVIDERS)
@pytest.mark.parametrize("api", APIS)
async def test_whether_an_answer_is_json_is_known_for_every_api_and_provider(
    api: str, wire: str, *, streams: bool
) -> None:
    assert (await asked(api, wire, GOOD, streams=streams)).invalid_json is False
    assert (await asked(api, wire, BAD, streams=streams)).invalid_json is True
    assert (await asked(api, wire, BAD, streams=streams, asks=False)).invalid_json is None


@pytest.mark.parametrize("streams", [False, True])
async def test_an_answer_that_was_cut_or_that_calls_a_tool_is_not_judged(*, streams: bool) -> None:
    answer, events = ANSWERS["openai"]
    for finish in ("length", "tool_calls", "content_filter"):
        body = json.dumps(answer("".join(BAD))).replace('"stop"', f'"{finish}"')
        frames = [frame.replace(b'"stop"', f'"{finish}"'.encode()) for frame in events(*BAD)]
        told = stream(*frames) if streams else whole(msgspec.Raw(body.encode()))
        found = rig(FakeTransport(p=[told]), provider("p", "openai_compatible"))
        ended = await _ended(found, "chat.completions", call("chat.completions", streams=streams), streams=streams)
        assert (ended.finish_reason, ended.invalid_json) == (finish, None)


async def test_a_refusal_that_stops_as_an_answer_does_is_not_judged() -> None:
    body = ANSWERS["openai"][0]("")
    body["choices"][0]["message"] |= {"content": None, "refusal": "I cannot do that."}
    found = rig(FakeTransport(p=[whole(body)]), provider("p", "openai_compatible"))
    ended = await _ended(found, "chat.completions", call("chat.completions", streams=False), streams=False)
    assert (ended.outcome, ended.invalid_json) == ("ok", None)


CHAT, GOOGLE, RESPONSES = "chat.completions", "generateContent", "responses"
SEVERAL = [
    ((GOOD, GOOD), ("stop", "stop"), False),
    ((GOOD, BAD), ("stop", "stop"), True),
    ((BAD, GOOD), ("stop", "stop"), True),
    ((GOOD, BAD), ("stop", "length"), None),
    ((BAD, GOOD), ("stop", "length"), True),
    ((GOOD, ()), ("stop", "stop"), None),
]
"""Texts of two answers to one request, why each ended, and whether one of them is no JSON."""


def choices(texts: tuple[tuple[str, ...], ...], finishes: tuple[str, ...], *, streams: bool) -> Any:
    """What OpenAI answers with several choices, whose pieces come in turns."""
    head = {"id": "c-1", "object": "chat.completion", "created": 1, "model": "m"}
    if not streams:
        made = [
            {"index": n, "message": {"role": "assistant", "content": "".join(text)}, "finish_reason": finish}
            for n, (text, finish) in enumerate(zip(texts, finishes, strict=True))
        ]
        return whole({**head, "choices": made, "usage": {"prompt_tokens": 1, "completion_tokens": 9}})
    deltas = [(n, {"content": text[at]}, None) for at in range(2) for n, text in enumerate(texts) if text]
    deltas += [(n, {}, finish) for n, finish in enumerate(finishes)]
    made = [{**head, "choices": [{"index": n, "delta": d, "finish_reason": f}]} for n, d, f in deltas]
    return stream(*(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in made), b"data: [DONE]\n\n")


def candidates(texts: tuple[tuple[str, ...], ...], finishes: tuple[str, ...], *, streams: bool) -> Any:
    """What Google answers with several candidates."""
    words = {"stop": "STOP", "length": "MAX_TOKENS"}

    def one(n: int, text: str, finish: str) -> dict[str, Any]:
        end = {"finishReason": words[finish]} if finish else {}
        return {"content": {"role": "model", "parts": [{"text": text}] if text else []}, "index": n, **end}

    rows = list(enumerate(zip(texts, finishes, strict=True)))
    if not streams:
        return whole({"candidates": [one(n, "".join(text), finish) for n, (text, finish) in rows]})
    chunks = [one(n, text[at] if text else "", finish if at else "") for at in range(2) for n, (text, finish) in rows]
    return stream(*(b"data: " + json.dumps({"candidates": [c]}).encode() + b"\r\n\r\n" for c in chunks))


def messages(texts: tuple[tuple[str, ...], ...], *, streams: bool) -> Any:
    """A response of several messages."""
    items = [
        {
            "type": "message",
            "id": f"m{n}",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "".join(t)}],
        }
        for n, t in enumerate(texts)
    ]
    response = {"id": "r-1", "object": "response", "created_at": 1, "model": "m", "status": "completed"}
    if not streams:
        return whole({**response, "output": [{"type": "reasoning", "id": "x", "summary": []}, *items]})
    events: list[dict[str, Any]] = [{"type": "response.created", "response": {**response, "status": "in_progress"}}]
    for n, text in enumerate(texts):
        events.append({"type": "response.output_item.added", "output_index": n, "item": {**items[n], "content": []}})
        where = {"output_index": n, "item_id": f"m{n}", "content_index": 0}
        events += [{"type": "response.output_text.delta", **where, "delta": piece} for piece in text]
        events.append({"type": "response.output_item.done", "output_index": n, "item": items[n]})
    events.append({"type": "response.completed", "response": {**response, "output": items}})
    return stream(*(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events))


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(("texts", "finishes", "invalid"), SEVERAL)
@pytest.mark.parametrize("api", [CHAT, GOOGLE])
async def test_several_answers_are_json_only_if_each_is(
    api: str, texts: Any, finishes: Any, invalid: bool | None, *, streams: bool
) -> None:
    made, kind = (choices, "openai") if api == CHAT else (candidates, "google")
    found = rig(FakeTransport(p=[made(texts, finishes, streams=streams)]), provider("p", kind))
    asked = call(api, streams=streams)
    body = json.loads(asked.body)
    if api == CHAT:
        body["n"] = 2
    else:
        body["generationConfig"]["candidateCount"] = 2
    ended = await _ended(found, api, Call(json.dumps(body).encode(), asked.headers), streams=streams)
    assert (ended.outcome, ended.invalid_json) == ("ok", invalid)


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("texts", "invalid"),
    [((GOOD,), False), ((GOOD, GOOD), False), ((GOOD, BAD), True), ((BAD, GOOD), True)],
)
async def test_a_response_of_several_messages_is_json_only_if_each_is(
    texts: Any, invalid: bool, *, streams: bool
) -> None:
    told = messages(texts, streams=streams)
    found = rig(FakeTransport(p=[told]), provider("p", "openai"))
    ended = await _ended(found, RESPONSES, call(RESPONSES, streams=streams), streams=streams)
    assert (ended.outcome, ended.invalid_json) == ("ok", invalid)


@pytest.mark.parametrize(
    "text", ["", "{", "{}{}", "```json\n{}\n```", "{'a': 1}", '{"a": 1,}', '{"a": NaN}', "Sure! {}", '{"a": "\ud800"}']
)
def test_what_no_strict_parser_takes_is_no_json(text: str) -> None:
    kept = JsonText()
    kept.add(text)
    assert kept.is_invalid("stop") is (True if text else None)


@pytest.mark.parametrize("text", ["{}", " \n[1, 2]\n", '"a"', "null", "1e9", '{"a": {"b": ["\\u00e9", -0.5]}}'])
def test_what_a_strict_parser_takes_is_json_however_it_is_cut(text: str) -> None:
    kept = JsonText()
    for character in text:
        kept.add(character)
    assert kept.is_invalid("stop") is False


def test_a_text_that_is_too_long_is_let_go_of_and_not_judged() -> None:
    kept = JsonText()
    kept.add("x" * MAX_CHARS)
    assert kept.is_invalid("stop") is True
    kept.add("x")
    assert kept._texts == {}
    kept.add("x")
    assert (kept._texts, kept.is_invalid("stop")) == ({}, None)


def test_what_is_nested_deeper_than_can_be_read_is_not_judged() -> None:
    kept = JsonText()
    kept.add("[" * 100_000)
    assert kept.is_invalid("stop") is None


def test_a_refusals_text_is_not_kept() -> None:
    kept = JsonText()
    kept.add_answer(ChatAnswer("id", (Text("no"),), "content_filter"))
    assert kept.is_invalid("stop") is None


def members(body: Any) -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(json.dumps(body), type=dict[str, msgspec.Raw])


@pytest.mark.parametrize(
    ("form", "asks"),
    [
        ({"type": "json_object"}, True),
        ({"type": "json_schema", "json_schema": {}}, True),
        ({"type": "text"}, False),
        (None, False),
    ],
)
def test_a_request_asks_for_json_by_its_format(form: Any, *, asks: bool) -> None:
    assert asks_json(members({"response_format": form})) is asks
    assert asks_json(members({"text": {"verbosity": "low", "format": form}}), "text") is asks
    assert asks_json(members({"messages": [{"content": '{"type": "json_object"}'}]})) is False


@pytest.mark.parametrize("config", ["generationConfig", "generation_config"])
@pytest.mark.parametrize("name", ["responseMimeType", "response_mime_type"])
def test_a_request_of_googles_asks_for_json_by_the_media_type_in_any_spelling(name: str, config: str) -> None:
    assert content_asks_json(members({config: {name: "application/json"}}))
    escaped = b'{"%b": {"%b": "application\\/json"}}' % (config.encode(), name.encode())
    assert content_asks_json(msgspec.json.decode(escaped, type=dict[str, msgspec.Raw]))
    assert not content_asks_json(members({config: {name: "text/x.enum"}}))
    assert not content_asks_json(members({"contents": [{name: "application/json"}]}))


@pytest.mark.parametrize("invalid", [None, False, True])
def test_records_outcomes_and_metrics_say_it_and_unset_stays_unset(*, invalid: bool | None) -> None:
    decided = plan(router_id="r", route_id="d", variant_id="v", exposed=True, unit="u")
    ended = trail(plan=decided, attempts=[attempt(success=True)], outcome="ok", provider="p", invalid_json=invalid)
    outcomes, metrics = Outcomes("w", ("127.0.0.1:1",), FakeClock()), Metrics(CollectorRegistry())
    outcomes.sink(ended)
    metrics_sink(metrics)(ended)
    for told in (record_of(ended, "w"), message_of(outcomes._waiting[-1])):
        assert (told.invalid_json if told.HasField("invalid_json") else None) is invalid
    counted = {
        result: metrics.registry.get_sample_value(
            "turnout_json_answers_total", {"router": "r", "provider": "p", "result": result}
        )
        for result in ("valid", "invalid")
    }
    assert counted == {"valid": 1.0 if invalid is False else None, "invalid": 1.0 if invalid else None}
