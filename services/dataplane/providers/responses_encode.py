"""A chat request in the wire format of OpenAI's Responses API.

Every request is whole by itself (`store: false`); where the model reasons, its reasoning is asked
for in encrypted form, so that the caller can hand it back with the next turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.policy.provider_types import quirks_of
from services.core.policy.snapshot import Target
from services.dataplane.exchange import ChatRequest, File, Text, Thinking, Tool, ToolResult
from services.dataplane.proofs import note_call_proofs
from services.dataplane.providers.openai_encode import effort_of
from services.dataplane.providers.openai_fit import fit_sampling, reasons
from services.dataplane.providers.responses_input import instructions_of, items_of
from services.dataplane.translation import Untranslatable

MIN_OUTPUT_TOKENS = 16
"""OpenAI refuses less."""
ENCRYPTED = "reasoning.encrypted_content"
_LOGPROBS = "message.output_text.logprobs"

_LOSSES = (
    "seed", "frequency_penalty", "presence_penalty", "top_k", "min_p", "repetition_penalty", "logit_bias",
)  # fmt: skip


def encode_body(request: ChatRequest, target: Target) -> tuple[dict[str, Any], list[str]]:
    """The body of `request`, and what was dropped on the way.

    Raises:
        Untranslatable: A demand of the request has no translation.
    """
    dropped: list[str] = []
    if request.stop:
        raise Untranslatable.because("stop sequences have no translation to OpenAI's Responses API")
    if "audio" in request.modalities:
        raise Untranslatable.because("sound as an answer has no translation to OpenAI's Responses API")
    instructions, messages = instructions_of(request.messages)
    proper = quirks_of(target.provider.type).openai_models
    body: dict[str, Any] = {"model": target.upstream_model, "input": items_of(messages, dropped, proper=proper)}
    if not body["input"]:
        raise Untranslatable.because("OpenAI's Responses API needs at least one message")
    if instructions:
        body["instructions"] = instructions
    _put_tools(body, request, dropped)
    _put_text(body, request)
    _put_reasoning(body, request, encrypted=reasons(target) if proper else _asks_reasoning(request))
    _put_limits(body, request, dropped)
    _put_logprobs(body, request)
    body["store"] = False
    if request.stream:
        body["stream"] = True
    _note_losses(request, dropped)
    dropped += fit_sampling(body, target, body.get("reasoning", {}).get("effort", ""))
    return body, dropped


def _put_tools(body: dict[str, Any], request: ChatRequest, dropped: list[str]) -> None:
    tools = [_tool(tool) for tool in request.tools]
    if request.web_search is not None:
        tools.append(search_tool(request.web_search, dropped))
    if "image" in request.modalities:
        tools.append({"type": "image_generation"})
    if not tools:
        return
    body["tools"] = tools
    if request.tool_choice.startswith("tool:"):
        body["tool_choice"] = {"type": "function", "name": request.tool_choice.removeprefix("tool:")}
    elif request.tool_choice:
        body["tool_choice"] = request.tool_choice
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls


def _tool(tool: Tool) -> dict[str, Any]:
    # Here a tool is strict unless it says that it is not; everywhere else it is the other way round.
    body: dict[str, Any] = {"type": "function", "name": tool.name, "strict": tool.strict is True}
    if tool.description:
        body["description"] = tool.description
    return {**body, "parameters": tool.parameters or {"type": "object", "properties": {}}}


def search_tool(wanted: Mapping[str, Any], dropped: list[str]) -> dict[str, Any]:
    """The tool that searches the web as `wanted`, in the exchange model's words; what it does not take is told."""
    body: dict[str, Any] = {"type": "web_search"}
    for name, value in wanted.items():
        if name == "search_context_size":
            body[name] = value
        elif name == "allowed_domains":
            body["filters"] = {"allowed_domains": list(value)}
        elif name == "user_location":
            body[name] = {"type": "approximate", **value}
        else:
            dropped.append(f"{name} of the web search was dropped: OpenAI's search does not take it")
    return body


def _put_text(body: dict[str, Any], request: ChatRequest) -> None:
    text: dict[str, Any] = {}
    wanted = request.response_format or {}
    if wanted.get("type") == "json_schema":
        text["format"] = {"type": "json_schema", **_schema(wanted.get("json_schema"))}
    elif wanted:
        text["format"] = dict(wanted)
    if request.verbosity:
        text["verbosity"] = request.verbosity
    if text:
        body["text"] = text


def _schema(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or not isinstance(given.get("schema"), dict):
        raise Untranslatable.because("response_format without a json_schema.schema has no translation")
    found = {name: given[name] for name in ("name", "schema", "strict", "description") if given.get(name) is not None}
    return {"name": "answer", **found}  # elsewhere a schema needs no name


def _put_reasoning(body: dict[str, Any], request: ChatRequest, *, encrypted: bool) -> None:
    reasoning: dict[str, Any] = {}
    effort = request.reasoning_effort or effort_of(request.reasoning_budget)
    if effort:
        reasoning["effort"] = effort
    if request.shows_reasoning:
        reasoning["summary"] = "auto"
    if reasoning:
        body["reasoning"] = reasoning
    if encrypted:
        # Models that do not reason refuse to be asked for it.
        body["include"] = [ENCRYPTED]


def _asks_reasoning(request: ChatRequest) -> bool:
    thoughts = any(isinstance(part, Thinking) for message in request.messages for part in message.parts)
    return bool(request.reasoning_effort or request.reasoning_budget or request.shows_reasoning or thoughts)


def _put_limits(body: dict[str, Any], request: ChatRequest, dropped: list[str]) -> None:
    if request.max_tokens is not None:
        body["max_output_tokens"] = max(MIN_OUTPUT_TOKENS, request.max_tokens)
        if request.max_tokens < MIN_OUTPUT_TOKENS:
            dropped.append(f"max_tokens was raised to {MIN_OUTPUT_TOKENS}, the least that OpenAI's Responses API takes")
    simple = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "service_tier": request.service_tier or None,
        "prompt_cache_key": request.cache_key or None,
        "metadata": dict(request.metadata) if request.metadata else None,
        "user": request.user or None,
    }
    body.update({name: value for name, value in simple.items() if value is not None})


def _put_logprobs(body: dict[str, Any], request: ChatRequest) -> None:
    if request.logprobs:
        body["include"] = [*body.get("include", ()), _LOGPROBS]
    if request.top_logprobs is not None:
        body["top_logprobs"] = request.top_logprobs


def _note_losses(request: ChatRequest, dropped: list[str]) -> None:
    """What the API cannot say, once each."""
    for name in _LOSSES:
        if getattr(request, name) is not None:
            dropped.append(f"{name} was dropped: OpenAI's Responses API has no such field")
    parts = [p for m in request.messages for p in m.parts]
    inner = [p for part in parts if isinstance(part, ToolResult) for p in part.content]
    if any(getattr(p, "cache_control", None) for p in (*parts, *inner, *request.tools)):
        dropped.append("cache_control was dropped: OpenAI's format has no such field")
    if any(isinstance(p, File) and p.citations for p in (*parts, *inner)):
        dropped.append("citations of documents were dropped: OpenAI's Responses API cites what it searches only")
    note_call_proofs(request.messages, dropped)
    last = request.messages[-1] if request.messages else None
    if last is not None and last.role == "assistant" and any(isinstance(p, Text) for p in last.parts):
        dropped.append("the beginning of an answer is not continued: OpenAI's models begin a new one")
