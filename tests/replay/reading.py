"""What a client reads from an answer, whole or streamed, in either dialect: through the official SDKs' own types."""

from __future__ import annotations

import json
from typing import Any

import anthropic.types as anthropic_types
import openai.types.chat as openai_types

Read = dict[str, Any]


def read_openai(body: bytes, *, stream: bool) -> Read:
    if not stream:
        parsed = openai_types.ChatCompletion.model_construct(**json.loads(body))
        answer = json.loads(body)
        choice = answer["choices"][0]
        message = choice["message"]
        del parsed
        return _read(
            _text(message.get("content")) or message.get("refusal") or "",
            [_call(c) for c in message.get("tool_calls") or []],
            choice.get("finish_reason"),
            answer.get("usage"),
            message.get("reasoning_content") or message.get("reasoning") or "",
        )
    text, reasoning, finish, usage = "", "", None, None
    calls: dict[int, list[str]] = {}
    for event in sse(body):
        for choice in event.get("choices") or []:
            if choice.get("index"):
                continue
            delta = choice.get("delta") or {}
            text += _text(delta.get("content")) or delta.get("refusal") or ""
            reasoning += delta.get("reasoning_content") or delta.get("reasoning") or ""
            for position, call in enumerate(delta.get("tool_calls") or []):
                function = call.get("function") or {}
                number = call.get("index")
                entry = calls.setdefault(position if number is None else number, ["", ""])
                entry[0] += function.get("name") or ""
                entry[1] += _arguments(function.get("arguments"))
            finish = choice.get("finish_reason") or finish
        usage = event.get("usage") or usage
    return _read(text, [tuple(c) for _, c in sorted(calls.items())], finish, usage, reasoning)


def read_anthropic(body: bytes, *, stream: bool) -> Read:
    if not stream:
        answer = json.loads(body)
        anthropic_types.Message.model_construct(**answer)
        content, stop, usage = answer["content"], answer.get("stop_reason"), answer.get("usage")
        text = "".join(b.get("text") or "" for b in content if b["type"] == "text")
        calls = [(b["name"], json.dumps(b["input"], sort_keys=True)) for b in content if b["type"] == "tool_use"]
        reasoning = "".join(b.get("thinking") or "" for b in content if b["type"] == "thinking")
        return _read(text, calls, stop, usage, reasoning)
    text, reasoning, stop = "", "", None
    usage: dict[str, Any] = {}
    calls_by: dict[int, list[str]] = {}
    for event in sse(body):
        kind = event.get("type")
        if kind == "message_start":
            usage.update({k: v for k, v in (event["message"].get("usage") or {}).items() if v is not None})
        elif kind == "content_block_start" and event["content_block"]["type"] == "tool_use":
            calls_by[event["index"]] = [event["content_block"]["name"], ""]
        elif kind == "content_block_start":
            text += event["content_block"].get("text") or "" if event["content_block"]["type"] == "text" else ""
        elif kind == "content_block_delta":
            delta = event["delta"]
            text += delta.get("text") or ""
            reasoning += delta.get("thinking") or ""
            if "partial_json" in delta and event["index"] in calls_by:
                calls_by[event["index"]][1] += delta["partial_json"]
        elif kind == "message_delta":
            stop = event["delta"].get("stop_reason") or stop
            usage.update({k: v for k, v in (event.get("usage") or {}).items() if v is not None})
    calls = [(name, _canonical(text_)) for name, text_ in calls_by.values()]
    return _read(text, calls, stop, usage, reasoning)


def sse(body: bytes) -> list[Any]:
    text = body.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    found = []
    for block in text.split("\n\n"):
        data = "\n".join(line[5:].removeprefix(" ") for line in block.split("\n") if line.startswith("data:"))
        if data and data != "[DONE]":
            found.append(json.loads(data))
    return found


def _read(text: str, calls: list[Any], finish: Any, usage: Any, reasoning: str) -> Read:
    return {"text": text, "calls": calls, "finish": finish, "usage": _tokens(usage), "reasoning": reasoning}


def _tokens(usage: Any) -> Any:
    if not usage:
        return None
    names = ("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens")
    names += ("cache_read_input_tokens", "cache_creation_input_tokens")
    return {name: usage[name] for name in names if usage.get(name) is not None}


def _call(call: dict[str, Any]) -> tuple[str, str]:
    function = call.get("function") or {}
    return function.get("name") or "", _arguments(function.get("arguments"))


def _arguments(arguments: Any) -> str:
    return json.dumps(arguments) if isinstance(arguments, dict) else arguments or ""


def _canonical(text: str) -> str:
    try:
        return json.dumps(json.loads(text or "{}"), sort_keys=True)
    except ValueError:
        return text


def _text(content: Any) -> str:
    if isinstance(content, dict):
        return json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    if isinstance(content, list):
        return "".join(p.get("text") or "" for p in content if isinstance(p, dict) and isinstance(p.get("text"), str))
    return content or ""
