"""The most that a model answers: a request for more is cut to it, so that no target refuses what another one takes."""

from __future__ import annotations

from typing import Any

from services.core.policy.snapshot import Target


def within(asked: Any, target: Target) -> tuple[Any, str]:
    """`asked` tokens of an answer, or as many as the target gives; and a warning, empty when nothing changed."""
    most = target.max_output_tokens
    if not most or not isinstance(asked, int) or isinstance(asked, bool) or asked <= most:
        return asked, ""
    return most, f"max_tokens was lowered from {asked:,} to {most:,}, the most that {target.model} answers"
