"""What Google's models take, by their names: how they reason, and what newer ones refuse.

Models of 2.5 think within a budget of tokens, later ones at a level; older ones do not think. From 3.6 on, and
in Flash-Lite from 3.5 on, sampling is no longer the caller's, and the last turn must not be the model's.
https://ai.google.dev/gemini-api/docs/thinking
https://ai.google.dev/gemini-api/docs/whats-new-gemini-3.6
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

_NAME = re.compile(r"gemini-(\d+)(?:[.-](\d+)(?!\d))?")
_NEWEST = (99, 0)
_NO_GEMINI = (0, 0)
_LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH")
_WANTED = {"none": 0, "minimal": 0, "low": 1, "medium": 2, "high": 3, "xhigh": 3, "max": 3}
_BUDGETS = {"none": 0, "minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576, "xhigh": 32_768, "max": 32_768}


@dataclass(frozen=True, slots=True)
class GoogleModel:
    """One model.

    Attributes:
        version: Such as (2, 5); (99, 0) for names that stand for the newest, (0, 0) for what is no Gemini.
        tier: pro, flash, flash-lite; empty: another one.
        makes_media: It paints or speaks.
    """

    version: tuple[int, int]
    tier: str
    makes_media: bool

    @property
    def thinks(self) -> bool:
        """Whether it takes a wish for reasoning."""
        return self.version >= (2, 5) and not self.makes_media

    @property
    def mixes_tools(self) -> bool:
        """Whether functions go together with a search, and with an answer in JSON; and results of tools hold media."""
        return self.version >= (3, 0)

    @property
    def wants_signatures(self) -> bool:
        """Whether calls of tools in earlier turns need the model's own signature."""
        return self.version >= (3, 0)

    @property
    def fixed_sampling(self) -> bool:
        """Whether sampling parameters are no longer the caller's, and no answer may be begun for the model."""
        return self.version >= ((3, 5) if self.tier == "flash-lite" else (3, 6))

    @property
    def levels(self) -> tuple[str, ...]:
        """The levels of thinking that it takes, rising."""
        if self.tier == "flash-lite" or (self.tier == "flash" and self.version < (3, 7)):
            return _LEVELS
        return ("LOW", "HIGH") if self.tier == "pro" and self.version < (3, 1) else _LEVELS[1:]

    @property
    def budgets(self) -> tuple[int, int]:
        """The least budget but none, and the largest one, in tokens."""
        return {"pro": (128, 32_768), "flash-lite": (512, 24_576)}.get(self.tier, (1, 24_576))


@cache
def google_model(name: str) -> GoogleModel:
    """What a model takes that the provider knows by `name`."""
    last = name.rpartition("/")[2].lower()
    found = _NAME.search(last)
    version = (int(found[1]), int(found[2] or 0)) if found is not None else _NEWEST
    if found is None and "gemini" not in last:
        version = _NO_GEMINI
    tier = next((tier for tier in ("flash-lite", "flash", "pro") if tier in last), "")
    return GoogleModel(version, tier, makes_media=any(word in last for word in ("-image", "-tts")))


def thinking_config(
    model: GoogleModel, effort: str, budget: int | None, *, shows: bool | None, dropped: list[str]
) -> Mapping[str, Any]:
    """The thinking configuration of a request; empty: the model's own.

    Args:
        effort: In OpenAI's words; empty: not said.
        budget: Tokens, which win over the effort.
        shows: The caller wants to see the reasoning; None: it does where it asks for any.
        dropped: What cannot be met is told here.
    """
    effort = "" if effort == "unspecified" else effort
    if budget is None and not effort:
        return {"includeThoughts": True} if shows and model.thinks else {}
    if budget is None and effort not in _WANTED:
        dropped.append(f"the reasoning effort {effort!r} was dropped: Google has nothing like it")
        return {}
    off = budget <= 0 if budget is not None else effort == "none"
    if not model.thinks:
        if not off:
            dropped.append("reasoning was dropped: this model of Google's does not reason")
        return {}
    if model.version >= (3, 0):
        config = _level(model, effort, budget, off=off, dropped=dropped)
    else:
        config = _budget(model, _BUDGETS[effort] if budget is None else max(budget, 0), dropped)
    return {**config, "includeThoughts": True} if shows is not False and not off else config


def _level(model: GoogleModel, effort: str, budget: int | None, *, off: bool, dropped: list[str]) -> dict[str, Any]:
    measure = effort if budget is None else "low" if budget <= 2_048 else "medium" if budget <= 8_192 else "high"
    wanted = 0 if off else _WANTED[measure]
    level = next((level for level in model.levels if _LEVELS.index(level) >= wanted), "HIGH")
    if off:
        dropped.append(f"reasoning was set to {level.lower()}: this model of Google's cannot do without")
    elif level != _LEVELS[wanted]:
        dropped.append(f"reasoning was set to {level.lower()}: this model of Google's has no level {effort or 'below'}")
    return {"thinkingLevel": level}


def _budget(model: GoogleModel, wanted: int, dropped: list[str]) -> dict[str, Any]:
    least, most = model.budgets
    if not wanted and model.tier != "pro":
        return {"thinkingBudget": 0}
    budget = min(max(wanted, least), most)
    if budget != wanted and not (wanted > most and wanted in _BUDGETS.values()):
        dropped.append(f"the reasoning budget was set to {budget:,} tokens, what this model of Google's takes")
    return {"thinkingBudget": budget}
