"""OpenAI-style bodies as exchange requests; used only when the provider speaks another protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.errors import InvalidRequest
from services.dataplane.dialects.openai_read_messages import read_messages
from services.dataplane.dialects.reading import integer, number, objects, strings
from services.dataplane.exchange import ChatRequest, Tool
from services.dataplane.translation import Untranslatable

_CARRIED = {
    "model", "messages", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls", "max_tokens",
    "max_completion_tokens", "temperature", "top_p", "top_k", "stop", "seed", "frequency_penalty",
    "presence_penalty", "response_format", "reasoning_effort", "reasoning", "user", "extra_body", "models", "ignore",
    "provider", "fallback", "sort", "route", "transforms", "metadata", "usage", "n", "session_id", "modalities",
}  # fmt: skip
_DEMANDS = ("functions", "function_call", "audio", "web_search_options")
"""Without these the answer would not be what was asked for, so they are not dropped."""


def read_chat(body: Mapping[str, Any], reasoning: Mapping[str, Any]) -> ChatRequest:
    """The exchange request of a decoded body.

    Args:
        reasoning: The caller's `reasoning` object, wherever it stood.

    Raises:
        InvalidRequest: A field that has to be understood is not well formed.
        Untranslatable: A field demands what only this protocol can give.
    """
    _refuse_demands(body)
    effort = reasoning.get("effort") or body.get("reasoning_effort")
    if effort is not None and not isinstance(effort, str):
        raise InvalidRequest("`reasoning_effort` must be text", param="reasoning_effort")
    limit = integer(body, "max_completion_tokens")
    stop = body.get("stop")
    return ChatRequest(
        messages=read_messages(body.get("messages")),
        stream=body.get("stream") is True,
        tools=_tools(body.get("tools")),
        tool_choice=_tool_choice(body.get("tool_choice")),
        parallel_tool_calls=False if body.get("parallel_tool_calls") is False else None,
        max_tokens=limit if limit is not None else integer(body, "max_tokens"),
        temperature=number(body, "temperature"),
        top_p=number(body, "top_p"),
        top_k=integer(body, "top_k"),
        stop=(stop,) if isinstance(stop, str) else strings(stop, "stop"),
        seed=integer(body, "seed"),
        frequency_penalty=number(body, "frequency_penalty"),
        presence_penalty=number(body, "presence_penalty"),
        response_format=_format(body.get("response_format")),
        reasoning_effort=effort or "",
        reasoning_budget=integer(reasoning, "max_tokens", "reasoning.max_tokens"),
        user=str(body.get("user") or ""),
        warnings=tuple(f"{name} was dropped: it has no translation" for name in body if name not in _CARRIED),
    )


def _refuse_demands(body: Mapping[str, Any]) -> None:
    for name in _DEMANDS:
        if body.get(name) is not None:
            raise Untranslatable.because(f"`{name}` has no translation for this model's provider")
    if body.get("n") not in (None, 1):
        raise Untranslatable.because("`n` above 1 has no translation for this model's provider")
    if body.get("modalities") not in (None, ["text"]):
        raise Untranslatable.because("`modalities` other than text have no translation for this model's provider")


def _format(wanted: Any) -> Mapping[str, Any] | None:
    if wanted is None or isinstance(wanted, Mapping):
        return wanted
    raise InvalidRequest("`response_format` must be an object", param="response_format")


def _tools(tools: Any) -> tuple[Tool, ...]:
    found = []
    for index, tool in enumerate(objects(tools, "tools")):
        path = f"tools[{index}]"
        if tool.get("type") not in (None, "function"):
            raise Untranslatable.because(f"`{path}`: a tool of type {tool['type']!r} has no translation")
        function = tool.get("function")
        if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
            raise InvalidRequest(f"`{path}.function.name` is missing", param=f"{path}.function.name")
        parameters = function.get("parameters")
        if parameters is not None and not isinstance(parameters, Mapping):
            raise InvalidRequest(f"`{path}.function.parameters` must be an object", param=f"{path}.function.parameters")
        found.append(
            Tool(
                function["name"],
                str(function.get("description") or ""),
                parameters,
                True if function.get("strict") is True else None,
                tool.get("cache_control"),
            )
        )
    return tuple(found)


def _tool_choice(choice: Any) -> str:
    if choice is None:
        return ""
    if choice in ("auto", "none", "required"):
        assert isinstance(choice, str), "it is one of the words"
        return choice
    if isinstance(choice, Mapping) and choice.get("type") in ("allowed_tools", "custom"):
        raise Untranslatable.because(f"`tool_choice` of type {choice['type']!r} has no translation")
    function = choice.get("function") if isinstance(choice, Mapping) else None
    if isinstance(function, Mapping) and isinstance(function.get("name"), str):
        return f"tool:{function['name']}"
    raise InvalidRequest("`tool_choice` must be auto, none, required, or name a function", param="tool_choice")
