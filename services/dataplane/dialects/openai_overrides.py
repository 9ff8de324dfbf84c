"""What a policy lays over a caller's OpenAI-style body: the model, parameters, templates, usage of streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.numbers import is_whole
from services.core.policy.documents import TextGenerationConfig
from services.core.policy.provider_types import MISTRAL, quirks_of
from services.core.policy.vendors import Quirks
from services.core.routing.plan import Candidate
from services.dataplane.dialects.openai_house import clean, put_reasoning, put_search
from services.dataplane.dialects.templates import fill
from services.dataplane.members import Members, join_members, placed_before, raw
from services.dataplane.providers.mistral_words import translate_words
from services.dataplane.providers.openai_encode import effort_of
from services.dataplane.providers.openai_fit import fit
from services.wire.chat_facts import ROUTING_FIELDS

_DROPPED = frozenset((*ROUTING_FIELDS, "extra_body", "reasoning", "include_reasoning"))
_PENALTIES = ("temperature", "top_p", "frequency_penalty", "presence_penalty", "seed")


def upstream_body(
    members: Members,
    candidate: Candidate,
    reasoning: Mapping[str, Any],
    metadata: Mapping[str, Any],
    extra: Mapping[str, Any],
    *,
    stream: bool,
    text: bool = False,
) -> tuple[bytes, list[str]]:
    """The body for `candidate`, and what was dropped: the caller's members byte for byte, but for routing fields,
    what policy sets, and what the target is known to refuse.

    Args:
        reasoning: The caller's `reasoning` object, wherever it stood; empty when there is none.
        metadata: The request's metadata, for templates.
        extra: The caller's `extra_body`.
        text: The messages are known to be text, so that nothing has to be looked for in them.

    Raises:
        InvalidRequest: A wish that has to be understood is not well formed.
        Untranslatable: The target refuses what the answer depends on.
    """
    quirks = quirks_of(candidate.target.provider.type)
    dropped: list[str] = []
    body: dict[str, msgspec.Raw] = {name: value for name, value in members.items() if name not in _DROPPED}
    body["model"] = raw(candidate.target.upstream_model)
    if "metadata" in body and bytes(body.get("store", b"")) != b"true":
        # OpenAI accepts metadata only for stored completions; here it is for routing.
        del body["metadata"]
    if quirks.details:
        put_reasoning(body, reasoning, candidate.generation)
    elif reasoning:
        _put_effort(body, *wish_of(reasoning))
    if candidate.generation is not None:
        _lay_over(body, candidate.generation, quirks)
    if candidate.templates:
        placed = [{"role": t.role, "content": fill(t, metadata)} for t in candidate.templates]
        body["messages"] = placed_before(placed, body.get("messages"))
    if stream:
        body["stream_options"] = _with_usage(body.get("stream_options"))
    put_search(body, members, extra, candidate.target, dropped)
    clean(body, ("tools",) if text else ("messages", "tools"), quirks, dropped)
    if candidate.target.provider.protocol != MISTRAL:
        dropped += translate_words(body, text=text)
    dropped += fit(body, candidate.target)
    return join_members(body), dropped


def wish_of(reasoning: Mapping[str, Any]) -> tuple[Any, Any]:
    """Effort and budget of a caller's `reasoning` object, which may just be switched on or off."""
    effort, budget, enabled = reasoning.get("effort"), reasoning.get("max_tokens"), reasoning.get("enabled")
    if not effort and budget is None and isinstance(enabled, bool):
        return "medium" if enabled else "none", None
    return effort, budget


def _lay_over(body: dict[str, msgspec.Raw], config: TextGenerationConfig, quirks: Quirks) -> None:
    if config.max_tokens is not None:
        name = quirks.limit if "max_completion_tokens" not in body else "max_completion_tokens"
        body.pop("max_tokens", None)
        body[name] = raw(config.max_tokens)
    for name in _PENALTIES:
        value = getattr(config, name)
        if value is not None:
            body[name] = raw(value)
    if config.stop_sequences:
        body["stop"] = raw(list(config.stop_sequences))
    if config.reasoning is not None and not quirks.details:
        _put_effort(body, config.reasoning.effort, config.reasoning.max_tokens)


def _put_effort(body: dict[str, msgspec.Raw], effort: Any, budget: Any) -> None:
    """An effort as it was named, else the one that a budget of tokens comes to."""
    if isinstance(effort, str) and effort not in {"", "unspecified"}:
        body["reasoning_effort"] = raw(effort)
    elif is_whole(budget):
        body["reasoning_effort"] = raw(effort_of(budget))


def _with_usage(options: msgspec.Raw | None) -> msgspec.Raw:
    """The caller's `stream_options` with usage asked for."""
    found = msgspec.json.decode(options) if options is not None else None
    if options is not None and isinstance(found, dict) and found.get("include_usage") is True:
        return options
    return raw({**(found if isinstance(found, dict) else {}), "include_usage": True})
