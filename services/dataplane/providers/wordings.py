"""Failures that some providers tell in words only.

A message is matched as a whole, from its first word on, against the sentence that
the provider is known to send. A word inside a message proves nothing: errors quote
prompts. Each sentence was recorded, or is quoted with its whole body in a public report; docs/adr/0005-whole-sentences.md says why they count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from services.core.errors import FailureKind

_TOO_LONG = (
    r"prompt is too long: \d+ tokens > \d+ maximum",  # Anthropic
    r"This model's maximum context length is \d+ tokens\. However, .*",  # DeepSeek, vLLM
    r"This endpoint's maximum context length is \d+ tokens\. However, .*",  # OpenRouter
    r"prompt too long; exceeded max context length by \d+ tokens.*",  # Ollama
    r"The input token count (?:\(\d+\) )?exceeds the maximum number of tokens allowed \(?\d+\)?\.",  # Google
    r"Input is too long for requested model\.",  # Bedrock, this one and the next two
    r"Input Tokens Exceeded: Number of input tokens exceeds maximum length\. .*",
    r"(?:400 Bad Request: )?Too many input tokens\. Max input tokens: \d+, request input token count: \d+ ?",
)
_NO_MODEL = (  # Bedrock, with the same exceptions as for any bad argument, or any refused key
    r"The provided model identifier is invalid\.",
    r"You don't have access to the model with the specified model ID\.",
    r"Invocation of model ID \S+ with on-demand throughput isn.t supported\. Retry your request with .*",
)
_UNABLE = (r"This model doesn't support [^\n]{1,160}",)  # Bedrock
_BAD_KEY = (r"Incorrect API key provided.*",)  # xAI, with status 400 and a code for any bad argument

_SENTENCES = (
    (re.compile("|".join(_TOO_LONG), re.DOTALL), FailureKind.CONTEXT_TOO_LONG),
    (re.compile("|".join(_NO_MODEL), re.DOTALL), FailureKind.MODEL_MISSING),
    (re.compile("|".join(_UNABLE), re.DOTALL), FailureKind.UNSUPPORTED),
    (re.compile("|".join(_BAD_KEY), re.DOTALL), FailureKind.CREDENTIALS_REJECTED),
)


def kind_told(error: Any) -> FailureKind | None:
    """The kind that an error's message tells, for an error whose status and codes say no more than "invalid"."""
    message = error.get("message") if isinstance(error, Mapping) else error
    if not isinstance(message, str):
        return None
    for sentence, kind in _SENTENCES:
        if sentence.fullmatch(message):
            return kind
    return None
