"""A chat request in Anthropic's wire format."""

from __future__ import annotations

from typing import Any

import msgspec

from services.core.errors import Failure, FailureKind
from services.dataplane.exchange import (
    ChatRequest,
    Image,
    Message,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from services.dataplane.translation import Untranslatable

DEFAULT_MAX_TOKENS = 4_096
"""Anthropic requires `max_tokens`; OpenAI's format leaves it open."""
MIN_THINKING = 1_024
_BUDGETS = {"minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 32_768}
_SYSTEM = {"system", "developer"}


def encode_body(request: ChatRequest, model: str) -> tuple[dict[str, Any], list[str]]:
    """The body of `request`, and what was dropped on the way.

    Raises:
        Untranslatable: A demand of the request has no translation.
    """
    dropped: list[str] = []
    thinking = _thinking(request)
    body: dict[str, Any] = {"model": model, "max_tokens": _max_tokens(request, thinking)}
    system = _system(request.messages)
    if system:
        body["system"] = system
    body["messages"] = _messages(request.messages)
    _put_tools(body, request)
    if thinking:
        body["thinking"] = {"type": "enabled", "budget_tokens": thinking}
    _put_sampling(body, request, dropped, thinking=bool(thinking))
    _put_format(body, request)
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    if request.user:
        body["metadata"] = {"user_id": request.user}
    if request.stream:
        body["stream"] = True
    return body, dropped


def _thinking(request: ChatRequest) -> int:
    """The budget of reasoning tokens; 0: none."""
    if request.reasoning_budget is not None:
        return max(MIN_THINKING, request.reasoning_budget)
    return _BUDGETS.get(request.reasoning_effort, 0)


def _max_tokens(request: ChatRequest, thinking: int) -> int:
    asked = request.max_tokens if request.max_tokens is not None else DEFAULT_MAX_TOKENS
    # The limit includes the thinking budget and must exceed it.
    return asked + thinking if thinking else asked


def _put_sampling(body: dict[str, Any], request: ChatRequest, dropped: list[str], *, thinking: bool) -> None:
    if request.temperature is not None:
        if thinking:
            dropped.append("temperature was dropped: Anthropic does not take it together with thinking")
        else:
            body["temperature"] = min(request.temperature, 1.0)
            if request.temperature > 1.0:
                dropped.append("temperature was lowered to 1, the highest that Anthropic takes")
    if request.top_p is not None:
        if thinking:
            dropped.append("top_p was dropped: Anthropic does not take it together with thinking")
        else:
            body["top_p"] = request.top_p
    if request.top_k is not None and not thinking:
        body["top_k"] = request.top_k
    for name in ("seed", "frequency_penalty", "presence_penalty"):
        if getattr(request, name) is not None:
            dropped.append(f"{name} was dropped: Anthropic has no such field")


def _put_tools(body: dict[str, Any], request: ChatRequest) -> None:
    if not request.tools:
        return
    body["tools"] = [_tool(tool) for tool in request.tools]
    choice: dict[str, Any] = {}
    if request.tool_choice.startswith("tool:"):
        choice = {"type": "tool", "name": request.tool_choice.removeprefix("tool:")}
    elif request.tool_choice:
        choice = {"type": {"auto": "auto", "required": "any", "none": "none"}[request.tool_choice]}
    if request.parallel_tool_calls is False and choice.get("type") != "none":
        choice = choice or {"type": "auto"}
        choice["disable_parallel_tool_use"] = True
    if choice:
        body["tool_choice"] = choice


def _put_format(body: dict[str, Any], request: ChatRequest) -> None:
    """Structured output: schemas have a translation, the schemaless JSON mode has none."""
    wanted = request.response_format
    kind = wanted.get("type") if wanted is not None else None
    if wanted is None or kind in {None, "text"}:
        return
    schema = (wanted.get("json_schema") or {}).get("schema") if kind == "json_schema" else None
    if not isinstance(schema, dict):
        told = f"response_format {kind!r} has no translation for Anthropic; give a json_schema"
        raise Untranslatable(Failure(FailureKind.UNSUPPORTED, told))
    body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}


def _system(messages: tuple[Message, ...]) -> str | list[dict[str, Any]]:
    parts = [p for m in messages if m.role in _SYSTEM for p in m.parts if isinstance(p, Text)]
    if any(p.cache_control for p in parts):
        return [_text(p) for p in parts]
    return "\n\n".join(p.text for p in parts)


def _messages(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """Turns by role; neighbours of one role become one message, as Anthropic wants them."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role in _SYSTEM:
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = [block for part in message.parts if (block := _block(part)) is not None]
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"].extend(blocks)
        else:
            turns.append({"role": role, "content": blocks})
    for turn in turns:
        # Results of tools must come before everything else in their message.
        turn["content"].sort(key=lambda block: block["type"] != "tool_result")
        if len(turn["content"]) == 1 and turn["content"][0].keys() == {"type", "text"}:
            turn["content"] = turn["content"][0]["text"]
    return turns


def _block(part: Part) -> dict[str, Any] | None:
    if isinstance(part, Text):
        return _text(part) if part.text else None
    if isinstance(part, Image):
        return _image(part)
    if isinstance(part, Thinking):
        if part.redacted:
            return {"type": "redacted_thinking", "data": part.redacted}
        # Reasoning without its vendor's signature is refused; it is not ours to invent.
        return {"type": "thinking", "thinking": part.text, "signature": part.signature} if part.signature else None
    if isinstance(part, ToolCall):
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": _arguments(part)}
    return _result(part)


def _text(part: Text) -> dict[str, Any]:
    return {"type": "text", "text": part.text, **_cache(part.cache_control)}


def _image(part: Image) -> dict[str, Any]:
    source: dict[str, Any] = {"type": "url", "url": part.url}
    if part.data:
        source = {"type": "base64", "media_type": part.media_type or "image/png", "data": part.data}
    return {"type": "image", "source": source, **_cache(part.cache_control)}


def _result(part: ToolResult) -> dict[str, Any]:
    blocks = [b for p in part.content if (b := _block(p)) is not None]
    content: Any = blocks
    if all(isinstance(p, Text) for p in part.content):
        content = "\n".join(p.text for p in part.content if isinstance(p, Text))
    result = {"type": "tool_result", "tool_use_id": part.call_id, "content": content, **_cache(part.cache_control)}
    return {**result, "is_error": True} if part.is_error else result


def _arguments(call: ToolCall) -> Any:
    try:
        value = msgspec.json.decode(call.arguments or "{}")
    except msgspec.DecodeError as error:
        told = f"the arguments of the tool call {call.id!r} are not JSON, which Anthropic requires"
        raise Untranslatable(Failure(FailureKind.UNSUPPORTED, told)) from error
    return value if isinstance(value, dict) else {"value": value}


def _cache(control: Any) -> dict[str, Any]:
    return {"cache_control": control} if control else {}


def _tool(tool: Tool) -> dict[str, Any]:
    body: dict[str, Any] = {"name": tool.name, "input_schema": tool.parameters or {"type": "object", "properties": {}}}
    if tool.description:
        body["description"] = tool.description
    return {**body, **_cache(tool.cache_control)}
