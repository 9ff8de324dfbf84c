"""Bodies of the Responses API as exchange requests; used only when the provider is called by another API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.core.errors import InvalidRequest
from services.dataplane.dialects.openai_house import NO_COMPRESSION
from services.dataplane.dialects.read_search import SEARCHES, read_search, search_of, searches_of
from services.dataplane.dialects.reading import integer, number, objects, strings, text
from services.dataplane.dialects.responses_read_input import read_input
from services.dataplane.exchange import ChatRequest, Message, Text, Tool
from services.dataplane.providers.responses_encode import ENCRYPTED
from services.dataplane.translation import Untranslatable
from services.wire.chat_facts import ROUTING_FIELDS

STATE = ("previous_response_id", "conversation", "prompt", "background")
"""Members that lean on what a provider keeps; only that provider can take them."""
LOGPROBS = "message.output_text.logprobs"

_CARRIED = {
    *ROUTING_FIELDS, *STATE, "model", "input", "instructions", "stream", "stream_options", "tools", "tool_choice",
    "parallel_tool_calls", "max_output_tokens", "temperature", "top_p", "top_k", "text", "reasoning", "include",
    "store", "service_tier", "prompt_cache_key", "safety_identifier", "user", "top_logprobs", "truncation",
    "metadata", "extra_body", "frequency_penalty", "presence_penalty", "modalities", *SEARCHES,
}  # fmt: skip
_SEARCHES = {"web_search", "web_search_preview"}
_REASONING = {"effort", "summary", "generate_summary", "max_tokens", "exclude"}


def read_response_request(body: Mapping[str, Any], reasoning: Mapping[str, Any]) -> ChatRequest:
    """The exchange request of a decoded body.

    Args:
        reasoning: The caller's `reasoning` object, wherever it stood.

    Raises:
        InvalidRequest: A field that has to be understood is not well formed.
        Untranslatable: A field demands what only this API can give.
    """
    for name in STATE:
        if body.get(name):
            told = f"`{name}` leans on what only its own provider keeps; send the whole conversation as `input`"
            raise Untranslatable.because(told)
    warnings = [
        f"{name} was dropped: it has no translation" for name in body if name not in _CARRIED and body[name] is not None
    ]
    tools, search = _tools(body.get("tools"), warnings)
    search = search if search is not None else read_search({**body, **searches_of(body)}, warnings)
    choice, tools = _tool_choice(body.get("tool_choice"), tools)
    style = _object(body, "text")
    include = strings(body.get("include"), "include")
    _note_losses(body, include, reasoning, warnings)
    return ChatRequest(
        messages=_instructions(body) + read_input(body.get("input"), warnings),
        stream=body.get("stream") is True,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=False if body.get("parallel_tool_calls") is False else None,
        max_tokens=integer(body, "max_output_tokens"),
        temperature=number(body, "temperature"),
        top_p=number(body, "top_p"),
        top_k=integer(body, "top_k"),
        frequency_penalty=number(body, "frequency_penalty"),
        presence_penalty=number(body, "presence_penalty"),
        modalities=strings(body.get("modalities"), "modalities"),
        response_format=_format(style.get("format")),
        reasoning_effort=text(reasoning, "effort", "reasoning.effort"),
        reasoning_budget=integer(reasoning, "max_tokens", "reasoning.max_tokens"),
        shows_reasoning=_shows(reasoning),
        verbosity=text(style, "verbosity", "text.verbosity"),
        logprobs=LOGPROBS in include or bool(body.get("top_logprobs")),
        top_logprobs=integer(body, "top_logprobs"),
        web_search=search,
        service_tier=text(body, "service_tier"),
        cache_key=text(body, "prompt_cache_key"),
        user=text(body, "safety_identifier") or text(body, "user"),
        warnings=tuple(warnings),
    )


def _shows(reasoning: Mapping[str, Any]) -> bool | None:
    """Whether reasoning is wanted in the answer; None: not said."""
    if reasoning.get("exclude") is True:
        return False
    return True if reasoning.get("summary") or reasoning.get("generate_summary") else None


def _note_losses(
    body: Mapping[str, Any], include: Sequence[str], reasoning: Mapping[str, Any], warnings: list[str]
) -> None:
    if body.get("store") is True:
        warnings.append("store was dropped: this model's provider keeps no responses")
    if body.get("truncation") == "auto":
        warnings.append("truncation was dropped: it has no translation")
    given = body.get("input")
    if isinstance(given, list) and any("compression" in item for item in given if isinstance(item, Mapping)):
        warnings.append(NO_COMPRESSION)
    warnings += [f"include {name!r} was dropped: it has no translation" for name in include if name not in _INCLUDED]
    warnings += [f"reasoning.{name} was dropped: it has no translation" for name in reasoning if name not in _REASONING]


_INCLUDED = {ENCRYPTED, LOGPROBS}


def _instructions(body: Mapping[str, Any]) -> tuple[Message, ...]:
    told = text(body, "instructions")
    return (Message("system", (Text(told),)),) if told else ()


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name)
    if value is None or isinstance(value, Mapping):
        return value or {}
    raise InvalidRequest(f"`{name}` must be an object", param=name)


def _format(wanted: Any) -> Mapping[str, Any] | None:
    """The format in the form that it has in chat completions, where the schema is an object of its own."""
    if wanted is None:
        return None
    if not isinstance(wanted, Mapping) or not isinstance(wanted.get("type"), str):
        raise InvalidRequest("`text.format` must be an object with a type", param="text.format")
    if wanted["type"] != "json_schema":
        return None if wanted["type"] == "text" else wanted
    schema = {name: value for name, value in wanted.items() if name != "type" and value is not None}
    return {"type": "json_schema", "json_schema": schema}


def _tools(tools: Any, warnings: list[str]) -> tuple[tuple[Tool, ...], Mapping[str, Any] | None]:
    """The function tools, and the wish for a web search; None: there is none."""
    found, search = [], None
    for index, tool in enumerate(objects(tools, "tools")):
        path, kind = f"tools[{index}]", str(tool.get("type"))
        if kind == "function":
            found.append(_function(tool, path))
        elif kind in _SEARCHES or kind.startswith("web_search_"):
            filters = tool.get("filters")
            given = {name: value for name, value in tool.items() if name != "filters" and value is not None}
            search = search_of({**given, **(filters if isinstance(filters, Mapping) else {})}, path, warnings)
        else:
            raise Untranslatable.because(f"`{path}`: a tool of type {kind!r} has no translation")
    return tuple(found), search


def _function(tool: Mapping[str, Any], path: str) -> Tool:
    name, parameters = tool.get("name"), tool.get("parameters")
    if not isinstance(name, str) or not name:
        raise InvalidRequest(f"`{path}.name` is missing", param=f"{path}.name")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise InvalidRequest(f"`{path}.parameters` must be an object", param=f"{path}.parameters")
    return Tool(name, str(tool.get("description") or ""), parameters, True if tool.get("strict") is True else None)


def _tool_choice(choice: Any, tools: tuple[Tool, ...]) -> tuple[str, tuple[Tool, ...]]:
    """The choice, and the tools that are left of it: a list of allowed ones is a shorter list of tools."""
    if choice is None:
        return "", tools
    if choice in ("auto", "none", "required"):
        assert isinstance(choice, str), "it is one of the words"
        return choice, tools
    kind = choice.get("type") if isinstance(choice, Mapping) else None
    if kind == "function" and isinstance(choice.get("name"), str):
        return f"tool:{choice['name']}", tools
    if kind == "allowed_tools":
        allowed = objects(choice.get("tools"), "tool_choice.tools")
        if all(entry.get("type") == "function" for entry in allowed) and choice.get("mode") in ("auto", "required"):
            names = {text(entry, "name", f"tool_choice.tools[{index}].name") for index, entry in enumerate(allowed)}
            return choice["mode"], tuple(tool for tool in tools if tool.name in names)
    if isinstance(kind, str) and kind != "function":
        raise Untranslatable.because(f"`tool_choice` of type {kind!r} has no translation")
    raise InvalidRequest("`tool_choice` must be auto, none, required, or name a function", param="tool_choice")
