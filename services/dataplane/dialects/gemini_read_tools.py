"""The tools of Google-style requests in the exchange model's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.core.errors import InvalidRequest
from services.dataplane.dialects.gemini_form import Losses, message, messages
from services.dataplane.dialects.gemini_read_parts import message_args
from services.dataplane.dialects.gemini_schema import json_schema
from services.dataplane.dialects.reading import strings
from services.dataplane.exchange import Tool
from services.dataplane.translation import Untranslatable

_SEARCHES = ("googleSearch", "googleSearchRetrieval")
_DECLARATION = ("name", "description", "parameters", "parametersJsonSchema")
_MODES: Mapping[str, str] = {"AUTO": "auto", "ANY": "required", "NONE": "none", "VALIDATED": "auto"}


@dataclass(slots=True)
class Tools:
    """What the model may call.

    Attributes:
        choice: As `ChatRequest.tool_choice`.
        search: As `ChatRequest.web_search`.
    """

    functions: tuple[Tool, ...] = ()
    choice: str = ""
    search: Mapping[str, Any] | None = None


def read_tools(body: Mapping[str, Any], losses: Losses) -> Tools:
    """The tools of a request, and whether they must be called.

    Raises:
        InvalidRequest: They are not well formed.
        Untranslatable: One of them is a tool that only Google has.
    """
    found = Tools()
    for index, given in enumerate(messages(body.get("tools"), "tools")):
        path = f"tools[{index}]"
        for name in given:
            if name == "functionDeclarations":
                declared = messages(given[name], f"{path}.{name}")
                found.functions += tuple(_function(d, f"{path}.{name}[{at}]", losses) for at, d in enumerate(declared))
            elif name in _SEARCHES:
                found.search = _search(message(given[name], f"{path}.{name}"), f"{path}.{name}", losses)
            else:
                raise Untranslatable.because(f"{path}: the tool {name} has no translation for this model's provider")
    _choose(found, message(body.get("toolConfig"), "toolConfig"), losses)
    return found


def _function(given: Mapping[str, Any], path: str, losses: Losses) -> Tool:
    name = given.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidRequest(f"`{path}.name` is missing", param=f"{path}.name")
    losses.unknown(given, _DECLARATION, " of function declarations")
    schema: Mapping[str, Any] | None = None
    if "parametersJsonSchema" in given:
        schema = message_args(given["parametersJsonSchema"], f"{path}.parametersJsonSchema")
    elif "parameters" in given:
        schema = json_schema(given["parameters"], f"{path}.parameters")
    return Tool(name, str(given.get("description") or ""), schema or None)


def _search(given: Mapping[str, Any], path: str, losses: Losses) -> Mapping[str, Any]:
    blocked = strings(given.get("excludeDomains"), f"{path}.excludeDomains")
    losses.unknown(given, ("excludeDomains",), " of the search")
    return {"blocked_domains": list(blocked)} if blocked else {}


def _choose(found: Tools, config: Mapping[str, Any], losses: Losses) -> None:
    """Whether functions must be called, and which of them may be."""
    losses.unknown(config, ("functionCallingConfig",), " of toolConfig")
    path = "toolConfig.functionCallingConfig"
    calling = message(config.get("functionCallingConfig"), path)
    losses.unknown(calling, ("mode", "allowedFunctionNames"), " of functionCallingConfig")
    mode = calling.get("mode", "MODE_UNSPECIFIED")
    allowed = strings(calling.get("allowedFunctionNames"), f"{path}.allowedFunctionNames")
    if not found.functions or mode == "MODE_UNSPECIFIED":
        return
    choice = _MODES.get(mode.upper()) if isinstance(mode, str) else None
    if choice is None:
        raise InvalidRequest(f"`{path}.mode` must be AUTO, ANY, NONE or VALIDATED", param=f"{path}.mode")
    if mode.upper() == "VALIDATED":
        losses.add("the mode VALIDATED became AUTO: nobody else holds calls to their schemas that way")
    if allowed:
        found.functions = tuple(tool for tool in found.functions if tool.name in allowed)
        if not found.functions:
            told = f"`{path}.allowedFunctionNames` names no function of the request"
            raise InvalidRequest(told, param=f"{path}.allowedFunctionNames")
    found.choice = f"tool:{allowed[0]}" if choice == "required" and len(allowed) == 1 else choice
