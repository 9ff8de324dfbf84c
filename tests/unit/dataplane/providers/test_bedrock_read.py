"""What Converse's answers say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.dataplane.exchange import ChatAnswer, ToolCall
from services.dataplane.providers.registry import codec_of


@pytest.mark.parametrize(
    ("given", "arguments"), [({}, "{}"), ({"input": None}, "{}"), ({"input": {"a": 1}}, '{"a":1}')]
)
def test_a_call_without_arguments_has_an_empty_object(given: dict[str, Any], arguments: str) -> None:
    block = {"toolUse": {"toolUseId": "c", "name": "f", **given}}
    wire = {"output": {"message": {"role": "assistant", "content": [block]}}, "stopReason": "tool_use"}
    answer = codec_of("bedrock").decode(json.dumps(wire, separators=(",", ":")).encode())
    assert isinstance(answer, ChatAnswer)
    assert answer.parts == (ToolCall("c", "f", arguments),)
