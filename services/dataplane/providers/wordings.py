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
)
_BAD_KEY = (r"Incorrect API key provided.*",)  # xAI, with status 400 and a code for any bad argument

_SENTENCES = (
    (re.compile("|".join(_TOO_LONG), re.DOTALL), FailureKind.CONTEXT_TOO_LONG),
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
