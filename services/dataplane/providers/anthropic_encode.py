"""A chat request in Anthropic's wire format.

What Anthropic refuses although OpenAI's format allows it is mended here, in `anthropic_turns`
and in `anthropic_reasoning`, each time with evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.dataplane.exchange import ChatRequest, Message, Thinking, Tool, ToolResult
from services.dataplane.providers.anthropic_documents import cache_control
from services.dataplane.providers.anthropic_reasoning import (
    BLANK_STOPS,
    NO_SAMPLING,
    NO_SAMPLING_WITH_THINKING,
    ONE_OF_BOTH,
    SAMPLING,
    Surroundings,
    Wish,
    adaptive_only,
    members_of,
    why_not,
)
from services.dataplane.providers.anthropic_turns import (
    SYSTEM,
    end_prefill,
    is_signed,
    note_losses,
    system_of,
    turns_of,
)
from services.dataplane.translation import Untranslatable

DEFAULT_MAX_TOKENS = 4_096
"""Anthropic requires `max_tokens`; OpenAI's format leaves it open."""
SAME_NAME = "a tool of the caller's has the name of Anthropic's own web search"
_SEARCH = {"type": "web_search_20250305", "name": "web_search"}
"""The oldest version, which every model with a search takes."""


def encode_body(request: ChatRequest, model: str) -> tuple[dict[str, Any], list[str]]:
    """The body of `request`, and what was dropped on the way.

    Raises:
        Untranslatable: A demand of the request has no translation.
    """
    dropped: list[str] = []
    adaptive = adaptive_only(model)
    reasoning = reasoning_members(request, dropped, adaptive=adaptive)
    body: dict[str, Any] = {"model": model, "max_tokens": _max_tokens(request, reasoning)}
    system = system_of(request.messages)
    if system:
        body["system"] = system
    body["messages"] = _turns(request, dropped, adaptive=adaptive)
    _put_tools(body, request)
    _put_search(body, request, dropped)
    body.update(reasoning)
    _put_sampling(body, request, dropped, adaptive=adaptive)
    _put_format(body, request)
    _put_stops(body, request, dropped)
    _put_tier(body, request, dropped)
    _drop_rest(request, dropped)
    if request.user:
        body["metadata"] = {"user_id": request.user}
    if request.stream:
        body["stream"] = True
    return body, dropped


def _turns(request: ChatRequest, dropped: list[str], *, adaptive: bool) -> list[dict[str, Any]]:
    turns = turns_of(request.messages)
    if not turns:
        raise Untranslatable.because("Anthropic needs at least one message of the user, with text that is not blank")
    if adaptive and turns[-1]["role"] == "assistant":
        raise Untranslatable.because("this model of Anthropic's does not continue the beginning of an answer")
    note_losses(request.messages, dropped)
    end_prefill(turns, dropped)
    return turns


def reasoning_members(request: ChatRequest, dropped: list[str], *, adaptive: bool) -> dict[str, Any]:
    """The members of a body that ask a Claude for reasoning; empty: none, and why is in `dropped`."""
    wish = Wish(request.reasoning_effort, request.reasoning_budget, request.max_tokens)
    if not wish.wanted:
        return {}
    if not wish.known:
        dropped.append(f"the reasoning effort {wish.effort!r} was dropped: Anthropic has nothing like it")
        return {}
    turns = [m for m in request.messages if m.role not in SYSTEM]
    around = Surroundings(
        forced_tool=request.tool_choice == "required" or request.tool_choice.startswith("tool:"),
        prefill=bool(turns) and turns[-1].role == "assistant",
        unsigned_calls=_answers_unsigned_calls(turns),
    )
    why = why_not(wish, around, adaptive=adaptive)
    if why:
        dropped.append(f"reasoning was dropped: {why}")
        return {}
    members = dict(members_of(wish, adaptive=adaptive))
    if adaptive and request.shows_reasoning is not None:
        # Newer models leave their reasoning out unless they are told to show it.
        shown = "summarized" if request.shows_reasoning else "omitted"
        members["thinking"] = {**members["thinking"], "display": shown}
    return members


def _answers_unsigned_calls(turns: list[Message]) -> bool:
    """Whether the end of `turns` is results of tools that were called without signed reasoning."""
    rest = list(turns)
    results = False
    while rest and rest[-1].role != "assistant":
        results |= any(isinstance(p, ToolResult) for p in rest.pop().parts)
    signed = False
    while rest and rest[-1].role == "assistant":
        signed |= any(isinstance(p, Thinking) and is_signed(p) for p in rest.pop().parts)
    return results and not signed


