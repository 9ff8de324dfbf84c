"""How the models behind Converse are told to reason: each family in its own words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.dataplane.exchange import ChatRequest
from services.dataplane.providers.anthropic_encode import DEFAULT_MAX_TOKENS, reasoning_members
from services.dataplane.providers.anthropic_reasoning import (
    NO_SAMPLING,
    NO_SAMPLING_WITH_THINKING,
    Wish,
    adaptive_only,
)
from services.dataplane.providers.bedrock_models import AMAZON, ANTHROPIC, claude_of, effort, effort_of_budget

_NOVA_HIGH = "Amazon's models do not take it together with high reasoning"


@dataclass(frozen=True, slots=True)
class Reasoning:
    """What a wish for reasoning makes of a request.

    Attributes:
        fields: For the model itself.
        no_sampling: Why it takes no sampling parameters then; empty: it does.
        max_tokens: The limit to give when the caller gave none; None: leave it open.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    no_sampling: str = ""
    max_tokens: int | None = None


def reasoning_of(request: ChatRequest, family: str, model: str, dropped: list[str]) -> Reasoning:
    """How `model` is told what `request` asks for; notes what cannot be said."""
    wish = Wish(request.reasoning_effort, request.reasoning_budget, request.max_tokens)
    if family == ANTHROPIC:
        return _claude(request, claude_of(model), dropped)
    if not wish.wanted:
        return Reasoning()
    word = effort_of_budget(wish.tokens) if wish.budget is not None else wish.effort
    if family == AMAZON and word in {"high", "xhigh"} and request.max_tokens is not None:
        word = "medium"
        dropped.append("reasoning was lowered to medium: Amazon's models take no max_tokens with more")
    fields = effort(family, model, word)
    if fields is None:
        dropped.append("reasoning was dropped: this model has no such field on Bedrock")
        return Reasoning()
    if wish.budget is not None:
        dropped.append(f"the reasoning budget became the effort {word!r}: this model knows no budgets")
    high = family == AMAZON and word in {"high", "xhigh"}
    return Reasoning(fields, _NOVA_HIGH if high else "")


def _claude(request: ChatRequest, model: str, dropped: list[str]) -> Reasoning:
    adaptive = adaptive_only(model)
    fields = reasoning_members(request, dropped, adaptive=adaptive)
    if not fields:
        return Reasoning(no_sampling=NO_SAMPLING if adaptive else "")
    budget = fields["thinking"].get("budget_tokens")
    # The limit includes the budget and must exceed it; Bedrock's own may not.
    limit = DEFAULT_MAX_TOKENS + budget if budget is not None else None
    return Reasoning(fields, NO_SAMPLING if adaptive else NO_SAMPLING_WITH_THINKING, limit)
