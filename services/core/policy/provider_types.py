"""The provider types that policy may name: which protocol each speaks, and where it listens.

Most vendors speak OpenAI's chat completions; they are rows in `vendors.py` and nothing else.
A type with a protocol of its own has a codec in `dataplane/providers/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from services.core.policy.vendors import PLAIN, SERVERS, VENDORS, Quirks

OPENAI = "openai"
COMPATIBLE = "openai_compatible"
ANTHROPIC = "anthropic"
AZURE = "azure_openai"
COHERE = "cohere"
MISTRAL = "mistral"
INWORLD_TTS = "inworld_tts"
BEDROCK = "bedrock"
GOOGLE = "google"
VERTEX = "vertex"
VERTEX_CLAUDE = "vertex_claude"


APIS = ("chat.completions", "generateContent", "messages", "responses")
"""The APIs that a model can be said to be called by."""


@dataclass(frozen=True, slots=True)
class ProviderType:
    """A provider type.

    Attributes:
        protocol: Name of the protocol; a codec says which ones it speaks.
        base_url: Where the provider listens; empty: policy has to say.
        keyless: True: it usually runs beside the worker and asks for no credential.
        quirks: Where its chat completions differ from others'.
        families: Protocols of models that another vendor made, by the beginning of their names.
        apis: APIs that it speaks beside the first one of its protocol, such as "responses".
    """

    protocol: str
    base_url: str = ""
    keyless: bool = False
    quirks: Quirks = PLAIN
    families: Mapping[str, str] = field(default_factory=dict)
    apis: tuple[str, ...] = ()


_OPENAI = Quirks(
    limit="max_completion_tokens",
    developer=True,
    openai_models=True,
    max_stops=4,
    strict=True,
    hints=True,
    sampling=False,
    media=False,
    refused=frozenset(
        {
            "top_k", "top_a", "min_p", "repetition_penalty", "image_config", "stop_server_tools_when",
            "safe_prompt", "prompt_mode", "guardrails",
        }
    ),
)  # fmt: skip

_MISTRAL = Quirks(
    limit_only=True,
    developer=False,
    usage_option=False,
    known=frozenset(
        {
            "model", "messages", "stream", "tools", "tool_choice", "parallel_tool_calls", "max_tokens", "temperature",
            "top_p", "stop", "random_seed", "frequency_penalty", "presence_penalty", "response_format", "n",
            "reasoning_effort", "prompt_mode", "prediction", "prompt_cache_key", "metadata", "safe_prompt", "guardrails",
            "min_tokens", "top_k", "repetition_penalty", "logprobs", "top_logprobs", "prompt_logprobs",
            "top_prompt_logprobs", "service_tier",
        }
    ),
    hints=True,
    thought=True,
    thought_always=True,
    prefill=True,
    search="",
)  # fmt: skip
"""Mistral's messages have rules of their own, which `dataplane/providers/mistral_fit.py` knows."""

_OWN: Mapping[str, ProviderType] = {
    "openai": ProviderType(OPENAI, "https://api.openai.com/v1", quirks=_OPENAI),
    "openai_compatible": ProviderType(COMPATIBLE),
    "anthropic": ProviderType(ANTHROPIC, "https://api.anthropic.com"),
    "azure_openai": ProviderType(AZURE, quirks=_OPENAI),
    "cohere": ProviderType(COHERE, "https://api.cohere.com/v2"),
    "mistral": ProviderType(MISTRAL, "https://api.mistral.ai/v1", quirks=_MISTRAL),
    "inworld_tts": ProviderType(INWORLD_TTS, "https://api.inworld.ai"),
    "voyage": ProviderType(COMPATIBLE, "https://api.voyageai.com/v1"),
    "bedrock": ProviderType(BEDROCK, "https://bedrock-runtime.us-east-1.amazonaws.com"),
    "google": ProviderType(GOOGLE, "https://generativelanguage.googleapis.com/v1beta"),
    "vertex": ProviderType(VERTEX, families={"claude": VERTEX_CLAUDE}),
}
"""Those with a protocol of their own, and the one for whoever has no row."""


_RESPONSES = frozenset(
    {
        "openai", "azure_openai", "deepseek", "groq", "huggingface", "openrouter", "xai", "llamacpp", "lmstudio",
        "ollama", "vllm",
    }
)  # fmt: skip
"""Those that document OpenAI's Responses API, or were seen to answer by it. Servers do so in their recent versions."""


def _rows() -> Mapping[str, ProviderType]:
    vendors = {name: ProviderType(COMPATIBLE, url, quirks=quirks) for name, (url, quirks) in VENDORS.items()}
    servers = {
        name: ProviderType(COMPATIBLE, url, keyless=True, quirks=quirks) for name, (url, quirks) in SERVERS.items()
    }
    found = {**_OWN, **dict(sorted({**vendors, **servers}.items()))}
    return {name: replace(row, apis=("responses",)) if name in _RESPONSES else row for name, row in found.items()}


PROVIDER_TYPES: Mapping[str, ProviderType] = _rows()
"""By the word in `Provider.type`."""

_NONE = ProviderType("")


def base_url_of(provider_type: str) -> str:
    """Where providers of this type listen; empty: policy has to say, or there is no such type."""
    return PROVIDER_TYPES.get(provider_type, _NONE).base_url


def protocol_of(provider_type: str) -> str:
    """The protocol of a provider type; of a type that is not known, itself."""
    return PROVIDER_TYPES.get(provider_type, _NONE).protocol or provider_type


def quirks_of(provider_type: str) -> Quirks:
    """What the chat completions of a provider type differ in; of a type that is not known, nothing."""
    return PROVIDER_TYPES.get(provider_type, _NONE).quirks


def family_protocol(provider_type: str, model: str) -> str:
    """The protocol that a provider speaks to `model` alone; empty: the one that it speaks to all others."""
    families = PROVIDER_TYPES.get(provider_type, _NONE).families
    if not families:
        return ""
    name = model.rpartition("/")[2]
    return next((protocol for beginning, protocol in families.items() if name.startswith(beginning)), "")


def apis_of(provider_type: str) -> tuple[str, ...]:
    """The APIs that a provider type speaks beside the first one of its protocol; of one that is not known, none."""
    return PROVIDER_TYPES.get(provider_type, _NONE).apis
