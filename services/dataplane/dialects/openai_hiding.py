"""OpenAI-style answers without their reasoning, for callers who are to see nothing of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.dataplane.members import NotAnObject, join_members, raw, split_members
from services.dataplane.providers.openai_wire import WireAnswer, shows, thought_of

_PLACES = ("reasoning", "reasoning_content", "reasoning_details")


def hidden(data: bytes) -> bytes | None:
    """An answer or chunk without its reasoning; None: it has none, or is no object."""
    if b'"reasoning' not in data and b'"thinking"' not in data:
        return None
    try:
        members = split_members(data)
        choices = msgspec.json.decode(members.get("choices", b"null"))
    except (NotAnObject, msgspec.DecodeError):
        return None
    if not isinstance(choices, list) or not sum(_hide(choice) for choice in choices):
        return None
    members["choices"] = raw(choices)
    return join_members(members)


def _hide(choice: Any) -> int:
    """Take reasoning out of a choice; how many pieces there were."""
    found = 0
    for name in ("message", "delta"):
        message = choice.get(name) if isinstance(choice, dict) else None
        if not isinstance(message, dict):
            continue
        found += sum(message.pop(place, None) is not None for place in _PLACES)
        content = message.get("content")
        if isinstance(content, list):
            kept = [part for part in content if not (isinstance(part, Mapping) and part.get("type") == "thinking")]
            found += len(content) - len(kept)
            message["content"] = kept
    return found


def says_nothing(chunk: WireAnswer) -> bool:
    """Whether a chunk whose reasoning was taken out holds nothing else."""
    if chunk.usage is not None:
        return False
    return not any(c.finish_reason or shows(c.delta) for c in chunk.choices or ())


def thought_size(chunk: WireAnswer) -> int:
    """Characters of reasoning in a chunk."""
    return sum(len(thought_of(c.delta)) for c in chunk.choices or () if c.delta is not None)
