"""What operators write about models: a part of `documents.py`, and under the same rules."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can do; None: not known, so not checked."""

    tools: bool | None = None
    vision: bool | None = None
    prefill: bool | None = None
    audio: bool | None = None
    files: bool | None = None
    video: bool | None = None
    json_schema: bool | None = None
    reasoning: bool | None = None
    web_search: bool | None = None
    image_output: bool | None = None
    audio_output: bool | None = None
    temperature: bool | None = None


@dataclass(frozen=True, slots=True)
class PriceTier:
    """Prices per million tokens of requests whose prompt is longer than `above_tokens`."""

    above_tokens: int = 0
    input_per_million: float | None = None
    output_per_million: float | None = None
    cache_read_per_million: float | None = None
    cache_write_per_million: float | None = None
    cache_write_1h_per_million: float | None = None


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars per million tokens, and per other units; None: not known."""

    input_per_million: float | None = None
    output_per_million: float | None = None
    cache_read_per_million: float | None = None
    cache_write_per_million: float | None = None
    cache_write_1h_per_million: float | None = None
    input_audio_per_million: float | None = None
    output_audio_per_million: float | None = None
    cache_audio_read_per_million: float | None = None
    input_image_per_million: float | None = None
    output_image_per_million: float | None = None
    reasoning_per_million: float | None = None
    per_request: float | None = None
    per_image: float | None = None
    per_million_characters: float | None = None
    per_hour: float | None = None
    per_search: float | None = None
    tiers: tuple[PriceTier, ...] = ()


@dataclass(frozen=True, slots=True)
class PricePeriod:
    """Prices that hold from a day on, at a time of day, both in UTC, or in a service tier; the last that holds counts."""

    since: str = ""
    daily_from: str = ""
    daily_until: str = ""
    prices: Prices | None = None
    service_tier: str = ""


@dataclass(frozen=True, slots=True)
class Scores:
    """How good a model is, from 0 to 1 by published benchmarks; None: not known."""

    intelligence: float | None = None
    math: float | None = None
    coding: float | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """Facts about one model that overlay the catalogue."""

    name: str = ""
    context_length: int = 0
    capabilities: Capabilities | None = None
    prices: Prices | None = None
    upstream_model: str = ""
    api: str = ""
    max_output_tokens: int = 0
    price_periods: tuple[PricePeriod, ...] = ()
    display_name: str = ""
    scores: Scores | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is known of one provider's models, in place of what the release ships; one model per line of `models`."""

    name: str = ""
    models: str = ""
