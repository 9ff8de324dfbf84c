"""What a provider itself says that an answer costs: OpenRouter, Perplexity and xAI do."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

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
    told = _dollars(cost)
    if told is None:
        counted = _dollars(ticks)
        return counted / TICKS_PER_DOLLAR if counted is not None else None
    charged = _dollars(details.get("upstream_inference_cost")) if isinstance(details, Mapping) else None
    return told + charged if own_key is True and charged is not None else told


def _dollars(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= sys.float_info.max:
        return None
    return float(value)
