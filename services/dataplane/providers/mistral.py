"""The codec of Mistral's chat completions: OpenAI's protocol, with requests that hold nothing else, and parts of its own.

https://docs.mistral.ai/api
"""

from __future__ import annotations

from services.dataplane.providers.openai import OpenAiCodec


class MistralCodec(OpenAiCodec):
    """Stateless; one per process. What its requests need is in `mistral_fit`, where callers' own pass as well."""

    protocols: tuple[str, ...] = ("mistral",)
