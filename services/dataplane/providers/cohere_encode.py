"""A chat request in the wire format of Cohere's v2 chat API.

https://docs.cohere.com/reference/chat
"""

from __future__ import annotations

from typing import Any

from services.dataplane.exchange import ChatRequest, Tool
from services.dataplane.providers.cohere_turns import documents_of, messages_of
from services.dataplane.translation import Untranslatable

MAX_STOPS = 5
MAX_TOP_K = 500
_REASONS = ("reasoning", "command-a-plus", "north-mini")
"""Parts of the names of models that reason; others refuse `thinking`."""

_BUDGETS = {"minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 16_384}
_NOT_THERE = ("verbosity", "min_p", "repetition_penalty", "service_tier", "cache_key", "metadata", "user")


def encode_body(request: ChatRequest, model: str) -> tuple[dict[str, Any], list[str]]:
    """The body of `request`, and what was dropped on the way.

    Raises:
        Untranslatable: A demand of the request has no translation.
    """
    _refuse_demands(request)
    dropped: list[str] = []
    body: dict[str, Any] = {"model": model, "stream": request.stream, "messages": messages_of(request, dropped)}
    documents = documents_of(request)
    if documents:
        body["documents"] = documents
    _put_tools(body, request, dropped)
    _put_format(body, request)
    _put_sampling(body, request, dropped)
    _put_thinking(body, request, model, dropped)
    if request.stop:
        body["stop_sequences"] = list(request.stop)
    if request.logprobs:
        body["logprobs"] = True
    dropped += [f"{n} was dropped: Cohere's format has no such field" for n in _NOT_THERE if getattr(request, n)]
    return body, dropped


def _refuse_demands(request: ChatRequest) -> None:
    demands = {
        "logit_bias": bool(request.logit_bias),
        "top_logprobs": bool(request.top_logprobs),
        "web_search": request.web_search is not None,
        "modalities": bool(set(request.modalities) - {"text"}),
        "more than 5 stop sequences": len(request.stop) > MAX_STOPS,
    }
    for name, wanted in demands.items():
        if wanted:
            raise Untranslatable.because(f"{name}: Cohere has nothing like it")


def _put_tools(body: dict[str, Any], request: ChatRequest, dropped: list[str]) -> None:
    tools, choice = request.tools, request.tool_choice
    if choice.startswith("tool:"):
        # Only "some tool" can be forced; with one on offer that is the one.
        tools = tuple(t for t in tools if t.name == choice.removeprefix("tool:"))
        if not tools:
            raise Untranslatable.because(
                f"tool_choice names {choice.removeprefix('tool:')!r}, which is no tool of the request"
            )
    if not tools:
        return
    body["tools"] = [_tool(tool) for tool in tools]
    if choice in {"required", "none"}:
        body["tool_choice"] = choice.upper()
    elif choice.startswith("tool:"):
        body["tool_choice"] = "REQUIRED"
    if all(tool.strict for tool in tools):
        body["strict_tools"] = True
    elif any(tool.strict for tool in tools):
        dropped.append("strict was dropped: Cohere takes it for all tools or none")
    if request.parallel_tool_calls is False:
        dropped.append("parallel_tool_calls was dropped: Cohere's format has no such field")


def _tool(tool: Tool) -> dict[str, Any]:
    parameters = tool.parameters if tool.parameters is not None else {"type": "object", "properties": {}}
    function: dict[str, Any] = {"name": tool.name, "parameters": parameters}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _put_format(body: dict[str, Any], request: ChatRequest) -> None:
    wanted = request.response_format or {}
    kind = wanted.get("type")
    if kind in (None, "text"):
        return
    if "tools" in body or "documents" in body:
        raise Untranslatable.because("response_format: Cohere does not take it together with tools or documents")
    if kind == "json_object":
        body["response_format"] = {"type": "json_object"}
        return
    named = wanted.get("json_schema")
    schema = named.get("schema") if isinstance(named, dict) else None
    if kind != "json_schema" or not isinstance(schema, dict):
        raise Untranslatable.because(f"response_format of type {kind!r} has no translation")
    body["response_format"] = {"type": "json_object", "json_schema": schema}


def _put_sampling(body: dict[str, Any], request: ChatRequest, dropped: list[str]) -> None:
    for name in ("max_tokens", "temperature", "seed"):
        if getattr(request, name) is not None:
            body[name] = getattr(request, name)
    if request.top_p is not None and request.top_p < 1:
        body["p"] = _within("top_p", request.top_p, 0.01, 0.99, dropped)
    if request.top_k is not None:
        body["k"] = _within("top_k", request.top_k, 0, MAX_TOP_K, dropped)
    for name in ("frequency_penalty", "presence_penalty"):
        if getattr(request, name) is not None:
            body[name] = _within(name, getattr(request, name), 0, 1, dropped)


def _within(name: str, value: float, low: float, high: float, dropped: list[str]) -> float:
    """`value`, moved to the next one that Cohere takes."""
    found = min(max(value, low), high)
    if found != value:
        dropped.append(f"{name} was changed to {found:g}: Cohere takes {low:g} to {high:g}")
    return found


def _put_thinking(body: dict[str, Any], request: ChatRequest, model: str, dropped: list[str]) -> None:
    effort, budget = request.reasoning_effort, request.reasoning_budget
    if budget is None and effort in {"", "unspecified"}:
        return
    off = budget <= 0 if budget is not None else effort == "none"
    if not any(part in model for part in _REASONS):
        if not off:
            dropped.append(f"reasoning was dropped: the model {model} does not reason")
        return
    if off:
        body["thinking"] = {"type": "disabled"}
        return
    tokens = budget if budget is not None else _BUDGETS.get(effort)
    body["thinking"] = {"type": "enabled", **({"token_budget": tokens} if tokens is not None else {})}
