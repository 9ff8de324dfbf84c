"""A chat request in Gemini's wire format, as AI Studio and Vertex AI take it.

Schemas go as JSON schema (`parametersJsonSchema`, `responseJsonSchema`), never as Google's older
subset of OpenAPI, which loses unions and references.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.dataplane.exchange import ChatRequest, Tool
from services.dataplane.providers.google_models import GoogleModel, google_model, thinking_config
from services.dataplane.providers.google_turns import contents_of, note_losses, system_of
from services.dataplane.translation import Untranslatable

MAX_STOPS = 5
_INT32 = 2**31
_MODALITIES = {"text": "TEXT", "image": "IMAGE", "audio": "AUDIO"}
_SAMPLING = {"temperature": "temperature", "top_p": "topP", "top_k": "topK"}
_PENALTIES = {"presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty"}
_LACKING = (
    "logit_bias", "min_p", "repetition_penalty", "verbosity", "cache_key", "metadata", "user",
)  # fmt: skip
_TIERS = {"auto": "", "default": "standard", "flex": "flex", "priority": "priority"}
_SEARCH_LACKING = ("max_results", "max_uses", "user_location", "search_context_size")

Value = dict[str, Any]


def encode_body(request: ChatRequest, name: str, *, vertex: bool) -> tuple[Value, list[str]]:
    """The body of `request`, and what was dropped on the way.

    Args:
        name: The model, as the provider knows it.
        vertex: It goes to Vertex AI.

    Raises:
        Untranslatable: A demand of the request has no translation.
    """
    dropped: list[str] = []
    model = google_model(name)
    system = system_of(request.messages)
    note_losses(request.messages, dropped)
    body: Value = {"contents": contents_of(request.messages, model, dropped)}
    if not body["contents"]:
        raise Untranslatable.because("Google needs at least one message of the user")
    if model.fixed_sampling and body["contents"][-1]["role"] == "model":
        raise Untranslatable.because("this model of Google's does not continue the beginning of an answer")
    if system:
        body["systemInstruction"] = system
    _put_tools(body, request, model, dropped, vertex=vertex)
    config = _config(request, model, dropped)
    if config:
        body["generationConfig"] = config
    tier = _TIERS.get(request.service_tier)
    if tier and not vertex:
        body["serviceTier"] = tier
    elif request.service_tier and tier != "":
        dropped.append(f"the service tier {request.service_tier!r} was dropped: it is not known here")
    dropped.extend(f"{n} was dropped: Google has no such field" for n in _LACKING if getattr(request, n))
    return body, dropped


def _config(request: ChatRequest, model: GoogleModel, dropped: list[str]) -> Value:
    """The generation configuration: limits, sampling, the kind of answer, reasoning."""
    config: Value = {}
    if request.max_tokens is not None:
        config["maxOutputTokens"] = request.max_tokens
    _put_sampling(config, request, model, dropped)
    if len(request.stop) > MAX_STOPS:
        raise Untranslatable.because(f"Google takes at most {MAX_STOPS} stop sequences, not {len(request.stop)}")
    if request.stop:
        config["stopSequences"] = list(request.stop)
    if request.logprobs:
        config["responseLogprobs"] = True
        if request.top_logprobs:
            config["logprobs"] = request.top_logprobs
    if request.modalities:
        config["responseModalities"] = _modalities(request.modalities)
    _put_format(config, request, model)
    thinking = thinking_config(
        model, request.reasoning_effort, request.reasoning_budget, shows=request.shows_reasoning, dropped=dropped
    )
    if thinking:
        config["thinkingConfig"] = dict(thinking)
    return config


def _put_sampling(config: Value, request: ChatRequest, model: GoogleModel, dropped: list[str]) -> None:
    for name, theirs in {**_SAMPLING, **_PENALTIES}.items():
        value = getattr(request, name)
        if value is None:
            continue
        if model.fixed_sampling:
            dropped.append(f"{name} was dropped: Google's newer models do not take it")
        else:
            config[theirs] = value
    if request.seed is not None:
        config["seed"] = request.seed if -_INT32 <= request.seed < _INT32 else request.seed % _INT32
        if config["seed"] != request.seed:
            dropped.append(f"seed was folded to {config['seed']}: Google takes 32 bits")


def _modalities(wanted: tuple[str, ...]) -> list[str]:
    unknown = [word for word in wanted if word not in _MODALITIES]
    if unknown:
        raise Untranslatable.because(f"answers of the kind {unknown[0]!r} have no translation for Google")
    # Models that speak give nothing but sound.
    return ["AUDIO"] if "audio" in wanted else [_MODALITIES[word] for word in wanted]


def _put_format(config: Value, request: ChatRequest, model: GoogleModel) -> None:
    wanted = request.response_format
    kind = wanted.get("type") if wanted is not None else None
    if wanted is None or kind in (None, "text"):
        return
    if kind not in ("json_object", "json_schema"):
        raise Untranslatable.because(f"response_format {kind!r} has no translation for Google")
    if (request.tools or request.web_search is not None) and not model.mixes_tools:
        raise Untranslatable.because("this model of Google's does not take tools together with an answer in JSON")
    config["responseMimeType"] = "application/json"
    given = wanted.get("json_schema")
    schema = given.get("schema") if isinstance(given, Mapping) else None
    if kind == "json_schema" and isinstance(schema, Mapping):
        config["responseJsonSchema"] = _plain(schema)


def _put_tools(body: Value, request: ChatRequest, model: GoogleModel, dropped: list[str], *, vertex: bool) -> None:
    tools: list[Value] = []
    config: Value = {}
    if request.tools:
        tools.append({"functionDeclarations": [_function(tool) for tool in request.tools]})
        calling = _calling(request)
        if calling:
            config["functionCallingConfig"] = calling
        if any(tool.cache_control for tool in request.tools):
            dropped.append("cache_control of tools was dropped: Google caches by itself")
    if request.parallel_tool_calls is False and request.tools:
        dropped.append("parallel_tool_calls was dropped: Google has no such field")
    if request.web_search is not None:
        tools.append({"googleSearch": _search(request.web_search, dropped, vertex=vertex)})
        if request.tools and not model.mixes_tools:
            raise Untranslatable.because("this model of Google's does not take tools together with a web search")
        if request.tools and not vertex:
            config["includeServerSideToolInvocations"] = True
    if tools:
        body["tools"] = tools
    if config:
        body["toolConfig"] = config


def _calling(request: ChatRequest) -> Value:
    choice = request.tool_choice
    if choice.startswith("tool:"):
        return {"mode": "ANY", "allowedFunctionNames": [choice.removeprefix("tool:")]}
    if choice in ("required", "none"):
        return {"mode": {"required": "ANY", "none": "NONE"}[choice]}
    if any(tool.strict for tool in request.tools):
        return {"mode": "VALIDATED"}  # free to call or not, but a call is what its schema says
    return {"mode": "AUTO"} if choice else {}


def _function(tool: Tool) -> Value:
    function: Value = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters:
        function["parametersJsonSchema"] = {"type": "object", **_plain(tool.parameters)}
    return function


def _plain(schema: Mapping[str, Any]) -> Value:
    """A schema without the dialect that it names itself, which Google does not know."""
    return {name: value for name, value in schema.items() if name != "$schema"}


def _search(wanted: Mapping[str, Any], dropped: list[str], *, vertex: bool) -> Value:
    blocked = list(wanted.get("blocked_domains") or ())
    if wanted.get("allowed_domains"):
        raise Untranslatable.because("Google's search cannot be bound to certain domains")
    if blocked and not vertex:
        raise Untranslatable.because("Google's search cannot leave out domains at AI Studio")
    lacking = [name for name in _SEARCH_LACKING if wanted.get(name)]
    dropped.extend(f"{name} of the web search was dropped: Google's search has no such field" for name in lacking)
    return {"excludeDomains": blocked} if blocked else {}
