"""What simulated providers say is what the vendors' SDKs and our own codecs read."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import anthropic.types as anthropic_types
import openai.types.chat as openai_types
import pytest
from pydantic import TypeAdapter

from services.cli.simulated import anthropic_wire, openai_wire
from services.cli.simulated.script import Script, write_script
from services.core.errors import Failure, FailureKind
from services.dataplane.codec import ProviderCodec
from services.dataplane.exchange import (
    Finished,
    Terminal,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from services.dataplane.providers.anthropic import AnthropicCodec
from services.dataplane.providers.openai import OpenAiCodec

SAYS = Script("0a", "m-1", ("Hello", " you"), "", "", 7, 2)
CALLS = Script("0b", "m-1", (), "weather", '{"simulated": true}', 7, 12)
WIRES = [(openai_wire, OpenAiCodec()), (anthropic_wire, AnthropicCodec())]
BOTH = pytest.mark.parametrize(("wire", "codec"), WIRES, ids=["openai", "anthropic"])


@BOTH
@pytest.mark.parametrize("script", [SAYS, CALLS], ids=["text", "call"])
def test_a_whole_answer_reads_as_what_was_meant(wire: ModuleType, codec: ProviderCodec, script: Script) -> None:
    body = wire.whole(script)
    (openai_types.ChatCompletion if wire is openai_wire else anthropic_types.Message).model_validate(body)
    answer = codec.decode(json.dumps(body).encode())
    assert not isinstance(answer, Failure)
    (part,) = answer.parts
    if script is SAYS:
        assert part == Text("Hello you")
    else:
        assert isinstance(part, ToolCall)
        assert (part.name, json.loads(part.arguments)) == ("weather", {"simulated": True})


@BOTH
@pytest.mark.parametrize("script", [SAYS, CALLS], ids=["text", "call"])
def test_a_stream_reads_as_what_was_meant(wire: ModuleType, codec: ProviderCodec, script: Script) -> None:
    frames = list(wire.chunks(script, {"stream_options": {"include_usage": True}}))
    for frame, _ in frames:
        _check_frame(wire, frame)
    decoder = codec.decoder()
    events = list(decoder.feed(b"".join(frame for frame, _ in frames)))
    assert isinstance(events[-1], Terminal)
    (finished,) = [e for e in events if isinstance(e, Finished)]
    usage = [e.usage for e in events if isinstance(e, UsageReported)][-1]
    assert (usage.input_tokens, usage.output_tokens) == (7, script.output_tokens)
    shown = sum(content for _, content in frames)
    if script is SAYS:
        assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "Hello you"
        assert (finished.reason, shown) == ("stop", 2)
    else:
        assert [e.name for e in events if isinstance(e, ToolCallStarted)] == ["weather"]
        assert "".join(e.arguments for e in events if isinstance(e, ToolCallDelta)) == script.arguments
        assert (finished.reason, shown) == ("tool_calls", 2)


def _check_frame(wire: ModuleType, frame: bytes) -> None:
    data = frame.decode().split("data: ")[1].strip()
    if data == "[DONE]":
        return
    value = json.loads(data)
    if wire is openai_wire:
        openai_types.ChatCompletionChunk.model_validate(value)
    elif value["type"] != "ping":
        adapter: TypeAdapter[Any] = TypeAdapter(anthropic_types.RawMessageStreamEvent)
        adapter.validate_python(value)


def test_a_stream_has_usage_only_for_callers_that_want_it() -> None:
    frames = b"".join(frame for frame, _ in openai_wire.chunks(SAYS, {}))
    assert b'"usage"' not in frames


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FailureKind.INVALID_REQUEST),
        (401, FailureKind.CREDENTIALS_REJECTED),
        (404, FailureKind.MODEL_MISSING),
        (429, FailureKind.RATE_LIMITED),
        (500, FailureKind.SERVER_ERROR),
        (529, FailureKind.OVERLOADED),
    ],
)
@BOTH
def test_an_error_means_what_its_status_says(
    wire: ModuleType, codec: ProviderCodec, status: int, kind: FailureKind
) -> None:
    failure = codec.classify(status, {}, json.dumps(wire.error_body(status, "sim")).encode())
    assert failure.kind is kind
    assert b"simulated fault of sim" in failure.body


TOOLS = [
    {"type": "function", "function": {"name": "first"}},
    {"name": "second", "input_schema": {}},
]


@pytest.mark.parametrize(
    ("choice", "tool"),
    [
        (None, ""),
        ("auto", ""),
        ("none", ""),
        ("required", "first"),
        ({"type": "any"}, "first"),
        ({"type": "auto"}, ""),
        ({"type": "tool", "name": "second"}, "second"),
        ({"type": "function", "function": {"name": "first"}}, "first"),
    ],
)
def test_a_tool_is_called_only_when_one_is_demanded(choice: Any, tool: str) -> None:
    script = write_script("sim", {"tools": TOOLS, "tool_choice": choice}, 1)
    assert script.tool == tool
    assert json.loads(script.arguments or "{}") == ({"simulated": True} if tool else {})


def test_a_demand_without_tools_is_answered_in_words() -> None:
    assert write_script("sim", {"tool_choice": "required"}, 1).tool == ""


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([{"role": "user", "content": "Hola\nahí"}], "Hola ahí"),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}], "a b"),
        ([{"role": "user", "content": None}], "nothing"),
        ([], "nothing"),
        ("odd", "nothing"),
        (["odd"], "nothing"),
    ],
)
def test_an_answer_says_that_it_is_simulated_and_what_it_heard(messages: Any, said: str) -> None:
    script = write_script("sim", {"model": "m", "messages": messages}, 1)
    assert script.text == f"[simulated answer of sim, model m] You said: {said}"
    assert script.input_tokens >= 1


def test_every_answer_has_an_id_of_its_own_and_the_same_one_again() -> None:
    ids = [write_script(name, {}, count).id for name in ("a", "b") for count in (1, 2)]
    assert len(set(ids)) == 4
    assert write_script("a", {}, 1).id == ids[0]
