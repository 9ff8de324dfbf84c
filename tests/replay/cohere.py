"""Cohere's answers (v2 of its chat API), read as its documentation says, by nothing that the router uses."""

from __future__ import annotations

import json
from typing import Any

Value = dict[str, Any]


def cohere_answer(body: bytes, *, stream: bool) -> Value:
    """The answer; a streamed one added up to what a whole one looks like.

    Raises:
        ValueError: It ended as an error, or did not end.
    """
    answer = _added_up(body.decode()) if stream else json.loads(body)
    if answer["finish_reason"] in {"ERROR", "TIMEOUT"}:
        raise ValueError(answer["finish_reason"])
    return answer


def _added_up(stream: str) -> Value:
    answer: Value = {"message": {"content": [], "tool_calls": [], "tool_plan": "", "citations": []}}
    for line in stream.replace("\r\n", "\n").split("\n"):
        if line.startswith("data: {"):
            event = json.loads(line.removeprefix("data: "))
            if event["type"] == "message-start":
                answer["id"] = event["id"]
            elif event["type"] == "message-end":
                answer |= event["delta"]
            else:
                _add(answer["message"], event["type"], event.get("delta", {}).get("message", {}))
    if "finish_reason" not in answer:
        raise ValueError("it did not end")
    return answer


def _add(message: Value, kind: str, piece: Value) -> None:
    if kind == "content-start":
        message["content"].append(dict(piece["content"]))
    elif kind == "content-delta":
        for name, text in piece["content"].items():
            message["content"][-1][name] += text
    elif kind == "tool-plan-delta":
        message["tool_plan"] += piece["tool_plan"]
    elif kind == "tool-call-start":
        message["tool_calls"].append(piece["tool_calls"])
    elif kind == "tool-call-delta":
        message["tool_calls"][-1]["function"]["arguments"] += piece["tool_calls"]["function"]["arguments"]
    elif kind == "citation-start":
        message["citations"].append(piece["citations"])
