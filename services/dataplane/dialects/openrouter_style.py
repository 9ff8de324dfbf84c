"""Answers as OpenRouter writes them: OpenAI's, with the provider, its own finish reason, and cost in every usage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.attempts.verdicts import TABLE
from services.core.errors import FailureKind, RouterError
from services.core.policy.names import split_model
from services.dataplane.dialects.openai_style import OpenAiStyle
from services.dataplane.dialects.openrouter_errors import error_chunk
from services.dataplane.members import join_members, raw, split_members
from services.dataplane.translation import Evidence, Facts

METADATA_HEADERS = ("x-openrouter-metadata", "x-openrouter-experimental-metadata")


def asks_metadata(headers: Mapping[str, str]) -> bool:
    """Whether the caller wants to see `openrouter_metadata`."""
    return any(headers.get(name, "").strip().lower() == "enabled" for name in METADATA_HEADERS)


class OpenRouterStyle(OpenAiStyle):
    """The differences for one attempt at `provider`.

    Args:
        created: Time stamp for a chunk of our own, seconds since the Unix epoch.
        metadata: The caller asked for `openrouter_metadata`.
    """

    def __init__(self, provider: str, created: int, *, metadata: bool) -> None:
        self._provider = provider
        self._created = created
        self._metadata = metadata
        self._head = b'{"provider":' + msgspec.json.encode(provider) + b","

    def chunk(self, data: bytes) -> bytes:
        if b'"reasoning_content"' in data or b'"provider"' in data:
            return self._rewritten(data)
        return self._head + data[1:]

    def _rewritten(self, data: bytes) -> bytes:
        members = split_members(data)
        choices = msgspec.json.decode(members.get("choices", b"null")) or []
        for choice in choices:
            if isinstance(choice, dict) and isinstance(choice.get("delta"), dict):
                self.message(choice["delta"])
        return join_members({**members, "provider": raw(self._provider), "choices": raw(choices)})

    def finish(self, choice: dict[str, Any], native: str) -> None:
        choice.setdefault("native_finish_reason", native or choice.get("finish_reason"))

    def message(self, message: dict[str, Any]) -> None:
        if message.get("reasoning_content") is not None:
            message.setdefault("reasoning", message["reasoning_content"])

    def body(self) -> dict[str, Any]:
        return {"system_fingerprint": None}

    def usage(self, cost_usd: float | None) -> dict[str, Any]:
        return {"cost": cost_usd, "is_byok": False, "cost_details": {"upstream_inference_cost": cost_usd}}

    def evidence(self, evidence: Evidence) -> dict[str, Any]:
        shown: dict[str, Any] = {"metadata": evidence.metadata}
        if self._metadata:
            shown["openrouter_metadata"] = openrouter_metadata(evidence)
        return shown

    def broken(self, error: RouterError, evidence: Evidence, facts: Facts) -> bytes:
        created = facts.created or self._created
        return error_chunk(error, evidence, chunk_id=facts.response_id, created=created, model=evidence.model)


def openrouter_metadata(evidence: Evidence) -> dict[str, Any]:
    """The decision and its attempts in OpenRouter's shape."""
    shown = [attempt for attempt in evidence.metadata["attempts"] if not attempt.get("cancelled")]
    candidates = [c.target for c in evidence.plan.candidates] if evidence.plan is not None else []
    return {
        "requested": evidence.requested,
        "strategy": _strategy(evidence),
        "region": None,
        "summary": evidence.metadata["reasoning"],
        "attempt": len(shown),
        "is_byok": False,
        "endpoints": {
            "total": len(candidates),
            "available": [
                {"provider": t.provider.name, "model": t.model, "selected": t.model == evidence.model}
                for t in candidates
            ],
        },
        "attempts": [_attempt(attempt) for attempt in shown],
        "generation_time": round(evidence.metadata["total_duration_ms"]),
    }


def _strategy(evidence: Evidence) -> str:
    plan = evidence.plan
    if plan is None:
        return "direct"
    if plan.automatic:
        return "auto"
    return "direct" if plan.candidates[0].target.model == evidence.model else "fallback"


def _attempt(shown: Mapping[str, Any]) -> dict[str, Any]:
    status = 200
    if not shown["success"]:
        # What no provider answered to has the status that the caller would see.
        status = shown.get("status") or (TABLE[FailureKind(shown["error"])].status if "error" in shown else 0)
    return {"provider": split_model(shown["model"])[0], "model": shown["model"], "status": status}
