"""Anthropic-style bodies as exchange requests; used only when the provider speaks another protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.errors import InvalidRequest
from services.dataplane.dialects.anthropic_read_blocks import BlockReader
from services.dataplane.dialects.openai_house import NO_COMPRESSION
from services.dataplane.dialects.read_search import SEARCHES, read_search, search_of, searches_of
from services.dataplane.dialects.reading import integer, mark_last, number, objects, strings, text
from services.dataplane.exchange import ChatRequest, Message, Text, Tool
from services.dataplane.translation import Untranslatable
from services.wire.chat_facts import ROUTING_FIELDS

_CARRIED = {
    "model", "messages", "system", "max_tokens", "stream", "stop_sequences", "temperature", "top_p", "top_k", "tools",
    "tool_choice", "thinking", "metadata", "extra_body", "user", "output_config", "cache_control", "service_tier",
    *ROUTING_FIELDS, *SEARCHES,
}  # fmt: skip
_DEMANDS = ("container", "inference_geo", "mcp_servers")
"""Without these the answer would not be what was asked for, so they are not dropped."""
_TIERS: Mapping[str, str] = {"auto": "auto", "standard_only": "default"}
_SEARCH_HOW = {"allowed_callers", "defer_loading", "strict", "response_inclusion"}
"""How Anthropic's models run the search; it means nothing to others."""
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
    warnings = [
        f"{n} was dropped: it has no translation" for n, v in body.items() if n not in _CARRIED and v is not None
    ]
    messages = _conversation(body, BlockReader(warnings))
    if any("compression" in m for m in objects(body.get("messages"), "messages")):
        warnings.append(NO_COMPRESSION)
    tools, search = _tools(body.get("tools"), warnings)
    if search is None:
        extra = searches_of(body)
        search = read_search({**body, **extra} if extra else body, warnings)
    choice = _object(body, "tool_choice")
    config = _object(body, "output_config")
    thinking = _object(body, "thinking")
    metadata = _object(body, "metadata")
    user = metadata.get("user_id") or body.get("user")
    return ChatRequest(
        messages=messages,
        stream=body.get("stream") is True,
        tools=tools,
        tool_choice=_tool_choice(choice) if tools else "",
        parallel_tool_calls=False if choice.get("disable_parallel_tool_use") is True else None,
        max_tokens=integer(body, "max_tokens"),
        temperature=number(body, "temperature"),
        top_p=number(body, "top_p"),
        top_k=integer(body, "top_k"),
        stop=strings(body.get("stop_sequences"), "stop_sequences"),
        reasoning_budget=_budget(thinking),
        reasoning_effort=_effort(config, thinking),
        shows_reasoning=_shows(thinking),
        response_format=_format(config.get("format")),
        web_search=search,
        service_tier=_TIERS.get(text(body, "service_tier"), ""),
        user=user if isinstance(user, str) else "",
        warnings=tuple(warnings),
    )


def _conversation(body: Mapping[str, Any], reader: BlockReader) -> tuple[Message, ...]:
    """System text and messages, with a mark for the prompt cache that is set for all of them."""
    system = tuple(p for p in reader.content(body.get("system"), "system") if isinstance(p, Text))
    messages = _messages(body.get("messages"), reader)
    if system:
        messages = (Message("system", system), *messages)
    control = _object(body, "cache_control")
    return mark_last(messages, control) if control else messages


def _shows(thinking: Mapping[str, Any]) -> bool | None:
    """Whether reasoning is to be shown; None: nothing was said of reasoning."""
    if thinking.get("type") not in ("enabled", "adaptive", "between_tools"):
        return None
    return thinking.get("display") != "omitted"


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


def _messages(messages: Any, reader: BlockReader) -> tuple[Message, ...]:
    found = []
    for index, message in enumerate(objects(messages, "messages")):
        path = f"messages.{index}"
        role = message.get("role")
        if not isinstance(role, str) or role not in {"user", "assistant", "system"}:
            raise InvalidRequest(f"{path}.role: must be user, assistant or system", param=f"{path}.role")
        found.append(Message(role, reader.content(message.get("content"), f"{path}.content")))
    return tuple(found)


def _tools(tools: Any, warnings: list[str]) -> tuple[tuple[Tool, ...], Mapping[str, Any] | None]:
    """Function tools, and the web search that the server's tool of that name asks for."""
    found: list[Tool] = []
    search: Mapping[str, Any] | None = None
    for index, tool in enumerate(objects(tools, "tools")):
        path, kind = f"tools.{index}", tool.get("type")
        if isinstance(kind, str) and kind.startswith("web_search_"):
            search = search_of({n: v for n, v in tool.items() if n not in _SEARCH_HOW}, path, warnings)
            continue
        if kind not in (None, "custom"):
            raise Untranslatable.because(
                f"{path}: the server tool {kind!r} has no translation for this model's provider"
            )
        found.append(_tool(tool, path))
        for name in tool:
            told = f"{name} of tools was dropped: it has no translation"
            if name not in _TOOL_CARRIED and told not in warnings:
                warnings.append(told)
    return tuple(found), search


def _tool(tool: Mapping[str, Any], path: str) -> Tool:
    if not isinstance(tool.get("name"), str):
        raise InvalidRequest(f"{path}.name: is missing", param=f"{path}.name")
    schema = tool.get("input_schema")
    if schema is not None and not isinstance(schema, Mapping):
        raise InvalidRequest(f"{path}.input_schema: must be an object", param=f"{path}.input_schema")
    strict = True if tool.get("strict") is True else None
    return Tool(tool["name"], str(tool.get("description") or ""), schema, strict, tool.get("cache_control"))


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
