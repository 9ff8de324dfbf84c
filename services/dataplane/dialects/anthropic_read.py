"""Anthropic-style bodies as exchange requests; used only when the provider speaks another protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.errors import InvalidRequest
from services.dataplane.dialects.reading import integer, number, objects, strings
from services.dataplane.exchange import ChatRequest, Image, Message, Part, Text, Thinking, Tool, ToolCall, ToolResult
from services.dataplane.translation import Untranslatable

_CARRIED = {
    "model", "messages", "system", "max_tokens", "stream", "stop_sequences", "temperature", "top_p", "top_k", "tools",
    "tool_choice", "thinking", "metadata", "extra_body", "models", "ignore", "provider", "fallback", "sort", "route",
    "transforms", "user", "output_config",
}  # fmt: skip
_DEMANDS = ("container", "inference_geo", "mcp_servers")
"""Without these the answer would not be what was asked for, so they are not dropped."""
_TOOL_CARRIED = {"name", "description", "input_schema", "type", "strict", "cache_control"}


def read_message_request(body: Mapping[str, Any]) -> ChatRequest:
    """The exchange request of a decoded body.

    Raises:
        InvalidRequest: A field that has to be understood is not well formed.
        Untranslatable: A field demands what only this protocol can give.
    """
    for name in _DEMANDS:
        if body.get(name):
            raise Untranslatable.because(f"{name} has no translation for this model's provider")
    system = tuple(p for p in _content(body.get("system"), "system") if isinstance(p, Text))
    messages = _messages(body.get("messages"))
    if system:
        messages = (Message("system", system), *messages)
    choice = _object(body, "tool_choice")
    config = _object(body, "output_config")
    thinking = _object(body, "thinking")
    metadata = _object(body, "metadata")
    user = metadata.get("user_id") or body.get("user")
    return ChatRequest(
        messages=messages,
        stream=body.get("stream") is True,
        tools=_tools(body.get("tools")),
        tool_choice=_tool_choice(choice),
        parallel_tool_calls=False if choice.get("disable_parallel_tool_use") is True else None,
        max_tokens=integer(body, "max_tokens"),
        temperature=number(body, "temperature"),
        top_p=number(body, "top_p"),
        top_k=integer(body, "top_k"),
        stop=strings(body.get("stop_sequences"), "stop_sequences"),
        reasoning_budget=_budget(thinking),
        reasoning_effort=_effort(config, thinking),
        response_format=_format(config.get("format")),
        user=user if isinstance(user, str) else "",
        warnings=_warnings(body),
    )


def _warnings(body: Mapping[str, Any]) -> tuple[str, ...]:
    warnings = [f"{name} was dropped: it has no translation" for name in body if name not in _CARRIED]
    fields = {name for tool in objects(body.get("tools"), "tools") for name in tool if name not in _TOOL_CARRIED}
    warnings += [f"{name} of tools was dropped: it has no translation" for name in sorted(fields)]
    return tuple(warnings)


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"{name}: must be an object", param=name)
    return value


def _budget(thinking: Mapping[str, Any]) -> int | None:
    if thinking.get("type") != "enabled":
        return None
    return integer(thinking, "budget_tokens", "thinking.budget_tokens")


def _effort(config: Mapping[str, Any], thinking: Mapping[str, Any]) -> str:
    """The effort that was named; the model's own measure, "adaptive", is OpenAI's default."""
    effort = config.get("effort")
    if isinstance(effort, str) and effort and thinking.get("type") != "disabled":
        return effort
    return "medium" if thinking.get("type") in ("adaptive", "between_tools") else ""


def _format(wanted: Any) -> Mapping[str, Any] | None:
    if wanted is None:
        return None
    if isinstance(wanted, Mapping) and wanted.get("type") == "json_schema":
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": wanted.get("schema")}}
    raise Untranslatable.because("output_config.format: only json_schema has a translation")


def _messages(messages: Any) -> tuple[Message, ...]:
    found = []
    for index, message in enumerate(objects(messages, "messages")):
        path = f"messages.{index}"
        role = message.get("role")
        if not isinstance(role, str) or role not in {"user", "assistant", "system"}:
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
    return tuple(_block(block, f"{path}.{index}") for index, block in enumerate(objects(content, path)))


def _block(block: Mapping[str, Any], path: str) -> Part:
    kind = block.get("type")
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
    raise Untranslatable.because(f"{path}: a block of type {kind!r} has no translation for this model's provider")


def _image(block: Mapping[str, Any], path: str) -> Image:
    source = block.get("source")
    kind = source.get("type") if isinstance(source, Mapping) else None
    if isinstance(source, Mapping) and kind == "base64":
        data, media_type = str(source.get("data") or ""), str(source.get("media_type") or "")
        return Image(data=data, media_type=media_type, cache_control=block.get("cache_control"))
    if isinstance(source, Mapping) and kind == "url":
        return Image(url=str(source.get("url") or ""), cache_control=block.get("cache_control"))
    path = f"{path}.source"
    raise Untranslatable.because(f"{path}: a source of type {kind!r} has no translation for this model's provider")


def _tools(tools: Any) -> tuple[Tool, ...]:
    found = []
    for index, tool in enumerate(objects(tools, "tools")):
        if tool.get("type") not in (None, "custom"):
            told = f"tools.{index}: the server tool {tool['type']!r} has no translation for this model's provider"
            raise Untranslatable.because(told)
        if not isinstance(tool.get("name"), str):
            raise InvalidRequest(f"tools.{index}.name: is missing", param=f"tools.{index}.name")
        schema = tool.get("input_schema")
        if schema is not None and not isinstance(schema, Mapping):
            raise InvalidRequest(f"tools.{index}.input_schema: must be an object", param=f"tools.{index}.input_schema")
        strict = True if tool.get("strict") is True else None
        found.append(Tool(tool["name"], str(tool.get("description") or ""), schema, strict, tool.get("cache_control")))
    return tuple(found)


def _tool_choice(choice: Mapping[str, Any]) -> str:
    kind = choice.get("type")
    if kind is None:
        return ""
    if kind == "tool":
        if not isinstance(choice.get("name"), str):
            raise InvalidRequest("tool_choice.name: is missing", param="tool_choice.name")
        return f"tool:{choice['name']}"
    found = {"auto": "auto", "any": "required", "none": "none"}.get(str(kind))
    if found is None:
        raise InvalidRequest("tool_choice.type: must be auto, any, tool or none", param="tool_choice.type")
    return found
