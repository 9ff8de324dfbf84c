"""A script in Anthropic's wire format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from services.cli.simulated.script import Script

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def error_body(status: int, provider: str) -> dict[str, Any]:
    kind = _ERROR_TYPES.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": f"simulated fault of {provider}"}}


def whole(script: Script) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": script.text}
    if script.tool:
        arguments = json.loads(script.arguments)
        block = {"type": "tool_use", "id": f"toolu_{script.id}", "name": script.tool, "input": arguments}
    usage = {"input_tokens": script.input_tokens, "output_tokens": script.output_tokens}
    return {**_message(script), "content": [block], "stop_reason": _stop(script), "usage": usage}


def chunks(script: Script, body: dict[str, Any]) -> Iterator[tuple[bytes, bool]]:
    """Frames of a stream; True marks those that carry content."""
    del body
    usage = {"input_tokens": script.input_tokens, "output_tokens": 1}
    yield _frame("message_start", {"message": {**_message(script), "content": [], "usage": usage}}), False
    if script.tool:
        block = {"type": "tool_use", "id": f"toolu_{script.id}", "name": script.tool, "input": {}}
        yield _frame("content_block_start", {"index": 0, "content_block": block}), True
        yield _delta({"type": "input_json_delta", "partial_json": script.arguments}), True
    else:
        yield _frame("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}), False
        yield _frame("ping", {}), False
        for word in script.words:
            yield _delta({"type": "text_delta", "text": word}), True
    yield _frame("content_block_stop", {"index": 0}), False
    stop = {"stop_reason": _stop(script), "stop_sequence": None}
    yield _frame("message_delta", {"delta": stop, "usage": {"output_tokens": script.output_tokens}}), False
    yield _frame("message_stop", {}), False


def _stop(script: Script) -> str:
    return "tool_use" if script.tool else "end_turn"


def _message(script: Script) -> dict[str, Any]:
    head = {"id": f"msg_{script.id}", "type": "message", "role": "assistant", "model": script.model}
    return {**head, "stop_reason": None, "stop_sequence": None}


def _delta(delta: dict[str, Any]) -> bytes:
    return _frame("content_block_delta", {"index": 0, "delta": delta})


def _frame(event: str, value: dict[str, Any]) -> bytes:
    return f"event: {event}\ndata: {json.dumps({'type': event, **value})}\n\n".encode()
