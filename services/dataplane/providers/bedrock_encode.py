"""A chat request in Converse's wire format."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from services.core.policy.snapshot import Target
from services.dataplane.exchange import ChatRequest, Tool
from services.dataplane.providers.anthropic_reasoning import BLANK_STOPS, ONE_OF_BOTH, adaptive_only
from services.dataplane.providers.bedrock_models import AMAZON, ANTHROPIC, claude_of, family_of, top_k
from services.dataplane.providers.bedrock_reasoning import Reasoning, reasoning_of
from services.dataplane.providers.bedrock_turns import Turns, has_tool_blocks
from services.dataplane.translation import Untranslatable

_TOOL_NAME = re.compile(r"\A[a-zA-Z0-9_-]{1,64}\Z")
_METADATA = re.compile(r"\A[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}\Z")
_MOST_METADATA = 16
_TIERS = {"default", "flex", "priority", "reserved"}
_WEB_SEARCH = {"systemTool": {"name": "nova_grounding"}}

_NO_SUCH_FIELD = (
    "seed", "frequency_penalty", "presence_penalty", "repetition_penalty", "min_p", "logit_bias", "top_logprobs",
)  # fmt: skip


def encode_body(request: ChatRequest, target: Target) -> tuple[dict[str, Any], list[str]]:
    """The body of `request`, and what was dropped on the way.

    Raises:
        Untranslatable: A demand of the request has no translation.
    """
    family, dropped = family_of(target), list[str]()
    _refuse_other_answers(request)
    has_tools = bool(request.tools) and request.tool_choice != "none"
    turns = Turns(family, dropped, told=not has_tools)
    body: dict[str, Any] = {"messages": turns.turns(request.messages)}
    system = turns.system(request.messages)
    if system:
        body["system"] = system
    turns.note_losses(request.messages)
    reasoning = reasoning_of(request, family, target.upstream_model, dropped)
    model = claude_of(target.upstream_model) if family == ANTHROPIC else ""
    if body["messages"][-1]["role"] == "assistant":
        _end_prefill(body["messages"][-1]["content"], model, dropped)
    _put_tools(body, request, turns, family, dropped)
    _put_inference(body, request, reasoning, model, dropped)
    _put_own_fields(body, request, reasoning, family, model, dropped)
    _put_format(body, request)
    _put_bookkeeping(body, request, dropped)
    return body, dropped


def _refuse_other_answers(request: ChatRequest) -> None:
    if any(kind != "text" for kind in request.modalities):
        raise Untranslatable.because("answers other than text have no translation to Bedrock")
    if request.logprobs:
        raise Untranslatable.because("log probabilities have no translation to Bedrock")


def _end_prefill(content: list[dict[str, Any]], model: str, dropped: list[str]) -> None:
    """The beginning of an answer, which Claudes continue only up to a point, and never behind white space."""
    if not model:
        return
    if adaptive_only(model):
        raise Untranslatable.because("this model of Anthropic's does not continue the beginning of an answer")
    text = content[-1].get("text", "")
    if text != text.rstrip():
        content[-1]["text"] = text.rstrip()
        dropped.append("white space at the end of the last assistant message was dropped: Anthropic refuses it")


def _put_tools(body: dict[str, Any], request: ChatRequest, turns: Turns, family: str, dropped: list[str]) -> None:
    tools: list[dict[str, Any]] = []
    if request.web_search is not None:
        if family != AMAZON:
            raise Untranslatable.because("this model cannot search the web on Bedrock")
        if any(value is not None for value in request.web_search.values()):
            dropped.append("the options of web_search were dropped: Bedrock has no such fields")
        tools.append(_WEB_SEARCH)
    if request.tools and request.tool_choice == "none":
        dropped.append("tools were left out, because tool_choice forbids them: Bedrock has no such choice")
    elif request.tools:
        for tool in request.tools:
            tools += [_tool(tool), *turns.cache_point(tool.cache_control)]
        if request.parallel_tool_calls is False:
            dropped.append("parallel_tool_calls was dropped: Bedrock has no such field")
    if tools:
        body["toolConfig"] = {"tools": tools, **_choice(request.tool_choice)}
    if has_tool_blocks(request.messages) and (not request.tools or request.tool_choice == "none"):
        dropped.append("earlier calls of tools are told as text: Bedrock takes them only together with tools")


def _choice(choice: str) -> dict[str, Any]:
    if choice.startswith("tool:"):
        return {"toolChoice": {"tool": {"name": choice.removeprefix("tool:")}}}
    return {"toolChoice": {{"required": "any"}.get(choice, choice): {}}} if choice in {"auto", "required"} else {}


def _tool(tool: Tool) -> dict[str, Any]:
    if not _TOOL_NAME.match(tool.name):
        raise Untranslatable.because(f"the tool name {tool.name[:80]!r} has no translation to Bedrock")
    spec: dict[str, Any] = {"name": tool.name}
    if tool.description:
        spec["description"] = tool.description
    spec["inputSchema"] = {"json": tool.parameters or {"type": "object", "properties": {}}}
    if tool.strict:
        spec["strict"] = True
    return {"toolSpec": spec}


def _put_inference(
    body: dict[str, Any], request: ChatRequest, reasoning: Reasoning, model: str, dropped: list[str]
) -> None:
    config: dict[str, Any] = {}
    limit = request.max_tokens if request.max_tokens is not None else reasoning.max_tokens
    if limit is not None:
        config["maxTokens"] = limit
    config.update(_sampling(request, reasoning, model, dropped))
    stops = [stop for stop in request.stop if stop.strip() or not model]
    if stops:
        config["stopSequences"] = stops
    if len(stops) < len(request.stop):
        dropped.append(BLANK_STOPS)
    if config:
        body["inferenceConfig"] = config


def _sampling(request: ChatRequest, reasoning: Reasoning, model: str, dropped: list[str]) -> dict[str, float]:
    given = {
        name: value
        for name, value in (("temperature", request.temperature), ("topP", request.top_p))
        if value is not None
    }
    temperature = request.temperature
    if reasoning.no_sampling:
        # A temperature of 1 is what they do by themselves.
        told = [{"topP": "top_p"}.get(name, name) for name in given if name != "temperature" or temperature != 1]
        dropped.extend(f"{name} was dropped: {reasoning.no_sampling}" for name in told)
        return {}
    if temperature is not None and temperature > 1:
        given["temperature"] = 1
        dropped.append("temperature was lowered to 1, the highest that Bedrock takes")
    if model and len(given) > 1:
        del given["topP"]
        dropped.append(ONE_OF_BOTH)
    return given


def _put_own_fields(
    body: dict[str, Any], request: ChatRequest, reasoning: Reasoning, family: str, model: str, dropped: list[str]
) -> None:
    """What Converse hands to the model as it is."""
    fields = dict(reasoning.fields)
    if request.top_k is not None:
        found = top_k(family, request.top_k)
        if reasoning.no_sampling:
            dropped.append(f"top_k was dropped: {reasoning.no_sampling}")
        elif found is None:
            dropped.append("top_k was dropped: this model has no such field on Bedrock")
        else:
            fields.update(found)
    if fields:
        body["additionalModelRequestFields"] = fields
    if model and request.stop:
        # Only so do they tell which one it was.
        body["additionalModelResponseFieldPaths"] = ["/stop_sequence", "/delta/stop_sequence"]


def _put_format(body: dict[str, Any], request: ChatRequest) -> None:
    """Structured output: schemas have a translation, the schemaless JSON mode has none."""
    wanted = request.response_format
    kind = wanted.get("type") if wanted is not None else None
    if wanted is None or kind in (None, "text"):
        return
    given = wanted.get("json_schema") if kind == "json_schema" else None
    schema = given.get("schema") if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(schema, dict):
        raise Untranslatable.because(f"response_format {kind!r} has no translation for Bedrock; give a json_schema")
    definition: dict[str, Any] = {"schema": msgspec.json.encode(schema).decode()}
    for name in ("name", "description"):
        if isinstance(given.get(name), str) and given[name]:
            definition[name] = given[name]
    body["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": definition}}}


def _put_bookkeeping(body: dict[str, Any], request: ChatRequest, dropped: list[str]) -> None:
    tier = request.service_tier
    if tier in _TIERS:
        body["serviceTier"] = {"type": tier}
    elif tier not in {"", "auto"}:
        dropped.append(f"the service tier {tier!r} was dropped: Bedrock has nothing like it")
    given = request.metadata or {}
    fitting = {k: v for k, v in given.items() if _METADATA.match(k) and _METADATA.match(v)}
    kept = dict(list(fitting.items())[:_MOST_METADATA])
    if kept:
        body["requestMetadata"] = kept
    if len(kept) < len(given):
        dropped.append("some metadata was dropped: Bedrock takes 16 entries of short plain text")
    for name in _NO_SUCH_FIELD:
        if getattr(request, name) is not None:
            dropped.append(f"{name} was dropped: Bedrock has no such field")
    for name in ("verbosity", "cache_key", "user"):
        if getattr(request, name):
            dropped.append(f"{name} was dropped: Bedrock has no such field")
