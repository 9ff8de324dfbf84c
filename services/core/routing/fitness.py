"""Whether a target can serve a request at all: what it can do, and how much it can hold. Unknown never excludes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from services.core.policy.snapshot import Target

CANNOT: Mapping[str, str] = {
    "tools": "it cannot call tools",
    "vision": "it cannot read images",
    "audio": "it cannot hear sound",
    "video": "it cannot see video",
    "files": "it cannot read files",
    "json_schema": "it cannot answer in the form of a JSON schema",
    "web_search": "it cannot search the web",
    "image_output": "it cannot make images",
    "audio_output": "it cannot make sound",
}
"""By the name in `Capabilities`: why a target that lacks it is left out."""


def unable(target: Target, needs: Collection[str]) -> str:
    """Why `target` cannot do what the request needs; empty: it can, or nobody knows."""
    able = target.capabilities
    for need, told in CANNOT.items():
        if need in needs and getattr(able, need) is False:
            return told
    return ""


def too_small(target: Target, least_tokens: int) -> str:
    """Why a prompt of at least so many tokens surely does not fit; empty: it may."""
    if not 0 < target.context_length < least_tokens:
        return ""
    return (
        f"its context of {target.context_length:,} tokens is too short for a prompt of at least {least_tokens:,} tokens"
    )


def roomy(targets: Sequence[Target], least_tokens: int) -> Sequence[Target]:
    """Those that the prompt may fit; all of them when it fits none, for then the provider shall say so."""
    return [t for t in targets if not too_small(t, least_tokens)] or targets
