"""How Anthropic's models are told to reason, and what they refuse beside it.

Models up to 4.6 think within a budget of tokens; later ones take nothing but "adaptive" with an
effort, and no sampling parameters at all.
https://platform.claude.com/docs/en/build-with-claude/extended-thinking
https://platform.claude.com/docs/en/about-claude/models/migration-guide
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MIN_BUDGET = 1_024
SAMPLING = ("temperature", "top_p", "top_k")
NO_SAMPLING = "Anthropic's newer models do not take it"
ONE_OF_BOTH = "top_p was dropped: Anthropic does not take it together with temperature"
BLANK_STOPS = "blank stop sequences were dropped: Anthropic refuses them"
NO_SAMPLING_WITH_THINKING = "Anthropic does not take it together with thinking"
_BUDGETS = {"none": 0, "minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 32_768, "max": 65_536}
_EFFORTS = {"minimal": "low"}
_BUDGETED = re.compile(
    r"claude-(?:instant|2|3|(?:opus|sonnet|haiku)-4(?:[-.][0-6])?(?:[-@]20\d{6}|-latest)?\Z)", re.IGNORECASE
)


def adaptive_only(model: str) -> bool:
    """Whether `model` is a Claude that takes neither budgets nor sampling parameters.

    The models that take them are a closed list; a name that is not on it is a newer model. Other
    vendors' models behind this protocol take them.
    """
    return "claude-" in model.lower() and _BUDGETED.search(model) is None


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for: an effort in OpenAI's words, or a budget of tokens, which wins; `limit` is max_tokens."""

    effort: str = ""
    budget: int | None = None
    limit: int | None = None

    @property
    def wanted(self) -> bool:
        """Whether any reasoning is asked for."""
        return self.budget > 0 if self.budget is not None else self.effort not in {"", "unspecified", "none"}

    @property
    def known(self) -> bool:
        """Whether the effort is one that has a meaning here."""
        return self.budget is not None or self.effort in {"", "unspecified", *_BUDGETS}

    @property
    def tokens(self) -> int:
        """The budget: within `limit`, which bounds reasoning and answer together, a fifth is kept for the answer."""
        budget = max(MIN_BUDGET, self.budget if self.budget is not None else _BUDGETS.get(self.effort, 0))
        return budget if self.limit is None else min(budget, self.limit * 4 // 5)

    @property
    def measure(self) -> str:
        """The effort in Anthropic's words."""
        if self.budget is None:
            return _EFFORTS.get(self.effort, self.effort)
        return "low" if self.budget <= 2_048 else "medium" if self.budget <= 8_192 else "high"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else the request holds that Anthropic does not take together with reasoning.

    Attributes:
        forced_tool: The tool choice forces a tool.
        prefill: The last message is the beginning of an answer.
        unsigned_calls: The results of tools at the end answer calls without signed reasoning.
    """

    forced_tool: bool = False
    prefill: bool = False
    unsigned_calls: bool = False


def why_not(wish: Wish, around: Surroundings, *, adaptive: bool) -> str:
    """Why `wish` cannot be met; empty: it can."""
    if around.forced_tool:
        return "Anthropic does not take it together with a tool_choice that forces a tool"
    if adaptive:
        return ""
    if wish.tokens < MIN_BUDGET:
        return f"max_tokens leaves less than the {MIN_BUDGET:,} tokens that Anthropic needs for it"
    if around.prefill:
        return "Anthropic does not take it together with the beginning of an answer"
    if around.unsigned_calls:
        return "the tool calls that are being answered come without the signed reasoning that Anthropic demands"
    return ""


def members_of(wish: Wish, *, adaptive: bool) -> Mapping[str, Any]:
    """The members of a body that ask for it."""
    if adaptive:
        return {"thinking": {"type": "adaptive"}, "output_config": {"effort": wish.measure}}
    return {"thinking": {"type": "enabled", "budget_tokens": wish.tokens}}
