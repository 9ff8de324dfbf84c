"""What of the exchange model reaches Cohere, and in which words; what does not is told or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.core.errors import Failure, FailureKind
from services.core.policy.documents import Prices
from services.core.policy.snapshot import CompiledProvider, Target
from services.core.pricing import TokenUsage, cost
from services.dataplane.exchange import (
    Audio,
    ChatAnswer,
    ChatRequest,
    Failed,
    File,
    Image,
    Message,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolCallStarted,
    ToolResult,
    Video,
)
from services.dataplane.providers.registry import codec_of
from services.dataplane.translation import Untranslatable
from tests.golden.translation.cohere_types import check_cohere

CODEC = codec_of("cohere")
TOOL = Tool("weather", parameters={"type": "object", "properties": {}})


def user(*parts: Part) -> Message:
    return Message("user", parts or (Text("Hi"),))


def encoded(*messages: Message, model: str = "command-a-03-2025", **more: Any) -> tuple[dict[str, Any], list[str]]:
    target = Target("co/x", CompiledProvider("co", "cohere", "https://api.cohere.com/v2"), model)
    data, dropped = CODEC.encode(ChatRequest(messages or (user(),), **more), target)
    body = json.loads(data)
    check_cohere(body)
    return body, dropped


def test_the_request_goes_to_the_chat_of_v2_with_the_key_as_a_bearer() -> None:
    target = Target("co/x", CompiledProvider("co", "cohere", "https://api.cohere.com/v2", headers={"X-Team": "a"}), "m")
    sent = CODEC.request(target, "key", b"{}", {"x-title": "t"}, stream=True)
    assert sent.url == "https://api.cohere.com/v2/chat"
    assert sent.headers["authorization"] == "Bearer key"
    assert (sent.headers["accept"], sent.headers["x-team"]) == ("text/event-stream", "a")
    assert "authorization" not in CODEC.request(target, "", b"{}", {}, stream=False).headers


def test_documents_of_all_messages_are_numbered_and_stand_apart() -> None:
    files = File(text="One", name="a.txt"), File(data="VHdv", media_type="text/plain; charset=utf-8", context="why")
    body, dropped = encoded(user(files[0], Text("Hi")), Message("assistant", (Text("Yes?"),)), user(files[1]))
    assert body["documents"] == [
        {"id": "doc:0", "data": {"title": "a.txt", "text": "One"}},
        {"id": "doc:1", "data": {"context": "why", "text": "Two"}},
    ]
    assert [m["content"] for m in body["messages"]] == ["Hi", "Yes?", "Here are the documents."]
    assert dropped == []


@pytest.mark.parametrize(
    "part",
    [
        File(data="JVBERi0=", media_type="application/pdf"),
        File(url="https://example.com/a.txt"),
        File(file_id="file-1"),
        File(data="/w==", media_type="text/plain"),
        File(data="no base64!", media_type="text/plain"),
        Audio(data="AAAA", format="wav"),
        Video(url="https://example.com/a.mp4"),
        ToolResult("c", (Audio(data="AAAA"),)),
    ],
)
def test_what_is_no_text_and_no_picture_is_refused(part: Part) -> None:
    with pytest.raises(Untranslatable):
        encoded(user(Text("See"), part))


def test_results_of_tools_hold_text_and_documents_and_their_pictures_follow() -> None:
    result = ToolResult(
        "c1", (Text("12"), Image(url="https://example.com/a.png"), File(text="Long", name="a.txt")), is_error=True
    )
    body, _ = encoded(user(), Message("assistant", (ToolCall("c1", "weather", "{}"),)), user(result), tools=(TOOL,))
    assert body["messages"][2:] == [
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [
                {"type": "text", "text": "Error: 12"},
                {"type": "document", "document": {"data": {"title": "a.txt", "text": "Long"}}},
            ],
        },
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]},
    ]


def test_reasoning_before_calls_is_the_plan_and_other_reasoning_is_dropped_with_a_word() -> None:
    call = ToolCall("c1", "weather", "{}")
    body, dropped = encoded(user(), Message("assistant", (Thinking("I look."), call)), user(ToolResult("c1", ())))
    assert body["messages"][1]["tool_plan"] == "I look."
    assert dropped == []
    for lost in (
        Message("assistant", (Thinking("Hm."), Text("Yes"))),
        Message("assistant", (Thinking(redacted="x"), call)),
    ):
        body, dropped = encoded(user(), lost, user())
        assert "tool_plan" not in body["messages"][1]
        assert [line[:35] for line in dropped] == ["reasoning of earlier turns was drop"]


@pytest.mark.parametrize(
    ("choice", "names", "told"),
    [
        ("", ["weather", "time"], None),
        ("auto", ["weather", "time"], None),
        ("none", ["weather", "time"], "NONE"),
        ("required", ["weather", "time"], "REQUIRED"),
        ("tool:time", ["time"], "REQUIRED"),
    ],
)
def test_a_named_tool_is_forced_by_offering_no_other(choice: str, names: list[str], told: str | None) -> None:
    body, _ = encoded(tools=(TOOL, Tool("time")), tool_choice=choice)
    assert ([t["function"]["name"] for t in body["tools"]], body.get("tool_choice")) == (names, told)


def test_strictness_is_for_all_tools_or_none() -> None:
    body, dropped = encoded(tools=(Tool("a", strict=True), Tool("b", strict=True)))
    assert (body["strict_tools"], dropped) == (True, [])
    body, dropped = encoded(tools=(Tool("a", strict=True), Tool("b")))
    assert "strict_tools" not in body
    assert dropped == ["strict was dropped: Cohere takes it for all tools or none"]


@pytest.mark.parametrize(
    "more",
    [
        {"response_format": {"type": "json_object"}, "tools": (TOOL,)},
        {"response_format": {"type": "grammar"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
        {"logit_bias": {"1": 2.0}},
        {"top_logprobs": 2, "logprobs": True},
        {"web_search": {}},
        {"modalities": ("text", "image")},
        {"stop": tuple("abcdef")},
        {"tools": (TOOL,), "tool_choice": "tool:odd"},
    ],
)
def test_demands_that_cohere_cannot_meet_are_refused(more: dict[str, Any]) -> None:
    with pytest.raises(Untranslatable):
        encoded(**more)


def test_sampling_is_kept_within_what_cohere_takes() -> None:
    body, dropped = encoded(top_p=0.0, top_k=900, frequency_penalty=2, presence_penalty=-1, seed=7, logprobs=True)
    assert {n: body[n] for n in ("p", "k", "frequency_penalty", "presence_penalty", "seed", "logprobs")} == {
        "p": 0.01, "k": 500, "frequency_penalty": 1, "presence_penalty": 0, "seed": 7, "logprobs": True,
    }  # fmt: skip
    assert len(dropped) == 4
    assert encoded(top_p=1.0) == encoded()


def test_what_has_no_field_is_dropped_with_a_word_each() -> None:
    lost = {
        "verbosity": "low",
        "min_p": 0.1,
        "service_tier": "flex",
        "cache_key": "k",
        "metadata": {"a": "b"},
        "user": "u",
    }
    _, dropped = encoded(**lost)
    assert [line.split()[0] for line in dropped] == list(lost)


@pytest.mark.parametrize(
    ("model", "wish", "told"),
    [
        ("command-a-reasoning-08-2025", {"reasoning_effort": "low"}, {"type": "enabled", "token_budget": 2048}),
        ("command-a-reasoning-08-2025", {"reasoning_effort": "xhigh"}, {"type": "enabled"}),
        ("command-a-plus-05-2026", {"reasoning_budget": 500}, {"type": "enabled", "token_budget": 500}),
        ("command-a-reasoning-08-2025", {"reasoning_budget": 0}, {"type": "disabled"}),
        ("command-a-reasoning-08-2025", {}, None),
        ("command-a-03-2025", {"reasoning_effort": "none"}, None),
        ("command-a-03-2025", {"reasoning_effort": "high"}, None),
    ],
)
def test_reasoning_is_asked_of_models_that_do(model: str, wish: dict[str, Any], told: Any) -> None:
    body, dropped = encoded(model=model, **wish)
    assert body.get("thinking") == told
    assert bool(dropped) == (model == "command-a-03-2025" and wish == {"reasoning_effort": "high"})


def test_what_is_billed_is_paid_and_what_was_read_and_written_is_told() -> None:
    usage = {
        "billed_units": {"input_tokens": 181, "output_tokens": 34},
        "tokens": {"input_tokens": 1698, "output_tokens": 66},
        "cached_tokens": 112,
    }
    message = {"role": "assistant", "content": [{"type": "text", "text": "Hi"}]}
    answer = CODEC.decode(
        json.dumps({"id": "c", "message": message, "finish_reason": "COMPLETE", "usage": usage}).encode()
    )
    assert isinstance(answer, ChatAnswer)
    assert answer.usage == TokenUsage(1698, 66, cache_read_tokens=112, billed=(181, 34))
    assert cost(Prices(2.5, 10.0), answer.usage) == pytest.approx((181 * 2.5 + 34 * 10) / 1e6)


@pytest.mark.parametrize("calls", ["", 0, [""], [None], False])
def test_what_is_no_call_is_not_counted_as_one(calls: Any) -> None:
    message = {"role": "assistant", "content": [{"type": "text", "text": "Hi"}], "tool_calls": calls}
    answer = CODEC.decode(json.dumps({"id": "c", "message": message}).encode())
    assert isinstance(answer, ChatAnswer)
    assert (answer.parts, answer.finish_reason) == ((Text("Hi"),), "stop")


ODD_CALLS = [
    5,
    "odd",
    ["odd"],
    {"id": "c"},
    {"id": "c", "function": "odd"},
    {"id": "c", "function": {"name": ["odd"]}},
    {"id": "c", "function": {"name": "f", "arguments": {"a": 1}}},
]


@pytest.mark.parametrize("call", ODD_CALLS)
def test_a_call_that_nobody_can_act_on_is_a_bad_response(call: Any) -> None:
    message = {"role": "assistant", "content": [{"type": "text", "text": "Hi"}], "tool_calls": [call]}
    answer = CODEC.decode(json.dumps({"id": "c", "message": message}).encode())
    assert isinstance(answer, Failure)
    assert answer.kind is FailureKind.BAD_RESPONSE


def streamed(*events: dict[str, Any]) -> list[Any]:
    decoder = CODEC.decoder()
    made = [*decoder.feed(b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events))]
    return [*made, *decoder.end()]


def start(call: Any) -> dict[str, Any]:
    return {"type": "tool-call-start", "index": 0, "delta": {"message": {"tool_calls": call}}}


@pytest.mark.parametrize("call", [None, *ODD_CALLS])
def test_a_call_that_begins_as_none_is_a_bad_response_and_no_call(call: Any) -> None:
    (event,) = streamed(start(call), {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}})
    assert isinstance(event, Failed)
    assert event.failure.kind is FailureKind.BAD_RESPONSE


@pytest.mark.parametrize("piece", [5, "odd", ["odd"], {"function": "odd"}, {"function": {"arguments": {"a": 1}}}])
def test_arguments_that_are_no_text_are_a_bad_response(piece: Any) -> None:
    began = start({"id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}})
    more = {"type": "tool-call-delta", "index": 0, "delta": {"message": {"tool_calls": piece}}}
    *before, last = streamed(began, more, {"type": "tool-call-end", "index": 0})
    assert before == [ToolCallStarted(0, "c1", "f")]
    assert isinstance(last, Failed)
    assert last.failure.kind is FailureKind.BAD_RESPONSE
