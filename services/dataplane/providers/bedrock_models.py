"""What the model families behind Converse take beyond its common fields.

Converse hands `additionalModelRequestFields` to the model as they are, so each vendor's own
words are needed there; a vendor refuses those of another.
https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from services.core.policy.snapshot import Target

ANTHROPIC = "anthropic"
AMAZON = "amazon"

_FAMILY = re.compile(r"(?:^|[./])(anthropic|amazon|meta|mistral|cohere|ai21|openai|qwen|deepseek|google)\.")
_VERSION = re.compile(r"-v\d+(?::[\w.]+)*\Z")
_NOVA_2 = re.compile(r"amazon\.nova-2-")

_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "high"}


def family_of(target: Target) -> str:
    """The vendor of a target's model, in Bedrock's words; empty: its id does not say.

    The ids of application profiles and imported models name no vendor; the provider's label
    `family` does it for them.
    """
    found = _FAMILY.search(target.upstream_model)
    return found[1] if found is not None else target.provider.labels.get("family", "")


def claude_of(model: str) -> str:
    """Anthropic's own name of a Claude on Bedrock: without region, vendor and version."""
    name = model[model.find("claude") :] if "claude" in model else model
    name = re.sub(r"\Aclaude-v(\d+).*", r"claude-\1", name)
    return _VERSION.sub("", name)


def takes_cache_points(family: str) -> bool:
    return family in {ANTHROPIC, AMAZON}


def top_k(family: str, value: int) -> Mapping[str, Any] | None:
    """The fields that ask for `top_k`; None: the family has none."""
    if family in {ANTHROPIC, "mistral"}:
        return {"top_k": value}
    if family == AMAZON:
        return {"inferenceConfig": {"topK": value}}
    return {"k": value} if family == "cohere" else None


def effort(family: str, model: str, wanted: str) -> Mapping[str, Any] | None:
    """The fields that ask for a reasoning effort, of families other than Anthropic's; None: there are none."""
    word = _EFFORTS.get(wanted)
    if word is None:
        return None
    if family == "openai":
        return {"reasoning_effort": word}
    if family == "qwen":
        return {"reasoning_config": word}
    if family == AMAZON and _NOVA_2.search(model):
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": word}}
    return None


def effort_of_budget(tokens: int) -> str:
    """The effort nearest to a budget of reasoning tokens."""
    return "low" if tokens <= 2_048 else "medium" if tokens <= 8_192 else "high"
