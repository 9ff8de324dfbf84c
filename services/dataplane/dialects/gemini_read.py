"""Google-style bodies as exchange requests; used only when the provider speaks another protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.errors import InvalidRequest
from services.core.values import changed
from services.dataplane.dialects.gemini_form import Losses, camel, message, whole
from services.dataplane.dialects.gemini_read_parts import ContentReader, message_args
from services.dataplane.dialects.gemini_read_tools import read_tools
from services.dataplane.dialects.gemini_schema import json_schema
from services.dataplane.dialects.reading import number, strings, text
from services.dataplane.exchange import ChatRequest
from services.dataplane.translation import Untranslatable
from services.wire.chat_facts import ROUTING_FIELDS

_CARRIED = frozenset(
    [
        "model", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "labels", "serviceTier",
        "safetySettings", *map(camel, ("extra_body", "metadata", "user", *ROUTING_FIELDS)),
    ]
)  # fmt: skip
_DEMANDS = ("cachedContent", "modelArmorConfig")
"""Without these the answer would not be what was asked for, so they are not dropped."""
_CONFIG = (
    "stopSequences", "responseMimeType", "responseSchema", "responseJsonSchema", "responseModalities", "candidateCount",
    "maxOutputTokens", "temperature", "topP", "topK", "seed", "presencePenalty", "frequencyPenalty",
    "responseLogprobs", "logprobs", "thinkingConfig",
)  # fmt: skip
_CONFIG_DEMANDS = ("speechConfig", "imageConfig", "responseFormat", "translationConfig", "audioTranscriptionConfig")
_LEVELS = ("minimal", "low", "medium", "high")
_TIERS: Mapping[str, str] = {"standard": "default", "flex": "flex", "priority": "priority"}


def read_contents(body: Mapping[str, Any], *, stream: bool) -> ChatRequest:
    """The exchange request of a decoded body.

    Args:
        stream: The address asked for a stream.

    Raises:
        InvalidRequest: A field that has to be understood is not well formed.
        Untranslatable: A field demands what only this protocol can give.
    """
    given = message(body, "the body")
    for name in _DEMANDS:
        if given.get(name):
            raise Untranslatable.because(f"{name} has no translation for this model's provider")
    losses = Losses()
    if given.get("safetySettings"):
        losses.add("safetySettings were dropped: only Google's models have such filters")
    losses.unknown(given, _CARRIED)
    reader = ContentReader(losses)
    spoken = (*reader.system(given.get("systemInstruction")), *reader.conversation(given.get("contents")))
    tools = read_tools(given, losses)
    request = ChatRequest(
        messages=spoken,
        stream=stream,
        tools=tools.functions,
        tool_choice=tools.choice,
        web_search=tools.search,
        service_tier=_tier(given, losses),
        user=text(given, "user"),
    )
    request = _configured(request, message(given.get("generationConfig"), "generationConfig"), losses)
    return changed(request, warnings=tuple(losses.told))


def _configured(request: ChatRequest, config: Mapping[str, Any], losses: Losses) -> ChatRequest:
    """`request` with what the generation configuration says."""
    losses.unknown(config, (*_CONFIG, *_CONFIG_DEMANDS), " of generationConfig")
    _refuse_demands(config)
    effort, budget, shows = _thinking(config)
    asks_logprobs = config.get("responseLogprobs") is True
    return changed(
        request,
        max_tokens=whole(config, "maxOutputTokens", "generationConfig"),
        temperature=_number(config, "temperature"),
        top_p=_number(config, "topP"),
        top_k=whole(config, "topK", "generationConfig"),
        stop=strings(config.get("stopSequences"), "generationConfig.stopSequences"),
        seed=whole(config, "seed", "generationConfig"),
        frequency_penalty=_number(config, "frequencyPenalty"),
        presence_penalty=_number(config, "presencePenalty"),
        response_format=_format(config),
        logprobs=asks_logprobs,
        top_logprobs=whole(config, "logprobs", "generationConfig") if asks_logprobs else None,
        reasoning_effort=effort,
        reasoning_budget=budget,
        shows_reasoning=shows,
        modalities=_modalities(config),
    )


def _tier(given: Mapping[str, Any], losses: Losses) -> str:
    told = text(given, "serviceTier").lower()
    if told and told not in _TIERS and told != "unspecified":
        losses.add("serviceTier was dropped: it is not known here")
    return _TIERS.get(told, "")


def _refuse_demands(config: Mapping[str, Any]) -> None:
    for name in _CONFIG_DEMANDS:
        if config.get(name):
            raise Untranslatable.because(f"generationConfig.{name} has no translation for this model's provider")
    if (whole(config, "candidateCount", "generationConfig") or 1) > 1:
        raise Untranslatable.because("candidateCount above 1 has no translation for this model's provider")


def _number(config: Mapping[str, Any], name: str) -> float | None:
    return number(config, name, f"generationConfig.{name}")


def _thinking(config: Mapping[str, Any]) -> tuple[str, int | None, bool]:
    """Effort, budget, and whether thoughts are shown: Google leaves them out unless it is told not to."""
    path = "generationConfig.thinkingConfig"
    wanted = message(config.get("thinkingConfig"), path)
    shows = wanted.get("includeThoughts") is True
    level = wanted.get("thinkingLevel")
    if level not in (None, "THINKING_LEVEL_UNSPECIFIED"):
        if not isinstance(level, str) or level.lower() not in _LEVELS:
            told = f"`{path}.thinkingLevel` must be MINIMAL, LOW, MEDIUM or HIGH"
            raise InvalidRequest(told, param=f"{path}.thinkingLevel")
        return level.lower(), None, shows
    budget = whole(wanted, "thinkingBudget", path)
    if budget is None:
        return "", None, shows
    if budget < 0:
        return "medium", None, shows  # the model's own measure, as other dialects call it
    return ("", budget, shows) if budget else ("none", None, shows)


def _format(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    kind = config.get("responseMimeType") or "text/plain"
    if kind == "text/plain":
        return None
    if kind != "application/json":
        raise Untranslatable.because(f"answers of the type {kind!r} have no translation for this model's provider")
    schema: Mapping[str, Any] | None = None
    if "responseJsonSchema" in config:
        schema = message_args(config["responseJsonSchema"], "generationConfig.responseJsonSchema")
    elif "responseSchema" in config:
        schema = json_schema(config["responseSchema"], "generationConfig.responseSchema")
    if not schema:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def _modalities(config: Mapping[str, Any]) -> tuple[str, ...]:
    given = strings(config.get("responseModalities"), "generationConfig.responseModalities")
    words = tuple(word.lower() for word in given if word != "MODALITY_UNSPECIFIED")
    return () if set(words) <= {"text"} else words
