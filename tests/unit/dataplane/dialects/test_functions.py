"""Callers of the form before tools: their requests become tools, and the answer comes in their form."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from services.dataplane.dialects.registry import dialect_of
from services.dataplane.translation import Evidence, Translation
from tests.unit.dataplane.build import candidate

EVIDENCE = Evidence({}, None, "m", "g")
FUNCTION = {"name": "time", "parameters": {"type": "object", "properties": {}}}
USER = {"role": "user", "content": "Time?"}
USE: Any = {"type": "tool_use", "id": "t1", "name": "time", "input": {"zone": "UTC"}}
USAGE = {"input_tokens": 3, "output_tokens": 5}
MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "m", "usage": USAGE, "stop_sequence": None}


def translation(**request: Any) -> Translation:
    body = {"model": "m", "messages": [USER], **request}
    found = (
        dialect_of("chat.completions")
        .read(msgspec.json.encode(body), {})
        .translate(candidate("anthropic/m", "anthropic"))
    )
    found.request("key")
    return found


def test_a_call_is_a_function_call() -> None:
    found = translation(functions=[FUNCTION])
    assert found.answer(msgspec.json.encode({**MESSAGE, "content": [USE], "stop_reason": "tool_use"})) is None
    choice = msgspec.json.decode(found.render(EVIDENCE))["choices"][0]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "time", "arguments": '{"zone":"UTC"}'}
    assert "tool_calls" not in choice["message"]


def test_tools_beside_functions_are_tools() -> None:
    found = translation(functions=[FUNCTION], tools=[{"type": "function", "function": FUNCTION}])
    assert found.answer(msgspec.json.encode({**MESSAGE, "content": [USE], "stop_reason": "tool_use"})) is None
    choice = msgspec.json.decode(found.render(EVIDENCE))["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert "function_call" not in choice["message"]


@pytest.mark.parametrize("calls", [1, 2])
def test_a_streamed_call_is_a_function_call_and_a_second_one_is_told(calls: int) -> None:
    found = translation(functions=[FUNCTION], stream=True)
    events: list[Any] = [{"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}}]
    for index in range(calls):
        events.append({"type": "content_block_start", "index": index, "content_block": {**USE, "input": {}}})
        delta = {"type": "input_json_delta", "partial_json": '{"zone":"UTC"}'}
        events.append({"type": "content_block_delta", "index": index, "delta": delta})
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": USAGE})
    events.append({"type": "message_stop"})
    frames = b""
    for event in events:
        frames += found.feed(
            f"event: {event['type']}\n".encode() + b"data: " + msgspec.json.encode(event) + b"\n\n"
        ).frames
    frames += found.closing(EVIDENCE)
    chunks = [msgspec.json.decode(f[6:]) for f in frames.split(b"\n\n") if f.startswith(b"data: {")]
    deltas = [c["choices"][0]["delta"] for c in chunks]
    told = [d["function_call"] for d in deltas if "function_call" in d]
    assert told == [{"name": "time", "arguments": ""}, {"arguments": '{"zone":"UTC"}'}]
    assert chunks[-1]["choices"][0]["finish_reason"] == "function_call"
    assert len([w for w in found.facts.warnings if "second function call" in w]) == calls - 1
