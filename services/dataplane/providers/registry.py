"""Which codec speaks to which target. Adding a protocol is adding a line."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from services.core.policy.provider_types import apis_of, family_protocol
from services.core.policy.snapshot import Target
from services.dataplane.codec import ProviderCodec
from services.dataplane.providers.anthropic import AnthropicCodec
from services.dataplane.providers.azure_openai import AzureOpenAiCodec
from services.dataplane.providers.azure_responses import AzureResponsesCodec
from services.dataplane.providers.bedrock import BedrockCodec
from services.dataplane.providers.cohere import CohereCodec
from services.dataplane.providers.google import GoogleCodec
from services.dataplane.providers.mistral import MistralCodec
from services.dataplane.providers.openai import OpenAiCodec
from services.dataplane.providers.responses import ResponsesCodec
from services.dataplane.providers.vertex_claude import VertexClaudeCodec
from services.dataplane.translation import Untranslatable

CODECS: tuple[ProviderCodec, ...] = (
    OpenAiCodec(),
    AnthropicCodec(),
    AzureOpenAiCodec(),
    CohereCodec(),
    MistralCodec(),
    BedrockCodec(),
    GoogleCodec(),
    VertexClaudeCodec(),
    ResponsesCodec(),
    AzureResponsesCodec(),
)
"""Of several that speak a protocol, the first is the one for callers who speak none of them."""


def _by_protocol() -> Mapping[str, Mapping[str, ProviderCodec]]:
    found: dict[str, dict[str, ProviderCodec]] = {}
    for codec in CODECS:
        for protocol in codec.protocols:
            codecs = found.setdefault(protocol, {})
            codecs.setdefault("", codec)
            codecs.setdefault(codec.api, codec)
    return found


_BY_PROTOCOL = _by_protocol()


def codec_for(target: Target, api: str) -> ProviderCodec:
    """The codec for `target`: the one of the caller's `api` where the provider speaks it, unless policy says which."""
    provider = target.provider
    return _chosen(provider.type, provider.protocol, target.upstream_model, target.api, api)


@lru_cache(1_024)
def _chosen(kind: str, protocol: str, model: str, own: str, api: str) -> ProviderCodec:
    """The codec for `model` at a provider of type `kind`; `own` is the API that policy says, or empty."""
    native = api if api in apis_of(kind) else ""
    return codec_of(family_protocol(kind, model) or protocol, own or native)


def spoken(target: Target) -> str:
    """The protocol that `target` speaks: its provider's, but for models that another vendor made."""
    return family_protocol(target.provider.type, target.upstream_model) or target.provider.protocol


def codec_of(protocol: str, api: str = "") -> ProviderCodec:
    """The codec of a protocol, which the compiler has admitted; that of `api` where there is one.

    Raises:
        Untranslatable: It is a protocol without chat, such as one that only speaks.
    """
    codecs = _BY_PROTOCOL.get(protocol)
    if codecs is None:
        raise Untranslatable.because(f"{protocol} has no chat")
    return codecs.get(api) or codecs[""]


def codec_named(protocol: str, api: str) -> ProviderCodec | None:
    """The codec of a protocol that is the same as `api`; None: the protocol does not have it."""
    return _BY_PROTOCOL.get(protocol, {}).get(api)
