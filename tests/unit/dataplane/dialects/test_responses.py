"""The Responses API: bytes that stay, callers' mistakes, hostile answers, and streams that go on behind others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.core.attempts.effects import Kind
from services.core.errors import FailureKind, InvalidRequest
from services.core.policy.rules import RetryRule
from services.core.policy.snapshot import CompiledProvider, Target
from services.core.routing.plan import Candidate, Plan
from services.dataplane.dialects.registry import dialect_of
from services.dataplane.exchange import ChatRequest, Message, Text, Thinking, ToolCall
from services.dataplane.mending import may_be_mended
from services.dataplane.providers.responses import ResponsesCodec
from services.dataplane.providers.responses_stream import ResponsesStreamDecoder
from services.dataplane.translation import Emitted, Evidence, LeaningRequest, Progress, Translation, Untranslatable
from tests.support.asking import question
from tests.support.streams import read_responses
from tests.support.upstream import openai_events, responses_answer, responses_events
from tests.unit.dataplane.build import candidate
from tests.unit.dataplane.dialects.scan import members
from tests.unit.dataplane.dialects.test_hostile_bodies import TEXTS, VALUES, object_of

EVIDENCE = Evidence({"attempts": []}, 0.125, "openai/gpt-5", "g")
OWN = candidate("openai/gpt-4.1", "openai")
CHAT = candidate("chat/llama-3", "openai_compatible")
CLAUDE = candidate("claude/claude-sonnet-4-5", "anthropic")


def called(kind: str = "openai") -> Candidate:
    """A model that policy says is called by the Responses API."""
    return Candidate(Target("p/m", CompiledProvider("p", kind, "http://127.0.0.1:1"), "m", api="responses"), OWN.clocks)


def read(body: dict[str, Any] | bytes, **headers: str) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return dialect_of("responses").read(data, headers)


def asked(target: Candidate = OWN, *, stream: bool = False, api: str = "responses", **more: Any) -> Translation:
    body = json.dumps(question(api, stream=stream, **more)).encode()
    return dialect_of(api).read(body, {}).translate(target)


# Bytes


ODD = (
    b'{\n "unknown" : { "b":1 ,"a":2 },"model":"openai/gpt-4.1" ,"temperature":0.10, "models":["x/y"],\t'
    b'"input":[ {"content" :\t"caf\\u00e9 \\ud83d\\ude42" , "role":"user"}, {"role":"user","content":"\xc3\xa9"} ]'
    b',"tools":[{"z":1,"type":"function","a":1.50e+3,"n":123456789012345678901234567890}], "metadata" : {"t" :"x"},'
    b' "extra_body": {"metadata":{"a":1}},"session_id":"s","provider":{} }\n'
)
OURS = {"models", "extra_body", "session_id", "provider"}


def test_a_request_keeps_every_byte_of_what_is_not_ours() -> None:
    sent = members(read(ODD).translate(OWN).request("key").body)
    wanted = [(name, value) for name, value in members(ODD) if name not in OURS]
    assert [name for name, _ in sent] == [name for name, _ in wanted]
    assert dict(sent) == {**dict(wanted), "model": b'"gpt-4.1"'}


def test_an_answer_keeps_every_byte_but_model_cost_and_evidence() -> None:
    wire = json.dumps(responses_answer(metadata={"t": "x"}), indent=1).encode().replace(b"Hello there", b"caf\\u00e9")
    found = asked()
    assert found.answer(wire) is None
    before, after = members(wire), members(found.render(EVIDENCE))
    assert [name for name, _ in after] == [*(name for name, _ in before), "turnout_metadata"]
    assert {name for name, value in before if dict(after)[name] != value} == {"model", "usage"}
    assert json.loads(dict(after)["usage"])["cost"] == 0.125


def test_a_streams_events_keep_every_byte_but_the_first_and_the_last() -> None:
    events = responses_events("caf\u00e9", "\U0001f642")
    found, out = asked(stream=True), b""
    for event in events:
        progress = found.feed(event)
        assert progress.failure is None
        out += progress.frames
    out += found.closing(EVIDENCE)
    shown = [block + b"\n\n" for block in out.split(b"\n\n")[:-1]]
    assert shown[2:-1] == events[2:-1]
    for ours, theirs in zip((*shown[:2], shown[-1]), (*events[:2], events[-1]), strict=True):
        got, was = (json.loads(e.split(b"data: ")[1]) for e in (ours, theirs))
        response = {**got["response"], "model": "m"}
        response.pop("turnout_metadata", None)
        if response["usage"]:
            response["usage"].pop("cost")
        assert {**got, "response": response} == was
    assert read_responses(out.decode()).whole


# Callers


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": 7}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"input": [{"type": ["message"], "role": "user"}]}, "input[0].type"),
        ({"input": [{"type": {}, "role": "user"}]}, "input[0].type"),
        (
            {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": ["f"]}]}},
            "tool_choice.tools[0].name",
        ),
        ({"input": [{"role": "wizard"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": 3}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": ["x"]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:x,y"}]}]},
            "input[0].content[0].image_url",
        ),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0]"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_data": "data:x"}]}]},
            "input[0].content[0].file_data",
        ),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, "input[0].name"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": {}}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"instructions": ["x"]}, "instructions"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "parameters": []}]}, "tools[0].parameters"),
        ({"tool_choice": 7}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice"),
        ({"text": "x"}, "text"),
        ({"text": {"format": "json"}}, "text.format"),
        ({"text": {"verbosity": 3}}, "text.verbosity"),
        ({"reasoning": "high"}, "reasoning"),
        ({"reasoning": {"effort": 3}}, "reasoning.effort"),
        ({"include": "x"}, "include"),
        ({"max_output_tokens": "9"}, "max_output_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"stream": "yes"}, "stream"),
        ({"metadata": "x"}, "metadata"),
        ({"model": 7}, "model"),
    ],
)
def test_a_malformed_request_is_the_callers_fault_by_its_field(change: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        read({**question("responses"), **change}).translate(CLAUDE).request("key")
    assert raised.value.param == param


ITEM = object_of(
    type=st.sampled_from(
        ["message", "function_call", "function_call_output", "reasoning", "item_reference", "web_search_call", "odd"]
    ),
    role=st.sampled_from(["user", "assistant", "system", "odd"]),
    content=st.lists(object_of(type=st.sampled_from(["input_text", "refusal", "input_image", "odd"]), text=TEXTS)),
    call_id=TEXTS,
    id=TEXTS,
    name=TEXTS,
    arguments=TEXTS,
    output=VALUES,
    summary=VALUES,
    encrypted_content=TEXTS,
)


@settings(max_examples=200)
@given(object_of(input=st.lists(ITEM, max_size=3), tools=VALUES, text=VALUES, reasoning=VALUES, tool_choice=VALUES))
def test_no_request_whatever_crashes(body: Any) -> None:
    body = body if isinstance(body, dict) else {"input": body}
    for target in (OWN, CHAT, CLAUDE, called()):
        try:
            request = read({"model": "m", **body})
            request.condition_messages()
            request.mendable()
            json.loads(request.translate(target).request("key").body)
        except (InvalidRequest, Untranslatable):
            continue


@pytest.mark.parametrize(
    ("body", "headers", "unit"),
    [
        ({"user": "u", "safety_identifier": "s"}, {}, "u"),
        ({"safety_identifier": "s", "prompt_cache_key": "k"}, {}, "s"),
        ({"conversation": {"id": "c"}, "prompt_cache_key": "k"}, {}, "c"),
        ({"prompt_cache_key": "k"}, {}, "k"),
        ({"prompt_cache_key": "k"}, {"x-session-id": "h"}, "h"),
        ({"session_id": "b"}, {"x-session-id": "h"}, "b"),
        ({}, {}, ""),
    ],
)
def test_the_sticky_unit_is_the_most_telling_name(body: dict[str, Any], headers: dict[str, str], unit: str) -> None:
    assert read({**question("responses"), **body}).context.user in {unit, ""} or headers
    data = json.dumps({**question("responses"), **body}).encode()
    assert dialect_of("responses").read(data, headers).context.user == unit


def test_conditions_see_instructions_items_and_results() -> None:
    body = {
        "model": "m",
        "instructions": "Be brief.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "noon"},
        ],
    }
    told = [(m["role"], m["content"]) for m in read(body).condition_messages()]
    assert told == [("system", "Be brief."), ("user", "Hi"), ("assistant", ""), ("tool", "noon")]
    assert read({"model": "m", "input": "Hi"}).condition_messages() == ({"role": "user", "content": "Hi"},)


def test_state_leads_to_the_first_provider_of_the_plan_only() -> None:
    leaning, free = read({**question("responses"), "previous_response_id": "resp_1"}), read(question("responses"))
    spare = candidate("spare/gpt-4.1", "openai")
    for request in (leaning, free):
        assert isinstance(request, LeaningRequest)
        request.keep_to(Plan((CLAUDE, OWN, spare), RetryRule(), "v", 1, 0))
    with pytest.raises(Untranslatable, match="previous_response_id"):
        leaning.translate(CLAUDE)
    # Whichever is tried first: the one that keeps it may be set aside.
    with pytest.raises(Untranslatable, match="'openai'"):
        leaning.translate(spare)
    assert leaning.translate(OWN)
    assert leaning.translate(candidate("openai/gpt-5", "openai"))
    # Without state any of them will do.
    assert free.translate(spare)
    assert free.translate(OWN)


# Providers


def encoded(request: ChatRequest, kind: str = "openai", model: str = "gpt-5") -> dict[str, Any]:
    target = Target("p/m", CompiledProvider("p", kind, "http://127.0.0.1:1"), model)
    body: dict[str, Any] = json.loads(ResponsesCodec().encode(request, target)[0])
    return body


def test_reasoning_goes_back_only_to_who_can_read_it() -> None:
    turns = (
        Message("user", (Text("Hi"),)),
        Message("assistant", (Thinking("a", "gAAAA", vendor="openai", id="rs_1"), Text("4"))),
        Message("assistant", (Thinking("b", "xyz", vendor="responses"), ToolCall("c", "f", "{}"))),
        Message("assistant", (Thinking("c", "sig", vendor="anthropic"),)),
    )
    sent = {kind: encoded(ChatRequest(turns), kind)["input"] for kind in ("openai", "openai_compatible")}
    proofs = {k: [i["encrypted_content"] for i in items if i["type"] == "reasoning"] for k, items in sent.items()}
    assert proofs == {"openai": ["gAAAA"], "openai_compatible": ["xyz"]}
    assert [item["type"] for item in sent["openai"]] == ["message", "reasoning", "message", "function_call"]


@pytest.mark.parametrize(
    ("model", "wish", "include"),
    [
        ("gpt-5", "", True),
        ("o4-mini", "", True),
        ("gpt-4.1", "", False),
        ("gpt-5-chat-latest", "", False),
        ("gpt-4.1", "low", False),
    ],
)
def test_encrypted_reasoning_is_asked_of_models_that_reason(model: str, wish: str, *, include: bool) -> None:
    request = ChatRequest((Message("user", (Text("Hi"),)),), reasoning_effort=wish)
    assert ("include" in encoded(request, model=model)) is include


def test_a_limit_below_what_the_api_takes_is_raised_and_told() -> None:
    request = ChatRequest((Message("user", (Text("Hi"),)),), max_tokens=5)
    target = Target("p/m", CompiledProvider("p", "openai", "http://127.0.0.1:1"), "gpt-5")
    body, dropped = ResponsesCodec().encode(request, target)
    assert json.loads(body)["max_output_tokens"] == 16
    assert any("raised to 16" in line for line in dropped)


PART = object_of(
    type=st.sampled_from(["output_text", "refusal", "odd"]),
    text=TEXTS,
    refusal=TEXTS,
    annotations=VALUES,
    logprobs=VALUES,
)
OUTPUT = object_of(
    type=st.sampled_from(["message", "reasoning", "function_call", "image_generation_call", "mcp_call", "odd"]),
    id=TEXTS,
    content=st.lists(PART, max_size=2),
    summary=VALUES,
    encrypted_content=TEXTS,
    call_id=TEXTS,
    name=TEXTS,
    arguments=TEXTS,
    result=TEXTS,
)
RESPONSE = object_of(
    id=TEXTS,
    status=st.sampled_from(["completed", "incomplete", "failed", "in_progress", "queued", "odd"]),
    error=VALUES,
    output=st.lists(OUTPUT, max_size=2),
    incomplete_details=object_of(reason=TEXTS),
    usage=object_of(input_tokens=st.integers(0, 9), output_tokens=st.integers(0, 9), cost=VALUES),
)
EVENT = object_of(
    type=st.sampled_from(
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.output_item.done",
            "response.content_part.added",
            "response.output_text.delta",
            "response.refusal.delta",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_part.added",
            "response.function_call_arguments.delta",
            "response.output_text.annotation.added",
            "response.completed",
            "response.incomplete",
            "response.failed",
            "error",
            "odd",
        ]
    ),
    response=RESPONSE,
    item=OUTPUT,
    output_index=st.integers(0, 2),
    item_id=TEXTS,
    delta=VALUES,
    annotation=VALUES,
    error=VALUES,
    sequence_number=st.integers(0, 9),
)


def run(translation: Translation, pieces: list[bytes]) -> tuple[bytes, bool, FailureKind | None]:
    out, progress = b"", Progress()
    for piece in pieces:
        progress = translation.feed(piece)
        out += progress.frames
        if progress.done or progress.failure is not None:
            break
    else:
        progress = translation.end()
        out += progress.frames
    return out, progress.done, progress.failure.kind if progress.failure is not None else None


@settings(max_examples=300)
@given(st.lists(EVENT, max_size=6), RESPONSE)
def test_no_answer_whatever_crashes(events: list[Any], response: Any) -> None:
    wire = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    for api in ("responses", "chat.completions", "messages"):
        whole = asked(called(), api=api)
        if whole.answer(json.dumps(response).encode()) is None:
            json.loads(whole.render(EVIDENCE))
        at_once, slowly = (asked(called(), api=api, stream=True) for _ in range(2))
        found = run(at_once, [wire])
        if api != "chat.completions":  # its chunks carry the time
            assert run(slowly, [wire[i : i + 7] for i in range(0, len(wire), 7)]) == found
        if found[1]:
            at_once.closing(EVIDENCE)


@given(st.binary(max_size=60))
def test_no_bytes_whatever_pass_for_an_answer(data: bytes) -> None:
    for api in ("responses", "chat.completions"):
        assert asked(called(), api=api).answer(data) is not None
        _, done, failure = run(asked(called(), api=api, stream=True), [data, b"data: " + data + b"\n\n"])
        assert not done
        assert failure is not None


def test_items_without_places_are_told_apart_by_their_ids() -> None:
    """llama.cpp gives neither `output_index` nor numbers."""
    items = [
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": ""},
        {"type": "function_call", "id": "fc_2", "call_id": "c2", "name": "g", "arguments": ""},
        {"type": "message", "id": "msg_1", "content": []},
    ]
    moves: list[dict[str, Any]] = []
    for item, told in zip(items, ("Hm.", '{"a":1}', "{}", "Hi"), strict=True):
        kind = {"reasoning": "reasoning_text", "message": "output_text"}.get(item["type"], "function_call_arguments")
        moves.append({"type": "response.output_item.added", "item": item})
        moves.append({"type": f"response.{kind}.delta", "item_id": item["id"], "delta": told})
        done = {**item, "arguments": told} if "name" in item else item
        moves.append({"type": "response.output_item.done", "item": done})
    moves.append({"type": "response.completed", "response": responses_answer(output=[])})
    wire = b"".join(b"data: " + json.dumps(move).encode() + b"\n\n" for move in moves)
    events = [type(event).__name__ for event in ResponsesStreamDecoder().feed(wire)]
    call = ["ToolCallStarted", "ToolCallDelta"]
    ending = ["Started", "UsageReported", "Finished", "Terminal"]
    assert events == ["ThinkingDelta", *call, *call, "TextDelta", *ending]


# Mending


@pytest.mark.parametrize("kind", [Kind.CONTINUE, Kind.RESUME])
@pytest.mark.parametrize("keep", range(5, 9))
@pytest.mark.parametrize("target", [OWN, CHAT], ids=["own", "chat"])
def test_another_answer_goes_on_in_the_item_that_is_open(kind: Kind, keep: int, target: Candidate) -> None:
    """Behind the first delta, and behind each of the events that end the text, its part, and the item."""
    request = read(question("responses", stream=True))
    first = request.translate(Candidate(OWN.target, OWN.clocks, keeps_text=True))
    shown = first.feed(b"".join(responses_events("Hello ")[:keep])).frames
    facts = first.facts
    emitted = Emitted("Hello ", facts.plain, facts.response_id, facts.created, seam=facts.seam)
    second = request.mend(target, kind, emitted)
    texts = ("there",) if kind is Kind.CONTINUE else ("Hello ", "there")
    wire = responses_events(*texts) if target is OWN else openai_events(*texts)
    progress = second.feed(b"".join(wire))
    assert progress.done
    found = read_responses((shown + progress.frames + second.closing(EVIDENCE)).decode())
    assert found.whole
    assert found.text == "Hello there"
    assert found.ids == {"resp_1"}


def test_what_is_more_than_plain_text_is_not_mended() -> None:
    assert may_be_mended(read(question("responses")))
    schema = {"format": {"type": "json_schema", "name": "a", "schema": {}}}
    for more in (
        {"text": schema},
        {"include": ["message.output_text.logprobs"]},
        {"previous_response_id": "resp_1"},
        {"tools": [{"type": "mcp"}]},
        {"tools": [{"type": "function", "name": "f"}], "tool_choice": "required"},
    ):
        assert not may_be_mended(read({**question("responses"), **more}))
