"""The tools of OpenAI-style bodies, in the form of today and in the one before it (`functions`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.errors import InvalidRequest
from services.dataplane.dialects.reading import objects
from services.dataplane.exchange import Tool
from services.dataplane.translation import Untranslatable

_WORDS = ("auto", "none", "required")


def speaks_functions(body: Mapping[str, Any]) -> bool:
    """Whether the caller uses the form before tools, and so expects `function_call` in the answer."""
    return bool(body.get("functions")) and not body.get("tools")


def read_tools(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    """The tools of a body.

    Raises:
        InvalidRequest: One is not well formed.
        Untranslatable: One is of a type that only this protocol has.
    """
    if speaks_functions(body):
        functions = objects(body["functions"], "functions")
        return tuple(_function(f, {}, f"functions[{index}]") for index, f in enumerate(functions))
    return tuple(_tool(tool, f"tools[{index}]") for index, tool in enumerate(objects(body.get("tools"), "tools")))


def _tool(tool: Mapping[str, Any], path: str) -> Tool:
    if tool.get("type") not in (None, "function"):
        raise Untranslatable.because(f"`{path}`: a tool of type {tool['type']!r} has no translation")
    return _function(tool.get("function"), tool, f"{path}.function")


def _function(function: Any, tool: Mapping[str, Any], path: str) -> Tool:
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise InvalidRequest(f"`{path}.name` is missing", param=f"{path}.name")
    parameters = function.get("parameters")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise InvalidRequest(f"`{path}.parameters` must be an object", param=f"{path}.parameters")
    strict = True if function.get("strict") is True else None
    return Tool(function["name"], str(function.get("description") or ""), parameters, strict, tool.get("cache_control"))


def read_tool_choice(body: Mapping[str, Any]) -> str:
    """The choice of a tool, in the exchange model's words; empty: none was made.

    Raises:
        InvalidRequest: It is not well formed.
        Untranslatable: Only this protocol has it.
    """
    if speaks_functions(body):
        return _function_choice(body.get("function_call"))
    choice = body.get("tool_choice")
    if choice is None:
        return ""
    if isinstance(choice, str):
        # Mistral and the servers before it say "any" for "required".
        word = "required" if choice == "any" else choice
        if word in _WORDS:
            return word
    if isinstance(choice, Mapping):
        if choice.get("type") in ("allowed_tools", "custom"):
            raise Untranslatable.because(f"`tool_choice` of type {choice['type']!r} has no translation")
        function = choice.get("function")
        named = function.get("name") if isinstance(function, Mapping) else None
        if isinstance(named, str):
            return f"tool:{named}"
    raise InvalidRequest("`tool_choice` must be auto, none, required, or name a function", param="tool_choice")


def _function_choice(choice: Any) -> str:
    if choice is None:
        return ""
    if choice in ("auto", "none"):
        assert isinstance(choice, str), "it is one of the words"
        return choice
    if isinstance(choice, Mapping) and isinstance(choice.get("name"), str):
        return f"tool:{choice['name']}"
    raise InvalidRequest("`function_call` must be auto, none, or name a function", param="function_call")
