"""What a policy lays over a caller's Google-style body: parameters, templates, reasoning; and what is taken out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.policy.documents import Reasoning, TextGenerationConfig
from services.core.policy.provider_types import VERTEX
from services.core.routing.plan import Candidate
from services.dataplane.dialects.gemini_form import camel, message
from services.dataplane.dialects.templates import fill
from services.dataplane.limits import within
from services.dataplane.members import Members, decoded, join_members, placed_before, raw
from services.dataplane.proofs import SEALED_IN_BASE64
from services.dataplane.providers.google_models import google_model, thinking_config
from services.dataplane.providers.google_turns import SYSTEM
from services.wire.chat_facts import ROUTING_FIELDS

_OURS = frozenset(map(camel, (*ROUTING_FIELDS, "extra_body", "metadata", "user", "model")))
_SAMPLING: Mapping[str, str] = {
    "max_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
_FIXED = ("temperature", "topP", "presencePenalty", "frequencyPenalty")
_FOREIGN = re.compile(rb'"thought_?[sS]ignature"\s*:\s*"' + SEALED_IN_BASE64)
_CONFIG = "generationConfig"


def upstream_body(members: Members, candidate: Candidate, metadata: Mapping[str, Any]) -> tuple[bytes, list[str]]:
    """The body for `candidate`, and what was dropped on the way.

    The caller's members stay byte for byte, but for routing fields and what policy sets.

    Args:
        metadata: The request's metadata, for templates.
    """
    warnings: list[str] = []
    body = googles_members(members, warnings)
    if candidate.target.provider.protocol != VERTEX:
        body.pop("labels", None)  # AI Studio does not know them; here they are for routing
    _lay_over(body, candidate, warnings)
    if candidate.templates:
        _place_templates(body, candidate, metadata)
    return join_members(body), warnings


def googles_members(members: Members, warnings: list[str]) -> Members:
    """What of a request with contents is for Google."""
    body = {name: value for name, value in members.items() if camel(name) not in _OURS}
    if _FOREIGN.search(bytes(body["contents"])):
        _drop_foreign(body, warnings)
    return body


def _drop_foreign(body: dict[str, msgspec.Raw], warnings: list[str]) -> None:
    """Reasoning of other vendors' models came to the caller with proofs that Google refuses."""
    contents = decoded(body, ("contents",))["contents"]
    for content in contents:
        if isinstance(content, dict) and isinstance(content.get("parts"), list):
            content["parts"] = [part for part in content["parts"] if not _is_foreign(part)]
    body["contents"] = raw([c for c in contents if not isinstance(c, dict) or c.get("parts") != []])
    warnings.append("reasoning of earlier turns was dropped: it is not Google's")


def _is_foreign(part: Any) -> bool:
    if not isinstance(part, Mapping):
        return False
    proof = part.get("thoughtSignature", part.get("thought_signature"))
    return isinstance(proof, str) and proof.startswith(SEALED_IN_BASE64.decode())


def _lay_over(body: dict[str, msgspec.Raw], candidate: Candidate, warnings: list[str]) -> None:
    """Parameters of policy, and the most that the target answers; without either, the caller's bytes stay."""
    policy, target = candidate.generation, candidate.target
    if policy is None and not target.max_output_tokens:
        return
    named = next((name for name in body if camel(name) == _CONFIG), _CONFIG)
    given = decoded(body, (named,)).get(named)
    config = message(given, _CONFIG)
    before = dict(config)
    if policy is not None:
        _put_parameters(config, policy, target.upstream_model, warnings)
    limit, warning = within(config.get("maxOutputTokens"), target)
    if warning:
        config["maxOutputTokens"] = limit
        warnings.append(warning)
    if config != before:
        body.pop(named, None)
        body[_CONFIG] = raw(config)


def _put_parameters(config: dict[str, Any], policy: TextGenerationConfig, name: str, warnings: list[str]) -> None:
    model = google_model(name)
    for ours, theirs in _SAMPLING.items():
        value = getattr(policy, ours)
        if value is None:
            continue
        if model.fixed_sampling and theirs in _FIXED:
            warnings.append(f"{ours} was dropped: Google's newer models do not take it")
        else:
            config[theirs] = value
    if policy.stop_sequences:
        config["stopSequences"] = list(policy.stop_sequences)
    if policy.reasoning is not None:
        _put_thinking(config, policy.reasoning, name, warnings)


def _put_thinking(config: dict[str, Any], reasoning: Reasoning, name: str, warnings: list[str]) -> None:
    own = message(config.get("thinkingConfig"), f"{_CONFIG}.thinkingConfig")
    shows = own.get("includeThoughts") is True if reasoning.exclude is None else not reasoning.exclude
    effort = "" if reasoning.effort == "unspecified" else reasoning.effort
    if not effort and reasoning.max_tokens is None:
        if "includeThoughts" in own or shows:
            config["thinkingConfig"] = {**own, "includeThoughts": shows}
        return
    found = thinking_config(google_model(name), effort, reasoning.max_tokens, shows=shows, dropped=warnings)
    if found:
        config["thinkingConfig"] = dict(found)
    else:
        config.pop("thinkingConfig", None)


def _place_templates(body: dict[str, msgspec.Raw], candidate: Candidate, metadata: Mapping[str, Any]) -> None:
    """System templates go before the caller's system instruction, others before its contents."""
    filled = [(t.role, {"text": fill(t, metadata)}) for t in candidate.templates]
    system = [part for role, part in filled if role in SYSTEM]
    turns = [{"role": "model" if r == "assistant" else "user", "parts": [p]} for r, p in filled if r not in SYSTEM]
    if system:
        named = next((name for name in body if camel(name) == "systemInstruction"), "systemInstruction")
        given = decoded(body, (named,)).get(named)
        own = [{"text": given}] if isinstance(given, str) else message(given, named).get("parts") or []
        own = own if isinstance(own, list) else [own]
        body.pop(named, None)
        body["systemInstruction"] = raw({"parts": [*system, *own]})
    if turns:
        body["contents"] = placed_before(turns, body["contents"])
