"""OpenAI-style bodies as exchange requests; used only when the provider speaks another protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.errors import InvalidRequest
from services.core.values import changed
from services.dataplane.dialects.openai_house import NO_COMPRESSION
from services.dataplane.dialects.openai_overrides import wish_of
from services.dataplane.dialects.openai_read_messages import read_messages
from services.dataplane.dialects.openai_read_tools import read_tool_choice, read_tools, speaks_functions
from services.dataplane.dialects.read_search import read_search, searches_of
from services.dataplane.dialects.reading import integer, mark_last, number, strings, text, word
from services.dataplane.exchange import ChatRequest
from services.dataplane.translation import Untranslatable
from services.wire.chat_facts import ROUTING_FIELDS

_CARRIED = {
    "model", "messages", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls", "max_tokens",
    "max_completion_tokens", "temperature", "top_p", "top_k", "stop", "seed", "random_seed", "frequency_penalty",
    "presence_penalty", "response_format", "reasoning_effort", "reasoning", "user", "extra_body",
    "metadata", "n", "modalities", *ROUTING_FIELDS,
    "functions", "function_call", "web_search", "web_search_options", "plugins", "logprobs", "top_logprobs",
    "logit_bias", "min_p", "repetition_penalty", "verbosity", "service_tier", "prompt_cache_key", "cache_control",
    "safety_identifier", "include_reasoning",
}  # fmt: skip
_DEMANDS = ("audio", "moderation")
"""Without these the answer would not be what was asked for, so they are not dropped."""
_DROPPED = {
    "prediction": "a prediction was dropped: it only speeds up the models of its own protocol",
    "store": "store was dropped: only providers of the same protocol keep answers",
}


def read_chat(body: Mapping[str, Any], reasoning: Mapping[str, Any]) -> ChatRequest:
    """The exchange request of a decoded body.

    Args:
        reasoning: The caller's `reasoning` object, wherever it stood.

    Raises:
        InvalidRequest: A field that has to be understood is not well formed.
        Untranslatable: A field demands what only this protocol can give.
    """
    _refuse_demands(body)
    warnings = _warnings(body)
    limit = integer(body, "max_completion_tokens")
    stop = body.get("stop")
    control = body.get("cache_control")
    messages = read_messages(body.get("messages"))
    request = ChatRequest(
        messages=mark_last(messages, control) if isinstance(control, Mapping) else messages,
        stream=body.get("stream") is True,
        tools=read_tools(body),
        tool_choice=read_tool_choice(body),
        # The form before tools has room for one call only.
        parallel_tool_calls=False if body.get("parallel_tool_calls") is False or speaks_functions(body) else None,
        max_tokens=limit if limit is not None else integer(body, "max_tokens"),
        temperature=number(body, "temperature"),
        top_p=number(body, "top_p"),
        top_k=integer(body, "top_k"),
        stop=(stop,) if isinstance(stop, str) else strings(stop, "stop"),
        seed=integer(body, "seed" if body.get("random_seed") is None else "random_seed"),
        frequency_penalty=number(body, "frequency_penalty"),
        presence_penalty=number(body, "presence_penalty"),
        response_format=_format(body.get("response_format")),
        web_search=read_search({**body, **searches_of(body)}, warnings),
    )
    return changed(_with_reasoning(_with_rest(request, body), body, reasoning), warnings=tuple(warnings))


def _with_rest(request: ChatRequest, body: Mapping[str, Any]) -> ChatRequest:
    """`request` with what only some providers take."""
    modalities = strings(body.get("modalities"), "modalities")
    return changed(
        request,
        verbosity=word(body, "verbosity", ("low", "medium", "high")),
        logprobs=body.get("logprobs") is True,
        top_logprobs=integer(body, "top_logprobs"),
        logit_bias=_bias(body.get("logit_bias")),
        min_p=number(body, "min_p"),
        repetition_penalty=number(body, "repetition_penalty"),
        modalities=() if set(modalities) <= {"text"} else modalities,
        service_tier=text(body, "service_tier"),
        cache_key=text(body, "prompt_cache_key"),
        metadata=_bookkeeping(body),
        user=str(body.get("user") or body.get("safety_identifier") or ""),
    )


def _bias(given: Any) -> Mapping[str, float] | None:
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise InvalidRequest("`logit_bias` must be an object", param="logit_bias")
    return {token: number(given, token, f"logit_bias.{token}") or 0 for token in given} or None


def _bookkeeping(body: Mapping[str, Any]) -> Mapping[str, str] | None:
    """Metadata is the provider's only for answers that it stores; else it is for routing."""
    given = body.get("metadata")
    if body.get("store") is not True or not isinstance(given, Mapping) or not given:
        return None
    return {name: value if isinstance(value, str) else str(value) for name, value in given.items()}


def _with_reasoning(request: ChatRequest, body: Mapping[str, Any], reasoning: Mapping[str, Any]) -> ChatRequest:
    effort, _ = wish_of(reasoning)
    effort = effort or body.get("reasoning_effort")
    if effort is not None and not isinstance(effort, str):
        raise InvalidRequest("`reasoning_effort` must be text", param="reasoning_effort")
    budget = integer(reasoning, "max_tokens", "reasoning.max_tokens")
    return changed(
        request,
        reasoning_effort=effort or "",
        reasoning_budget=budget,
        shows_reasoning=shows_reasoning(body, reasoning),
    )


def shows_reasoning(body: Mapping[str, Any], reasoning: Mapping[str, Any]) -> bool | None:
    """Whether the caller wants to see reasoning; None: not said."""
    exclude, include = reasoning.get("exclude"), body.get("include_reasoning")
    if isinstance(exclude, bool):
        return not exclude
    if isinstance(include, bool):
        return include
    return True if reasoning.get("summary") else None


def _warnings(body: Mapping[str, Any]) -> list[str]:
    """What has no translation, and is no demand."""
    warnings = []
    for name, value in body.items():
        if name not in _CARRIED and value is not None and (name, value) != ("store", False):
            warnings.append(_DROPPED.get(name, f"{name} was dropped: it has no translation"))
    if any("compression" in m for m in body.get("messages") or () if isinstance(m, Mapping)):
        warnings.append(NO_COMPRESSION)
    return warnings


def _refuse_demands(body: Mapping[str, Any]) -> None:
    for name in _DEMANDS:
        if body.get(name) is not None:
            raise Untranslatable.because(f"`{name}` has no translation for this model's provider")
    if body.get("n") not in (None, 1):
        raise Untranslatable.because("`n` above 1 has no translation for this model's provider")


def _format(wanted: Any) -> Mapping[str, Any] | None:
    if wanted is None or isinstance(wanted, Mapping):
        return wanted
    raise InvalidRequest("`response_format` must be an object", param="response_format")
