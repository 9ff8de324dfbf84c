"""One model in every client's shape: OpenAI's and OpenRouter's in one, Anthropic's, Google's, Inworld's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from turnout.inference.v1.inference_service_pb2 import ModelInfo

_EPOCH = "1970-01-01T00:00:00Z"
_UNKNOWN_PRICE = "-1"
"""OpenRouter's word for a price that depends, or that nobody knows."""
_TOKENIZERS = (
    ("claude", "Claude"),
    ("gemini", "Gemini"),
    ("gemma", "Gemma"),
    ("grok", "Grok"),
    ("command", "Cohere"),
    ("nova", "Nova"),
    ("qwen3", "Qwen3"),
    ("qwen", "Qwen"),
    ("deepseek", "DeepSeek"),
    ("stral", "Mistral"),
    ("llama-4", "Llama4"),
    ("llama-3", "Llama3"),
    ("gpt", "GPT"),
)
_INWORLD_CAPABILITIES = {
    "functionCalling": "tools",
    "vision": "vision",
    "responseSchema": "json_schema",
    "webSearch": "web_search",
    "reasoning": "reasoning",
}
_EFFORTS = ("EFFORT_MINIMAL", "EFFORT_LOW", "EFFORT_MEDIUM", "EFFORT_HIGH")


def price(dollars: float) -> str:
    """A price per token as OpenRouter spells it: a decimal number in text."""
    return f"{dollars:.12f}".rstrip("0").rstrip(".") or "0"


def openai_form(model: ModelInfo) -> dict[str, Any]:
    """A model as OpenAI's and OpenRouter's clients read it."""
    return {
        "id": model.id,
        "object": "model",
        "created": model.created_at.seconds,
        "owned_by": model.owned_by,
        "canonical_slug": model.id,
        "name": model.display_name,
        "description": _description(model),
        "context_length": model.context_length or None,
        "architecture": architecture(model),
        "pricing": pricing(model),
        "top_provider": {
            "context_length": model.context_length or None,
            "max_completion_tokens": model.max_output_tokens or None,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": list(model.supported_parameters),
        "default_parameters": None,
        "supported_voices": None,
        "links": {"details": f"/api/v1/models/{model.id}/endpoints"},
    }


def architecture(model: ModelInfo) -> dict[str, Any]:
    """What a model takes and makes."""
    given, made = list(model.input_modalities) or ["text"], list(model.output_modalities) or ["text"]
    return {
        "modality": f"{'+'.join(given)}->{'+'.join(made)}",
        "input_modalities": given,
        "output_modalities": made,
        "tokenizer": _tokenizer(model),
        "instruct_type": None,
    }


def pricing(model: ModelInfo) -> dict[str, str]:
    """Prices per token and other unit, in text; the two that clients insist on are always there."""
    known = {name: price(dollars) for name, dollars in sorted(model.pricing.items())}
    return {"prompt": _UNKNOWN_PRICE, "completion": _UNKNOWN_PRICE, **known}


def _tokenizer(model: ModelInfo) -> str:
    if model.kind == "router":
        return "Router"
    name = (model.upstream_model or model.id).lower()
    return next((told for part, told in _TOKENIZERS if part in name), "Other")


def _description(model: ModelInfo) -> str:
    if model.kind == "router":
        return f"The router {model.display_name}: its policy decides which model answers."
    if model.kind == "alias":
        return f"Another name of {model.upstream_model}."
    gone = " Its provider has deprecated it." if model.deprecated else ""
    return f"{model.display_name}, served by {model.owned_by}.{gone}"


def anthropic_form(model: ModelInfo) -> dict[str, Any]:
    """A model as Anthropic's clients read it."""
    known = model.HasField("created_at")
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.display_name,
        "created_at": model.created_at.ToJsonString() if known else _EPOCH,
        "max_input_tokens": model.context_length or None,
        "max_tokens": model.max_output_tokens or None,
        "lifecycle": "deprecated" if model.deprecated else "active",
    }


