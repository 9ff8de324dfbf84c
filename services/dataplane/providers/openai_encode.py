"""A chat request in OpenAI's wire format."""

from __future__ import annotations

from typing import Any

from services.core.policy.provider_types import quirks_of
from services.core.policy.snapshot import Target
from services.core.policy.vendors import Quirks
from services.dataplane.exchange import ChatRequest, Tool, ToolResult
from services.dataplane.providers.openai_encode_messages import MessageEncoder
from services.dataplane.providers.openai_fit import fit
from services.dataplane.providers.openai_search import search_members
from services.dataplane.translation import Untranslatable


def encode_body(request: ChatRequest, target: Target) -> tuple[dict[str, Any], list[str]]:
    """The body of `request`, and what was dropped on the way.

    Raises:
        Untranslatable: A demand of the request has no translation.
    """
    dropped: list[str] = []
    quirks = quirks_of(target.provider.type)
    if quirks.max_stops and len(request.stop) > quirks.max_stops:
        told = f"the provider takes at most {quirks.max_stops} stop sequences, not {len(request.stop)}"
        raise Untranslatable.because(told)
    encoder = MessageEncoder(quirks, dropped, gemini="gemini" in target.upstream_model.lower())
    body: dict[str, Any] = {"model": target.upstream_model, "messages": encoder.messages(request.messages)}
    _put_tools(body, request, quirks)
    if request.max_tokens is not None:
        body[quirks.limit] = request.max_tokens
    simple = {
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty,
        "logprobs": True if request.logprobs else None,
        "top_logprobs": request.top_logprobs,
        "logit_bias": request.logit_bias or None,
        "response_format": request.response_format,
        "user": request.user or None,
        "stop": list(request.stop) or None,
    }
    body.update({name: value for name, value in simple.items() if value is not None})
    _put_reasoning(body, request, quirks)
    _put_sampling(body, request, quirks, dropped)
    _put_hints(body, request, quirks, dropped)
    _put_modalities(body, request, quirks)
    if request.web_search is not None:
        body.update(search_members(request.web_search, quirks, target.upstream_model, dropped))
    _note_losses(request, quirks, dropped)
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    return body, [*dropped, *fit(body, target)]


def effort_of(budget: int | None) -> str | None:
    """A reasoning effort for a budget of tokens; None: not said."""
    if budget is None:
        return None
    if budget <= 0:
        return "none"
    return "low" if budget <= 2_048 else "medium" if budget <= 8_192 else "high"


def _put_reasoning(body: dict[str, Any], request: ChatRequest, quirks: Quirks) -> None:
    """An effort, else the one that a budget comes to; gateways take both, and whether it is shown."""
    effort = request.reasoning_effort or None
    if quirks.details:
        wish: dict[str, Any] = {"effort": effort, "max_tokens": request.reasoning_budget if effort is None else None}
        if request.shows_reasoning is not None:
            wish["exclude"] = not request.shows_reasoning
        found = {name: value for name, value in wish.items() if value is not None}
        body.update({"reasoning": found} if found else {})
        return
    found_effort = effort or effort_of(request.reasoning_budget)
    if found_effort is not None:
        # "max" is a word of Anthropic's and of gateways.
        body["reasoning_effort"] = "xhigh" if found_effort == "max" else found_effort


def _put_sampling(body: dict[str, Any], request: ChatRequest, quirks: Quirks, dropped: list[str]) -> None:
    for name in ("top_k", "min_p", "repetition_penalty"):
        value = getattr(request, name)
        if value is not None and quirks.sampling:
            body[name] = value
        elif value is not None:
            dropped.append(f"{name} was dropped: OpenAI's format has no such field")


def _put_hints(body: dict[str, Any], request: ChatRequest, quirks: Quirks, dropped: list[str]) -> None:
    hints: dict[str, Any] = {
        "verbosity": request.verbosity,
        "service_tier": request.service_tier,
        "prompt_cache_key": request.cache_key,
        "metadata": dict(request.metadata) if request.metadata else None,
    }
    for name, value in hints.items():
        if value and quirks.hints:
            body[name] = value
        elif value:
            dropped.append(f"{name} was dropped: not every provider of OpenAI's format takes it")
    if "metadata" in body and quirks.openai_models:
        # Without it OpenAI refuses metadata.
        body["store"] = True


def _put_modalities(body: dict[str, Any], request: ChatRequest, quirks: Quirks) -> None:
    if not request.modalities:
        return
    if "audio" in request.modalities:
        raise Untranslatable.because("spoken answers are not asked for across protocols")
    if quirks.openai_models:
        told = f"OpenAI's chat completions make no {', '.join(m for m in request.modalities if m != 'text')}"
        raise Untranslatable.because(told)
    body["modalities"] = list(request.modalities)


def _note_losses(request: ChatRequest, quirks: Quirks, dropped: list[str]) -> None:
    """What OpenAI's messages and tools cannot say, once each."""
    if request.messages and request.messages[-1].role == "assistant" and not quirks.prefill:
        dropped.append("the beginning of an answer is not continued: OpenAI's models begin a new one")
    if not quirks.marks and _is_marked(request):
        dropped.append("cache_control was dropped: OpenAI's format has no such field")


def _is_marked(request: ChatRequest) -> bool:
    """Whether any part or tool has a mark for the prompt cache."""
    for message in request.messages:
        for part in message.parts:
            if getattr(part, "cache_control", None):
                return True
            if isinstance(part, ToolResult) and any(getattr(p, "cache_control", None) for p in part.content):
                return True
    return any(tool.cache_control for tool in request.tools)


def _put_tools(body: dict[str, Any], request: ChatRequest, quirks: Quirks) -> None:
    if request.tools:
        body["tools"] = [_tool(tool, quirks) for tool in request.tools]
    if request.tool_choice:
        body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.parallel_tool_calls is not None and request.tools:
        body["parallel_tool_calls"] = request.parallel_tool_calls


def _tool(tool: Tool, quirks: Quirks) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    marks = {"cache_control": tool.cache_control} if quirks.marks and tool.cache_control else {}
    return {"type": "function", "function": function, **marks}


def _tool_choice(choice: str) -> Any:
    if choice.startswith("tool:"):
        return {"type": "function", "function": {"name": choice.removeprefix("tool:")}}
    return choice
