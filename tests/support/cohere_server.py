"""What Cohere's v2 chat API answers, whole and streamed, as recordings of it look."""

from __future__ import annotations

import json
from typing import Any

FINISHES = {"stop": "COMPLETE", "refused": "ERROR_TOXIC", "tool": "TOOL_CALL", "thought": "COMPLETE"}
CALL = {"id": "look_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
MESSAGES: dict[str, dict[str, Any]] = {
    "tool": {"tool_plan": "", "tool_calls": [CALL]},
    "thought": {"content": [{"type": "thinking", "thinking": "Hm."}]},
}
"""What a message holds that says nothing, and why."""


def usage_of(tokens: int) -> dict[str, Any]:
    counts = {"input_tokens": 9, "output_tokens": tokens}
    return {"billed_units": counts, "tokens": counts, "cached_tokens": 0}


def cohere_answer(text: str = "Hello there", why: str = "stop", tokens: int = 4) -> dict[str, Any]:
    """A whole answer."""
    content = {"content": [{"type": "text", "text": text}]} if text else {"content": []}
    message = {"role": "assistant", **MESSAGES.get(why, content)}
    return {"id": "c-1", "message": message, "finish_reason": FINISHES[why], "usage": usage_of(tokens)}


def event(kind: str, **more: Any) -> bytes:
    """One frame of a stream."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


def _moved(**message: Any) -> dict[str, Any]:
    return {"message": message}


def _start() -> bytes:
    empty = _moved(role="assistant", content=[], tool_plan="", tool_calls=[], citations=[])
    return event("message-start", id="c-1", delta=empty)


def end(why: str = "stop", tokens: int = 4, **more: Any) -> bytes:
    """The terminal event, which tells the finish reason."""
    return event("message-end", delta={"finish_reason": FINISHES.get(why, why), "usage": usage_of(tokens), **more})


def cohere_events(*texts: str) -> list[bytes]:
    """The frames of a stream."""
    frames = [_start(), event("content-start", index=0, delta=_moved(content={"type": "text", "text": ""}))]
    frames += [event("content-delta", index=0, delta=_moved(content={"text": text})) for text in texts]
    return [*frames, event("content-end", index=0), end(tokens=len(texts))]


def without_text(why: str, *, stream: bool) -> list[bytes] | bytes:
    """An answer that says nothing: empty (`stop`), `refused`, a `tool` call or a `thought`."""
    tokens = 3 if why in MESSAGES else 0
    if not stream:
        return json.dumps(cohere_answer("", why, tokens)).encode()
    moves: list[bytes] = []
    if why == "tool":
        begun = {**CALL, "function": {"name": "look", "arguments": ""}}
        arguments = _moved(tool_calls={"function": {"arguments": "{}"}})
        moves = [event("tool-call-start", index=0, delta=_moved(tool_calls=begun))]
        moves += [event("tool-call-delta", index=0, delta=arguments), event("tool-call-end", index=0)]
    elif why == "thought":
        moves = [event("content-start", index=0, delta=_moved(content={"type": "thinking", "thinking": ""}))]
        moves += [event("content-delta", index=0, delta=_moved(content={"thinking": "Hm."}))]
        moves += [event("content-end", index=0)]
    return [_start(), *moves, end(why, tokens)]
