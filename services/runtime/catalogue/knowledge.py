"""What the sources do not say of models, and people know: which API they need, what kind they are, prefill."""

from __future__ import annotations

import re
from typing import Any

RESPONSES_ONLY = re.compile(
    r"\A(?:codex-mini|gpt-[5-9][\d.]*-(?:codex|pro)\b|o[134]-pro\b|o[34](?:-mini)?-deep-research\b|computer-use)"
)
"""OpenAI's models that have no chat completions."""

_NO_PREFILL = re.compile(r"claude-(?:opus|sonnet|haiku|fable|mythos)-(?:4-[6-9]|[5-9]|\d\d)")
"""Claude from 4.6 on refuses an assistant message at the end."""

_KINDS = (
    ("embedding", re.compile(r"embed|\bbge-|\be5-|\bgte-|voyage-(?!.*rerank)", re.IGNORECASE)),
    ("rerank", re.compile(r"rerank", re.IGNORECASE)),
    ("moderation", re.compile(r"moderation|llama-guard|prompt-guard|safeguard", re.IGNORECASE)),
    ("transcription", re.compile(r"whisper|transcribe|\bscribe", re.IGNORECASE)),
    ("speech", re.compile(r"\btts\b|eleven_|-tts\b", re.IGNORECASE)),
    ("image", re.compile(r"\bdall-e|gpt-image|chatgpt-image|imagen|flux|stable-diffusion|seedream", re.IGNORECASE)),
)


def told(place: str, line: dict[str, Any]) -> dict[str, Any]:
    """A line with what is known beyond the sources, its fields in one order."""
    name = line["id"]
    kind = kind_of(name)
    if kind != "chat":
        line["kind"] = kind
    if place in {"openai", "azure", "azure-cognitive-services"} and RESPONSES_ONLY.match(name):
        line["api"] = "responses"
    capabilities = dict(line.get("capabilities") or {})
    if "claude" in name and kind == "chat":
        capabilities["prefill"] = _NO_PREFILL.search(name.replace(".", "-")) is None
    if capabilities:
        line["capabilities"] = capabilities
    return {field: line[field] for field in _ORDER if field in line}


_ORDER = (
    "id",
    "name",
    "names",
    "prefixes",
    "kind",
    "api",
    "released",
    "deprecated",
    "context_length",
    "max_output_tokens",
    "capabilities",
    "prices",
    "price_periods",
)


def kind_of(model: str) -> str:
    """What a model is, by its name."""
    return next((kind for kind, pattern in _KINDS if pattern.search(model)), "chat")
