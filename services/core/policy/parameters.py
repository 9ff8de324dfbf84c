"""What a model takes and makes, in the words that clients' lists of models use."""

from __future__ import annotations

from collections.abc import Mapping

from services.core.policy.documents import Prices
from services.core.policy.snapshot import Target
from services.core.pricing import PER_MILLION

_INPUTS = (("vision", "image"), ("audio", "audio"), ("video", "video"), ("files", "file"))
_OUTPUTS: Mapping[str, str] = {
    "embedding": "embeddings",
    "image": "image",
    "speech": "speech",
    "transcription": "transcription",
    "rerank": "rerank",
}
"""By kind; every other kind makes text."""

_PRICES: Mapping[str, str] = {
    "prompt": "input_per_million",
    "completion": "output_per_million",
    "input_cache_read": "cache_read_per_million",
    "input_cache_write": "cache_write_per_million",
    "input_cache_write_1h": "cache_write_1h_per_million",
    "audio": "input_audio_per_million",
    "audio_output": "output_audio_per_million",
    "input_audio_cache": "cache_audio_read_per_million",
    "image_token": "input_image_per_million",
    "image_output": "output_image_per_million",
    "internal_reasoning": "reasoning_per_million",
    "character": "per_million_characters",
}
_UNITS: Mapping[str, str] = {
    "request": "per_request",
    "image": "per_image",
    "web_search": "per_search",
    "hour": "per_hour",
}


def inputs_of(target: Target) -> list[str]:
    """What it takes: text, and what it is known to take beside."""
    if target.kind == "transcription":
        return ["audio"]
    return ["text", *(word for name, word in _INPUTS if getattr(target.capabilities, name))]


def outputs_of(target: Target) -> list[str]:
    """What it makes."""
    able = target.capabilities
    more = [word for word, made in (("image", able.image_output), ("audio", able.audio_output)) if made]
    first = _OUTPUTS.get(target.kind, "text")
    return [first, *(word for word in more if word != first)]


def parameters_of(target: Target) -> list[str]:
    """Parameters that it is known to heed, as OpenRouter spells them; of what is no chat model, none."""
    if target.kind != "chat":
        return []
    able = target.capabilities
    groups = (
        (True, ("max_tokens",)),
        (able.temperature is not False, ("temperature", "top_p")),
        (not able.reasoning, ("stop", "seed", "frequency_penalty", "presence_penalty")),
        (able.tools, ("tools", "tool_choice")),
        (able.json_schema, ("response_format", "structured_outputs")),
        (able.reasoning, ("reasoning", "include_reasoning", "reasoning_effort")),
        (able.web_search, ("web_search_options",)),
    )
    return [name for heeds, names in groups if heeds for name in names]


def pricing_of(prices: Prices) -> dict[str, float]:
    """US dollars per token and other unit, by OpenRouter's names; what is not known is not there."""
    found = {name: getattr(prices, field) for name, field in _PRICES.items()}
    per_unit = {name: value / PER_MILLION for name, value in found.items() if value is not None}
    units = {name: getattr(prices, field) for name, field in _UNITS.items()}
    return {**per_unit, **{name: value for name, value in units.items() if value is not None}}
