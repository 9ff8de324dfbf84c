"""What an operation used, wherever providers say it: tokens, seconds of sound, pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.numbers import amount_of, count_of
from services.dataplane.providers.told_cost import told_cost
from services.dataplane.translation import TokenUsage

_INPUT = ("input_tokens", "prompt_tokens")
_OUTPUT = ("output_tokens", "completion_tokens")
_DETAILS = ("input_token_details", "input_tokens_details", "prompt_tokens_details")
_OUTPUT_DETAILS = ("output_token_details", "output_tokens_details", "completion_tokens_details")
_SECONDS = ("seconds", "prompt_audio_seconds")


def usage_of(value: Any, *, seconds: Any = None, images: int = 0, characters: int = 0) -> TokenUsage | None:
    """The usage that an answer reports; None when there is nothing of any kind.

    Args:
        value: The `usage` object, if it is one.
        seconds: Length of the sound, where the answer says it beside `usage`.
        images: Pictures that were made.
        characters: Text that was spoken.
    """
    told = value if isinstance(value, Mapping) else {}
    details, made = _inner(told, _DETAILS), _inner(told, _OUTPUT_DETAILS)
    given, output = _first(told, _INPUT), _first(told, _OUTPUT)
    if not given:
        # Voyage, and others that embed, count once.
        given = max(0, count_of(told.get("total_tokens")) - output)
    usage = TokenUsage(
        input_tokens=given,
        output_tokens=output,
        cache_read_tokens=min(given, count_of(details.get("cached_tokens"))),
        input_audio_tokens=min(given, count_of(details.get("audio_tokens"))),
        output_audio_tokens=min(output, count_of(made.get("audio_tokens"))),
        input_image_tokens=min(given, count_of(details.get("image_tokens"))),
        # Where pictures are made, what is put out is pictures, unless the answer says more.
        output_image_tokens=min(output, count_of(made.get("image_tokens", output if images else 0))),
        characters=characters,
        seconds=_amount(seconds) or next((s for name in _SECONDS if (s := _amount(told.get(name)))), 0.0),
        images=images,
        cost_usd=told_cost(
            told.get("cost"), told.get("cost_details"), told.get("cost_in_usd_ticks"), told.get("is_byok")
        ),
    )
    return usage if usage != TokenUsage() else None


def _inner(told: Mapping[str, Any], names: tuple[str, ...]) -> Mapping[str, Any]:
    return next((value for name in names if isinstance(value := told.get(name), Mapping)), {})


def _first(told: Mapping[str, Any], names: tuple[str, ...]) -> int:
    return next((count for name in names if (count := count_of(told.get(name)))), 0)


_LONGEST = 1e9
"""Seconds; no sound is as long."""


def _amount(value: Any) -> float:
    """Seconds; some servers write them as text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return 0.0
    found = amount_of(value) or 0.0
    return found if found < _LONGEST else 0.0
