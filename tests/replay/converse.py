"""What a caller of Bedrock reads from a recorded answer of Converse, through botocore."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.converse import read_converse, read_converse_stream

_STOPS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}


@dataclass(frozen=True, slots=True)
class ConverseAnswer:
    """An answer; `finish` in OpenAI's words, `usage` as Bedrock counts."""

    text: str
    calls: tuple[tuple[str, Any], ...]
    finish: str
    usage: Mapping[str, Any]
    reasoning: str


def converse_answer(body: bytes, *, stream: bool) -> ConverseAnswer:
    """What the answer says."""
    blocks, stop, usage = _added_up(read_converse_stream(body)) if stream else _whole(read_converse(body))
    calls = (block["toolUse"] for block in blocks if "toolUse" in block)
    thoughts = (block["reasoningContent"].get("reasoningText", {}) for block in blocks if "reasoningContent" in block)
    return ConverseAnswer(
        "".join(_text(block) for block in blocks),
        tuple((call["name"], call.get("input") or {}) for call in calls if call.get("type") != "server_tool_use"),
        _STOPS[stop],
        usage,
        "".join(thought.get("text", "") for thought in thoughts),
    )


Parsed = tuple[list[dict[str, Any]], str, Mapping[str, Any]]


def _whole(answer: Mapping[str, Any]) -> Parsed:
    return answer["output"]["message"]["content"], answer["stopReason"], answer.get("usage") or {}


def _added_up(events: list[dict[str, Any]]) -> Parsed:
    blocks: dict[int, dict[str, Any]] = {}
    stop, usage = "", {}
    for event in events:
        ((name, value),) = event.items()
        if name == "contentBlockStart":
            blocks[value["contentBlockIndex"]] = {kind: {**inner, "json": ""} for kind, inner in value["start"].items()}
        elif name == "contentBlockDelta":
            _add(blocks.setdefault(value["contentBlockIndex"], {}), value["delta"])
        elif name == "messageStop":
            stop = value["stopReason"]
        elif name == "metadata":
            usage = value["usage"]
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"].pop("json") or "{}")
    return [block for _, block in sorted(blocks.items())], stop, usage


def _add(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    if "text" in delta:
        block["text"] = block.get("text", "") + delta["text"]
    elif "reasoningContent" in delta:
        told = block.setdefault("reasoningContent", {}).setdefault("reasoningText", {"text": ""})
        told["text"] += delta["reasoningContent"].get("text", "")
    elif "toolUse" in delta:
        block["toolUse"]["json"] += delta["toolUse"]["input"]


def _text(block: Mapping[str, Any]) -> str:
    cited = block.get("citationsContent", {}).get("content", ())
    return str(block.get("text", "")) + "".join(piece["text"] for piece in cited)
