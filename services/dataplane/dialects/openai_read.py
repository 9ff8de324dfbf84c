"""OpenAI-style bodies as exchange requests; used only when the provider speaks another protocol."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.errors import InvalidRequest
from services.dataplane.exchange import (
    ChatRequest,
    Image,
    Message,
    Part,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

_DATA_URL = re.compile(r"\Adata:([\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+)*;base64,(.*)\Z", re.DOTALL)
_ROLES = {"system", "developer", "user", "assistant", "tool", "function"}
_CARRIED = {
    "model", "messages", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls", "max_tokens",
    "max_completion_tokens", "temperature", "top_p", "top_k", "stop", "seed", "frequency_penalty",
    "presence_penalty", "response_format", "reasoning_effort", "user", "extra_body", "models", "ignore",
    "provider", "fallback", "sort", "route", "transforms", "metadata", "usage", "n",
}  # fmt: skip


def read_chat(body: Mapping[str, Any], extra: Mapping[str, Any]) -> ChatRequest:
    """The exchange request of a decoded body.

    Raises:
        InvalidRequest: A field that has to be understood is not well formed.
    """
    reasoning = extra.get("reasoning") if isinstance(extra.get("reasoning"), Mapping) else {}
    assert isinstance(reasoning, Mapping), "made a mapping above"
    warnings = [f"{name} was dropped: it has no translation" for name in body if name not in _CARRIED]
    if body.get("n") not in {None, 1}:
        raise InvalidRequest("`n` above 1 has no translation for this model's provider", param="n")
    stop = body.get("stop")
    limit = body.get("max_completion_tokens")
    return ChatRequest(
        messages=_messages(body.get("messages")),
        stream=body.get("stream") is True,
        tools=_tools(body.get("tools")),
        tool_choice=_tool_choice(body.get("tool_choice")),
        parallel_tool_calls=body.get("parallel_tool_calls"),
        max_tokens=limit if limit is not None else body.get("max_tokens"),
        temperature=body.get("temperature"),
        top_p=body.get("top_p"),
        top_k=body.get("top_k"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        seed=body.get("seed"),
        frequency_penalty=body.get("frequency_penalty"),
        presence_penalty=body.get("presence_penalty"),
        response_format=body.get("response_format"),
        reasoning_effort=str(reasoning.get("effort") or body.get("reasoning_effort") or ""),
        reasoning_budget=reasoning.get("max_tokens"),
        user=str(body.get("user") or ""),
        warnings=tuple(warnings),
    )


def _messages(messages: Any) -> tuple[Message, ...]:
    if not isinstance(messages, list):
        raise InvalidRequest("`messages` must be a list", param="messages")
    return tuple(_message(m, f"messages[{i}]") for i, m in enumerate(messages))


def _message(message: Any, path: str) -> Message:
    if not isinstance(message, Mapping):
        raise InvalidRequest(f"`{path}` must be an object", param=path)
    role = message.get("role")
    if role not in _ROLES:
        raise InvalidRequest(f"`{path}.role` must be one of {', '.join(sorted(_ROLES))}", param=f"{path}.role")
    if role in {"tool", "function"}:
        content = tuple(p for p in _content(message.get("content"), path) if isinstance(p, (Text, Image)))
        call_id = str(message.get("tool_call_id") or message.get("name") or "")
        return Message("user", (ToolResult(call_id, content, cache_control=message.get("cache_control")),))
    parts = [*_content(message.get("content"), path)]
    for index, call in enumerate(message.get("tool_calls") or ()):
        parts.append(_tool_call(call, f"{path}.tool_calls[{index}]"))
    return Message(role, tuple(parts), str(message.get("name") or ""))


def _content(content: Any, path: str) -> tuple[Part, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (Text(content),) if content else ()
    if not isinstance(content, list):
        raise InvalidRequest(f"`{path}.content` must be text or a list of parts", param=f"{path}.content")
    return tuple(_part(p, f"{path}.content[{i}]") for i, p in enumerate(content))


def _part(part: Any, path: str) -> Part:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind in {"text", "input_text", "refusal"}:
        return Text(str(part.get("text") or part.get("refusal") or ""), part.get("cache_control"))
    if kind == "image_url":
        return _image(part, path)
    raise InvalidRequest(f"`{path}`: a part of type {kind!r} has no translation for this model's provider", param=path)


def _image(part: Mapping[str, Any], path: str) -> Image:
    value = part.get("image_url")
    image = value if isinstance(value, Mapping) else {"url": value}
    url = image.get("url")
    if not isinstance(url, str) or not url:
        raise InvalidRequest(f"`{path}.image_url.url` is missing", param=f"{path}.image_url.url")
    detail = str(image.get("detail") or "")
    if url.startswith("data:"):
        match = _DATA_URL.match(url)
        if match is None:
            raise InvalidRequest(f"`{path}.image_url.url` is not a base64 data URL", param=f"{path}.image_url.url")
        return Image(data=match[2], media_type=match[1] or "", detail=detail, cache_control=part.get("cache_control"))
    return Image(url=url, detail=detail, cache_control=part.get("cache_control"))


def _tool_call(call: Any, path: str) -> ToolCall:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise InvalidRequest(f"`{path}.function.name` is missing", param=f"{path}.function.name")
    arguments = function.get("arguments")
    if isinstance(arguments, Mapping):
        arguments = msgspec.json.encode(arguments).decode()
    return ToolCall(str(call.get("id") or ""), function["name"], arguments or "{}")


def _tools(tools: Any) -> tuple[Tool, ...]:
    found = []
    for index, tool in enumerate(tools or ()):
        function = tool.get("function") if isinstance(tool, Mapping) else None
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            path = f"tools[{index}].function.name"
            raise InvalidRequest(f"`{path}` is missing; only function tools have a translation", param=path)
        found.append(
            Tool(
                function["name"],
                str(function.get("description") or ""),
                function.get("parameters"),
                function.get("strict"),
                tool.get("cache_control"),
            )
        )
    return tuple(found)


def _tool_choice(choice: Any) -> str:
    if choice is None:
        return ""
    if isinstance(choice, str) and choice in {"auto", "none", "required"}:
        return choice
    function = choice.get("function") if isinstance(choice, Mapping) else None
    if isinstance(function, Mapping) and isinstance(function.get("name"), str):
        return f"tool:{function['name']}"
    raise InvalidRequest("`tool_choice` must be auto, none, required, or name a function", param="tool_choice")
