"""Which parameters of chat completions a target is known not to take; what nobody knows, it may take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.core.policy.provider_types import ANTHROPIC, quirks_of
from services.core.policy.snapshot import Target

CHECKED = frozenset(
    [
        "temperature",
        "top_p",
        "top_k",
        "top_a",
        "min_p",
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "max_tokens",
        "max_completion_tokens",
        "seed",
        "stop",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "reasoning",
        "reasoning_effort",
        "verbosity",
    ]
)
"""Members of a body that count as parameters."""
_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})
"""Each service knows one of them at least, and gets that."""
_UNTRANSLATED: Mapping[str, frozenset[str]] = {
    ANTHROPIC: frozenset(
        [
            "top_a",
            "min_p",
            "frequency_penalty",
            "presence_penalty",
            "repetition_penalty",
            "seed",
            "logit_bias",
            "logprobs",
            "top_logprobs",
            "verbosity",
        ]
    )
}
"""By protocol: what has no counterpart there."""
_CAPABLE: Mapping[str, str] = {
    "tools": "tools",
    "tool_choice": "tools",
    "reasoning": "reasoning",
    "reasoning_effort": "reasoning",
    "temperature": "temperature",
}


def not_taken(target: Target, used: Iterable[str]) -> list[str]:
    """Those of the parameters `used` that `target` is known not to take, by name."""
    return sorted(name for name in used if _refuses(target, name))


def _refuses(target: Target, name: str) -> bool:
    capability = _CAPABLE.get(name)
    if capability is not None and getattr(target.capabilities, capability) is False:
        return True
    provider = target.provider
    if name in _UNTRANSLATED.get(provider.protocol, ()):
        return True
    quirks = quirks_of(provider.type)
    return name not in _LIMITS and (name in quirks.refused or (quirks.known is not None and name not in quirks.known))