def _max_tokens(request: ChatRequest, reasoning: dict[str, Any]) -> int:
    if request.max_tokens is not None:
        return request.max_tokens
    # The limit includes the thinking budget and must exceed it.
    budget: int = reasoning.get("thinking", {}).get("budget_tokens", 0)
    return DEFAULT_MAX_TOKENS + budget


def _put_sampling(body: dict[str, Any], request: ChatRequest, dropped: list[str], *, adaptive: bool) -> None:
    given = {name: value for name in SAMPLING if (value := getattr(request, name)) is not None}
    temperature = given.get("temperature")
    if adaptive or "thinking" in body:
        why = NO_SAMPLING if adaptive else NO_SAMPLING_WITH_THINKING
        # A temperature of 1 is what they do by themselves.
        dropped.extend(f"{name} was dropped: {why}" for name in given if name != "temperature" or temperature != 1)
        given = {}
    elif temperature is not None:
        given["temperature"] = min(temperature, 1)
        if temperature > 1:
            dropped.append("temperature was lowered to 1, the highest that Anthropic takes")
        if given.pop("top_p", None) is not None:
            dropped.append(ONE_OF_BOTH)
    body.update(given)
    for name in ("seed", "frequency_penalty", "presence_penalty"):
        if getattr(request, name) is not None:
            dropped.append(f"{name} was dropped: Anthropic has no such field")


_NOT_TAKEN: Mapping[str, str] = {
    "verbosity": "verbosity",
    "logprobs": "logprobs",
    "top_logprobs": "top_logprobs",
    "logit_bias": "logit_bias",
    "min_p": "min_p",
    "repetition_penalty": "repetition_penalty",
    "cache_key": "prompt_cache_key",
    "metadata": "metadata",
}
"""Fields of a request that Anthropic lacks, and what callers know them by."""


def _drop_rest(request: ChatRequest, dropped: list[str]) -> None:
    """What Anthropic has no field for, and what it cannot answer with."""
    others = [kind for kind in request.modalities if kind != "text"]
    if others:
        raise Untranslatable.because(f"Anthropic's models answer with no {', '.join(others)}")
    for name, told in _NOT_TAKEN.items():
        if getattr(request, name) not in (None, "", False):
            dropped.append(f"{told} was dropped: Anthropic has no such field")


def _put_tier(body: dict[str, Any], request: ChatRequest, dropped: list[str]) -> None:
    tier = {"auto": "auto", "default": "standard_only"}.get(request.service_tier)
    if tier is not None:
        body["service_tier"] = tier
    elif request.service_tier:
        dropped.append(f"the service tier {request.service_tier!r} was dropped: Anthropic has nothing like it")


def _put_search(body: dict[str, Any], request: ChatRequest, dropped: list[str]) -> None:
    """Anthropic's own web search, a tool that its servers run."""
    search = request.web_search
    if search is None:
        return
    if any(tool.name == _SEARCH["name"] for tool in request.tools):
        raise Untranslatable.because(SAME_NAME)
    body.setdefault("tools", []).append(search_tool(search, dropped))


def search_tool(search: Mapping[str, Any], dropped: list[str]) -> dict[str, Any]:
    """A wish for a search, as Anthropic's tool.

    Raises:
        Untranslatable: It wishes what Anthropic's search cannot do.
    """
    tool: dict[str, Any] = {**_SEARCH}
    for name in ("max_uses", "allowed_domains", "blocked_domains"):
        if search.get(name):
            tool[name] = search[name]
    if "allowed_domains" in tool and "blocked_domains" in tool:
        raise Untranslatable.because("Anthropic's web search takes no blocked_domains beside allowed_domains")
    if search.get("user_location"):
        tool["user_location"] = {"type": "approximate", **search["user_location"]}
    for name in ("max_results", "search_context_size"):
        if name in search:
            dropped.append(f"{name} of the web search was dropped: Anthropic's search does not take it")
    return tool


def _put_stops(body: dict[str, Any], request: ChatRequest, dropped: list[str]) -> None:
    stops = [stop for stop in request.stop if stop.strip()]
    if stops:
        body["stop_sequences"] = stops
    if len(stops) < len(request.stop):
        dropped.append(BLANK_STOPS)


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
    if wanted is None or kind in (None, "text"):
        return
    given = wanted.get("json_schema")
    schema = given.get("schema") if kind == "json_schema" and isinstance(given, dict) else None
    if not isinstance(schema, dict):
        raise Untranslatable.because(f"response_format {kind!r} has no translation for Anthropic; give a json_schema")
    body.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": schema}


def _tool(tool: Tool) -> dict[str, Any]:
    body: dict[str, Any] = {"name": tool.name, "input_schema": tool.parameters or {"type": "object", "properties": {}}}
    if tool.description:
        body["description"] = tool.description
    if tool.strict:
        body["strict"] = True
    return {**body, **cache_control(tool.cache_control)}