def inworld_form(model: ModelInfo) -> dict[str, Any]:
    """A model as `GET /llm/v1alpha/models` lists it; prices in US dollars per token, under their old and new names."""
    prompt, completion = model.pricing.get("prompt"), model.pricing.get("completion")
    capabilities: dict[str, Any] = {
        name: model.capabilities.get(ours, False) for name, ours in _INWORLD_CAPABILITIES.items()
    }
    capabilities["promptCaching"] = "input_cache_read" in model.pricing
    if capabilities["reasoning"]:
        capabilities["reasoningCapability"] = {"supportedLevels": list(_EFFORTS)}
    return {
        "model": model.id.partition("/")[2] if model.kind not in {"router", "alias"} else model.id,
        "provider": model.owned_by,
        "modelCreator": _creator(model),
        "pricing": {
            name: dollars
            for name, dollars in (
                ("prompt", prompt),
                ("completion", completion),
                ("promptToken", prompt),
                ("completionToken", completion),
            )
            if dollars is not None
        },
        "spec": {
            "inputModalities": list(model.input_modalities) or ["text"],
            "outputModalities": list(model.output_modalities) or ["text"],
            "contextLength": model.context_length,
            "maxCompletionTokens": model.max_output_tokens,
            "supportedParameters": list(model.supported_parameters),
            "capabilities": capabilities,
        },
        "isSupported": True,
    }


def google_form(model: ModelInfo) -> dict[str, Any]:
    """A model as Google's clients read it. Names may hold slashes; methods are those that are served for its kind."""
    talks = model.kind in {"chat", "router", "alias", ""}
    form: dict[str, Any] = {
        "name": f"models/{model.id}",
        "baseModelId": model.id,
        "version": "",
        "displayName": model.display_name,
        "description": _description(model),
        "supportedGenerationMethods": ["generateContent", "countTokens"] if talks else [],
    }
    limits = {"inputTokenLimit": model.context_length, "outputTokenLimit": model.max_output_tokens}
    form |= {name: limit for name, limit in limits.items() if limit}
    return {**form, "thinking": True} if model.capabilities.get("reasoning") else form


def publisher_form(model: ModelInfo) -> dict[str, Any]:
    """A model as Vertex AI's clients read it. Its provider is the publisher, so that its name can be called as it stands."""
    publisher, slash, name = model.id.partition("/")
    if not slash or publisher == "google":
        publisher, name = "google", model.id
    return {
        "name": f"publishers/{publisher}/models/{name}",
        "versionId": "default",
        "displayName": model.display_name,
        "description": _description(model),
    }


def _creator(model: ModelInfo) -> str:
    """Who made the model: the author in its name, else who serves it."""
    author, slash, _ = model.upstream_model.partition("/")
    return author if slash and model.kind not in {"router", "alias"} else model.owned_by


def endpoints_form(model: ModelInfo, serving: Sequence[ModelInfo]) -> dict[str, Any]:
    """Who serves a model, as OpenRouter lists it."""
    return {
        "id": model.id,
        "name": model.display_name,
        "created": model.created_at.seconds,
        "description": _description(model),
        "architecture": architecture(model),
        "endpoints": [_endpoint(m) for m in serving],
    }


def _endpoint(model: ModelInfo) -> dict[str, Any]:
    choices = "tools" in model.supported_parameters
    return {
        "name": f"{model.owned_by} | {model.id}",
        "model_id": model.id,
        "model_name": model.display_name,
        "context_length": model.context_length,
        "pricing": pricing(model),
        "provider_name": model.owned_by,
        "tag": model.owned_by,
        "quantization": None,
        "max_completion_tokens": model.max_output_tokens or None,
        "max_prompt_tokens": None,
        "supported_parameters": list(model.supported_parameters),
        "supports_implicit_caching": "input_cache_read" in model.pricing,
        "supports_diarization": False,
        "supports_tool_choice": dict.fromkeys(("none", "auto", "required", "function"), choices),
        "native_tools": {},
        "service_tier": None,
        "status": 0,
        "uptime_last_30m": None,
        "uptime_last_5m": None,
        "uptime_last_1d": None,
        "latency_last_30m": None,
        "throughput_last_30m": None,
    }
