"""What a provider itself says that an answer costs: OpenRouter, Perplexity and xAI do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.numbers import amount_of

TICKS_PER_DOLLAR = 10_000_000_000
"""xAI counts in these."""


def told_cost(cost: Any, details: Any = None, ticks: Any = None, own_key: Any = None) -> float | None:
    """US dollars as the provider tells them; None: it does not, or not in a way that can be read.

    Args:
        cost: A number of dollars (OpenRouter), or an object with `total_cost` (Perplexity).
        details: OpenRouter's `cost_details`.
        ticks: xAI's `cost_in_usd_ticks`.
        own_key: The caller's own key was used: `cost` is OpenRouter's fee alone, what the key was charged is in the details.
    """
    if cost is None and ticks is None:
        return None
    if isinstance(cost, Mapping):
        cost = cost.get("total_cost")
    told = amount_of(cost)
    if told is None:
        counted = amount_of(ticks)
        return counted / TICKS_PER_DOLLAR if counted is not None else None
    charged = amount_of(details.get("upstream_inference_cost")) if isinstance(details, Mapping) else None
    return told + charged if own_key is True and charged is not None else told
