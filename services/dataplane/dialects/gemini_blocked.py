"""A prompt that was blocked, as Google tells of it: an answer with `promptFeedback`, and without candidates."""

from __future__ import annotations

from collections.abc import Mapping

from services.core.errors import ChainFailed, Failure, FailureKind, RouterError
from services.dataplane.dialects.gemini_errors import their_words
from services.dataplane.members import Members, NotAnObject, join_members, raw, split_members
from services.dataplane.translation import Evidence

_GOOGLES = frozenset(("SAFETY", "OTHER", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY", "MODEL_ARMOR", "JAILBREAK"))
_REASONS: Mapping[str, str] = {
    "image_content_policy_violation": "IMAGE_SAFETY",
    "moderation_blocked": "IMAGE_SAFETY",
    "bio_policy": "PROHIBITED_CONTENT",
    "misalignment_policy_violation": "PROHIBITED_CONTENT",
}
"""What other providers' codes are in Google's words; anything else is SAFETY."""


def blocked_answer(error: RouterError, evidence: Evidence) -> bytes | None:
    """The answer for a prompt that a provider refused to answer; None: that is not what happened."""
    if not isinstance(error, ChainFailed) or error.failure.kind is not FailureKind.CONTENT_REFUSED:
        return None
    failure = error.failure
    members = _googles(failure.body) or {"promptFeedback": raw(_feedback(error))}
    model = error.fields.get("model") or evidence.model
    if model:
        members["modelVersion"] = raw(model)
    members.setdefault("responseId", raw(evidence.generation_id))
    return join_members({**members, "metadata": raw(evidence.metadata)})


def _googles(body: bytes) -> Members | None:
    """Google's own answer; None: it is none."""
    try:
        members = split_members(body)
    except NotAnObject:
        return None
    return members if bytes(members.get("promptFeedback", b"null")).startswith(b"{") else None


def _feedback(error: ChainFailed) -> Mapping[str, str]:
    """Why, in Google's words; the provider's words beside it, where they are the caller's to read."""
    told = their_words(error) or error.failure.message
    return {"blockReason": _reason(error.failure), "blockReasonMessage": told}


def _reason(failure: Failure) -> str:
    return failure.code if failure.code in _GOOGLES else _REASONS.get(failure.code, "SAFETY")
