"""Service tiers as answers name them, in OpenAI's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LONGEST = 40
_WORDS: Mapping[str, str] = {
    "standard": "default",  # Anthropic, Google, Mistral
    "on_demand": "default",  # Groq, and Vertex AI's traffic
    "on_demand_priority": "priority",
    "on_demand_flex": "flex",
    "on_demand_offpeak": "offpeak",
    "provisioned_throughput": "provisioned",
    "unspecified": "",
    "traffic_type_unspecified": "",
}


def tier_told(value: Any) -> str:
    """The tier that an answer names, in small letters; empty: none, or what can be no name of one."""
    if not isinstance(value, str) or not value.isascii() or len(value) > _LONGEST:
        return ""
    told = value.strip().lower()
    return _WORDS.get(told, told)
