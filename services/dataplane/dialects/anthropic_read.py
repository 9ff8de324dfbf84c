"""Anthropic-style bodies as exchange requests; used only when the provider speaks another protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.errors import InvalidRequest
from services.dataplane.exchange import ChatRequest, Image, Message, Part, Text, Thinking, Tool, ToolCall, ToolResult

_CARRIED = {
    "model", "messages", "system", "max_tokens", "stream", "stop_sequences", "temperature", "top_p", "top_k", "tools",
    "tool_choice", "thinking", "metadata", "extra_body", "models", "ignore", "provider", "fallback", "sort", "route",
    "transforms", "user", "cache_control", "output_config",
}  # fmt: skip


def read_message_request(body: Mapping[str, Any], user: str) -> ChatRequest:
    """The exchange request of a decoded body.

    Raises:
        InvalidRequest: A field that has to be understood is not well formed.
    """
    warnings = [f"{name} was dropped: it has no translation" for name in body if name not in _CARRIED]
    thinking = body.get("thinking") or {}
    system = tuple(p for p in _content(body.get("system"), "system") if isinstance(p, Text))
    messages = _messages(body.get("messages"))
    if system:
        messages = (Message("system", system), *messages)
    choice = body.get("tool_choice") or {}
    return ChatRequest(
        messages=messages,
        stream=body.get("stream") is True,
        tools=_tools(body.get("tools")),
        tool_choice=_tool_choice(choice),
        parallel_tool_calls=False if choice.get("disable_parallel_tool_use") is True else None,
        max_tokens=body.get("max_tokens"),
        temperature=body.get("temperature"),
        top_p=body.get("top_p"),
        top_k=body.get("top_k"),
        stop=tuple(body.get("stop_sequences") or ()),
        reasoning_budget=thinking.get("budget_tokens") if thinking.get("type") == "enabled" else None,
        reasoning_effort="medium" if thinking.get("type") == "adaptive" else "",
        response_format=_format(body.get("output_config")),
        user=user,
        warnings=tuple(warnings),
    )


def _format(config: Any) -> Mapping[str, Any] | None:
    wanted = config.get("format") if isinstance(config, Mapping) else None
    if isinstance(wanted, Mapping) and wanted.get("type") == "json_schema":
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": wanted.get("schema")}}
    return None


def _messages(messages: Any) -> tuple[Message, ...]:
    if not isinstance(messages, list):
        raise InvalidRequest("messages: must be a list", param="messages")
    found = []
    for index, message in enumerate(messages):
        path = f"messages.{index}"
        role = message.get("role") if isinstance(message, Mapping) else None
        if role not in {"user", "assistant", "system"}:
            raise InvalidRequest(f"{path}.role: must be user, assistant or system", param=f"{path}.role")
        found.append(Message(role, _content(message.get("content"), f"{path}.content")))
    return tuple(found)


def _content(content: Any, path: str) -> tuple[Part, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (Text(content),) if content else ()
    if not isinstance(content, list):
        raise InvalidRequest(f"{path}: must be text or a list of blocks", param=path)
    return tuple(_block(block, f"{path}.{index}") for index, block in enumerate(content))


def _block(block: Any, path: str) -> Part:
    kind = block.get("type") if isinstance(block, Mapping) else None
    if kind == "text":
        return Text(str(block.get("text") or ""), block.get("cache_control"))
    if kind == "image":
        return _image(block, path)
    if kind == "thinking":
        return Thinking(str(block.get("thinking") or ""), str(block.get("signature") or ""))
    if kind == "redacted_thinking":
        return Thinking(redacted=str(block.get("data") or ""))
    if kind == "tool_use":
        arguments = msgspec.json.encode(block.get("input") or {}).decode()
        return ToolCall(str(block.get("id") or ""), str(block.get("name") or ""), arguments)
    if kind == "tool_result":
        inside = tuple(p for p in _content(block.get("content"), f"{path}.content") if isinstance(p, (Text, Image)))
        failed = block.get("is_error") is True
        return ToolResult(str(block.get("tool_use_id") or ""), inside, failed, block.get("cache_control"))
    raise InvalidRequest(f"{path}: a block of type {kind!r} has no translation for this model's provider", param=path)


def _image(block: Mapping[str, Any], path: str) -> Image:
    source = block.get("source")
    kind = source.get("type") if isinstance(source, Mapping) else None
    if isinstance(source, Mapping) and kind == "base64":
        data, media_type = str(source.get("data") or ""), str(source.get("media_type") or "")
        return Image(data=data, media_type=media_type, cache_control=block.get("cache_control"))
    if isinstance(source, Mapping) and kind == "url":
        return Image(url=str(source.get("url") or ""), cache_control=block.get("cache_control"))
    path = f"{path}.source"
    raise InvalidRequest(f"{path}: a source of type {kind!r} has no translation for this model's provider", param=path)


def _tools(tools: Any) -> tuple[Tool, ...]:
    found = []
    for index, tool in enumerate(tools or ()):
        if not isinstance(tool, Mapping) or not isinstance(tool.get("name"), str):
            raise InvalidRequest(f"tools.{index}.name: is missing", param=f"tools.{index}.name")
        if tool.get("type") not in {None, "custom"}:
            told = f"tools.{index}: the server tool {tool['type']!r} has no translation for this model's provider"
            raise InvalidRequest(told, param=f"tools.{index}.type")
        description = str(tool.get("description") or "")
        found.append(Tool(tool["name"], description, tool.get("input_schema"), None, tool.get("cache_control")))
    return tuple(found)


def _tool_choice(choice: Mapping[str, Any]) -> str:
    kind = choice.get("type")
    if kind is None:
        return ""
    if kind == "tool":
        return f"tool:{choice.get('name')}"
    found = {"auto": "auto", "any": "required", "none": "none"}.get(kind)
    if found is None:
        raise InvalidRequest("tool_choice.type: must be auto, any, tool or none", param="tool_choice.type")
    return found
