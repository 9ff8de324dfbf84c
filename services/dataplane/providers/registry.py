"""Which codec speaks which provider type. Adding a protocol is adding a line."""

from __future__ import annotations

from services.dataplane.exchange import ProviderCodec
from services.dataplane.providers.anthropic import AnthropicCodec
from services.dataplane.providers.openai import OpenAiCodec

CODECS: tuple[ProviderCodec, ...] = (OpenAiCodec(), AnthropicCodec())

_BY_TYPE: dict[str, ProviderCodec] = {name: codec for codec in CODECS for name in codec.types}


def codec_for(provider_type: str) -> ProviderCodec:
    """The codec of a provider type, which the compiler has admitted."""
    return _BY_TYPE[provider_type]
