"""A script in OpenAI's wire format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from services.cli.simulated.script import Script

CREATED = 1_750_000_000


def error_body(status: int, provider: str) -> dict[str, Any]:
    kinds = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": f"simulated fault of {provider}", "type": kind, "param": None, "code": None}}


def whole(script: Script) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": None if script.tool else script.text, "refusal": None}
    if script.tool:
        call = {"id": f"call_{script.id}", "type": "function"}
        message["tool_calls"] = [{**call, "function": {"name": script.tool, "arguments": script.arguments}}]
    return {
        "id": f"chatcmpl-{script.id}",
        "object": "chat.completion",
        "created": CREATED,
        "model": script.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(script)}],
        "usage": _usage(script),
    }


def chunks(script: Script, body: dict[str, Any]) -> Iterator[tuple[bytes, bool]]:
    """Frames of a stream; True marks those that carry content."""
    yield _chunk(script, {"role": "assistant", "content": "", "refusal": None}), False
    if script.tool:
        function = {"name": script.tool, "arguments": ""}
        call = {"index": 0, "id": f"call_{script.id}", "type": "function", "function": function}
        yield _chunk(script, {"tool_calls": [call]}), True
        yield _chunk(script, {"tool_calls": [{"index": 0, "function": {"arguments": script.arguments}}]}), True
    else:
        for word in script.words:
            yield _chunk(script, {"content": word}), True
    yield _chunk(script, {}, _finish(script)), False
    if (body.get("stream_options") or {}).get("include_usage"):
        yield _frame({**_head(script), "choices": [], "usage": _usage(script)}), False
    yield b"data: [DONE]\n\n", False


def _finish(script: Script) -> str:
    return "tool_calls" if script.tool else "stop"


def _usage(script: Script) -> dict[str, int]:
    total = script.input_tokens + script.output_tokens
    return {"prompt_tokens": script.input_tokens, "completion_tokens": script.output_tokens, "total_tokens": total}


def _head(script: Script) -> dict[str, Any]:
    identity = {"id": f"chatcmpl-{script.id}", "object": "chat.completion.chunk"}
    return {**identity, "created": CREATED, "model": script.model}


def _chunk(script: Script, delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return _frame({**_head(script), "choices": [choice]})


def _frame(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"
