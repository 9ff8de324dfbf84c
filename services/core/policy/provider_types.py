"""The provider types that policy may name: which protocol each speaks, and where it listens.

Most vendors speak OpenAI's chat completions; they are rows here and nothing else.
A type with a protocol of its own has a codec in `dataplane/providers/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OPENAI = "openai"
COMPATIBLE = "openai_compatible"
ANTHROPIC = "anthropic"


@dataclass(frozen=True, slots=True)
class ProviderType:
    """A provider type.

    Attributes:
        protocol: Name of the protocol; a codec says which ones it speaks.
        base_url: Where the provider listens; empty: policy has to say.
        keyless: True: it usually runs beside the worker and asks for no credential.
    """

    protocol: str
    base_url: str = ""
    keyless: bool = False


PROVIDER_TYPES: Mapping[str, ProviderType] = {
    "openai": ProviderType(OPENAI, "https://api.openai.com/v1"),
    "openai_compatible": ProviderType(COMPATIBLE),
    "anthropic": ProviderType(ANTHROPIC, "https://api.anthropic.com"),
}
"""By the word in `Provider.type`."""


def base_url_of(provider_type: str) -> str:
    """Where providers of this type listen; empty: policy has to say, or there is no such type."""
    found = PROVIDER_TYPES.get(provider_type)
    return found.base_url if found is not None else ""


def protocol_of(provider_type: str) -> str:
    """The protocol of a provider type; of a type that is not known, itself."""
    found = PROVIDER_TYPES.get(provider_type)
    return found.protocol if found is not None else provider_type
