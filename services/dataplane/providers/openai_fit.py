"""Makes a chat completion request fit its target: names of fields, roles, and what the service or model refuses.

For requests of ours and for callers' own, so values are plain or still raw JSON. What the
answer stays true without is dropped with a warning; what it does not is refused, so that
another target is asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from services.core.policy.provider_types import MISTRAL, quirks_of
from services.core.policy.snapshot import Target
from services.core.policy.vendors import Quirks
from services.dataplane.limits import within
from services.dataplane.members import NotAnObject, join_members, plain, raw, split_members
from services.dataplane.providers import mistral_fit
from services.dataplane.translation import Untranslatable

_GROQ = "groq"
_GROQ_TIERS = ("auto", "on_demand", "flex", "performance")
LIMITS = ("max_tokens", "max_completion_tokens")
_DEMANDS = {
    "audio", "function_call", "functions", "logit_bias", "logprobs", "modalities", "n", "response_format", "stop",
    "tool_choice", "tools", "top_logprobs", "web_search_options",
}  # fmt: skip
"""Without these the answer would not be what was asked for."""

_AS_IF_UNSAID: Mapping[str, tuple[Any, ...]] = {
    "temperature": (1,),
    "top_p": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "n": (1,),
    "logprobs": (False,),
    "modalities": (["text"],),
    "response_format": ({"type": "text"},),
}
"""Values that say no more than silence does, beside null and what is empty."""

_REASONS = re.compile(r"(?:.*/)?(?:(?P<o>o[134])(?:-.*)?|gpt-5(?!-chat)(?P<minor>\.\d+)?(?:-.*)?)")
"""OpenAI's models that reason; from 5.1 on they do so only when told to."""


@lru_cache(1_024)
def _reasoning(model: str) -> re.Match[str] | None:
    """How a name says that the model reasons, at OpenAI; None: it does not."""
    return _REASONS.fullmatch(model)


_SAMPLING = ("temperature", "top_p", "logprobs", "top_logprobs")
_STEERING = ("frequency_penalty", "presence_penalty", "logit_bias")


def _fit_tier(body: dict[str, Any]) -> list[str]:
    """Put the service tier into Groq's words, which refuses others."""
    tier = plain(body.get("service_tier"))
    if tier == "default":
        body["service_tier"] = raw("on_demand") if isinstance(body["service_tier"], msgspec.Raw) else "on_demand"
    elif tier is not None and tier not in _GROQ_TIERS:
        del body["service_tier"]
        return [f"service_tier was dropped: Groq knows {', '.join(_GROQ_TIERS)}"]
    return []


def fit(body: dict[str, Any], target: Target) -> list[str]:
    """Change `body` so that the target takes it; what was dropped, one sentence each.

    Raises:
        Untranslatable: The target refuses what the answer depends on.
    """
    quirks = quirks_of(target.provider.type)
    reasons = _reasoning(target.upstream_model) if quirks.openai_models else None
    if not quirks.usage_option:
        body.pop("stream_options", None)
    dropped = mistral_fit.adapt(body, target.upstream_model) if target.provider.protocol == MISTRAL else []
    dropped += _fit_tier(body) if target.provider.type == _GROQ else []
    dropped += _rename_limit(body, quirks.limit) if quirks.limit_only or reasons is not None else []
    if (quirks.developer is False or not quirks.names) and isinstance(body.get("messages"), msgspec.Raw):
        body["messages"] = _messages(body["messages"], quirks)
    dropped += [_drop(body, name, target.provider.type) for name in _refused(body, quirks)]
    if reasons is not None:
        told = f"the model {target.upstream_model}"
        dropped += [_drop(body, name, told) for name in _refused_by_model(body, reasons) if name in body]
    if target.max_output_tokens:
        dropped += _lower_limit(body, target)
    return [line for line in dropped if line]


def _refused(body: Mapping[str, Any], quirks: Quirks) -> list[str]:
    """Members that the service refuses, or is not known to take, by name."""
    known, refused = quirks.known, quirks.refused
    if known is None:
        return [] if refused.isdisjoint(body) else sorted(refused.intersection(body))
    return sorted(name for name in body if name in refused or name not in known)


def _lower_limit(body: dict[str, Any], target: Target) -> list[str]:
    """Ask for no more than the model answers."""
    warnings = []
    for name in LIMITS:
        asked = body.get(name)
        if asked is None:
            continue
        given = msgspec.json.decode(asked) if isinstance(asked, msgspec.Raw) else asked
        limit, warning = within(given, target)
        if warning:
            body[name] = raw(limit) if isinstance(asked, msgspec.Raw) else limit
            warnings.append(warning)
    return warnings


def reasons(target: Target) -> bool:
    """Whether the target is one of OpenAI's models that reason."""
    found = _reasoning(target.upstream_model)
    return quirks_of(target.provider.type).openai_models and found is not None


def fit_sampling(body: dict[str, Any], target: Target, effort: str) -> list[str]:
    """Take out of a Responses body what a model that reasons refuses; what was dropped, one sentence each.

    Raises:
        Untranslatable: The model refuses what the answer depends on.
    """
    found = _reasoning(target.upstream_model)
    if found is None or not reasons(target) or (found["minor"] is not None and effort in {"", "none"}):
        return []
    told = f"the model {target.upstream_model}"
    dropped = [_drop(body, name, told) for name in _SAMPLING if name in body]
    return [line for line in dropped if line]


def _rename_limit(body: dict[str, Any], limit: str) -> list[str]:
    """Call the limit of the answer's tokens `limit`; of a caller who gave both names, the newer one counts."""
    if not any(name in body for name in LIMITS if name != limit):
        return []
    given = {name: body.pop(name) for name in LIMITS if name in body}
    for name in reversed(LIMITS):
        if name in given:
            body[limit] = given[name]
            break
    if len(given) == len(LIMITS):
        return ["max_tokens was dropped: max_completion_tokens says it"]
    return [f"{name} was sent as {limit}" for name in given if name != limit]


def _refused_by_model(body: Mapping[str, Any], reasons: re.Match[str]) -> tuple[str, ...]:
    """What OpenAI's documentation says that a model which reasons refuses."""
    if reasons["o"]:
        return (*_SAMPLING, *_STEERING, "stop")
    if reasons["minor"] is None:
        return (*_SAMPLING, *_STEERING)
    return _SAMPLING if plain(body.get("reasoning_effort")) not in (None, "none") else ()


def _drop(body: dict[str, Any], name: str, whom: str) -> str:
    """Take a field out; the warning, or nothing when the field said nothing."""
    value = plain(body[name])
    if value in (None, [], {}, "") or (value, type(value) is bool) in [
        (v, type(v) is bool) for v in _AS_IF_UNSAID.get(name, ())
    ]:
        del body[name]
        return ""
    if name in _DEMANDS:
        raise Untranslatable.because(f"`{name}` is refused by {whom}")
    del body[name]
    return f"{name} was dropped: {whom} refuses it"


def _messages(messages: msgspec.Raw, quirks: Quirks) -> msgspec.Raw:
    """A caller's messages with roles and members that the service knows; those that need no change keep their bytes."""
    data = bytes(messages)
    if b"developer" not in data and (quirks.names or b'"name"' not in data):
        return messages
    return msgspec.Raw(b"[" + b",".join(_message(bytes(m), quirks) for m in _list_of_raw(data)) + b"]")


_list_of_raw = msgspec.json.Decoder(list[msgspec.Raw]).decode


def _message(data: bytes, quirks: Quirks) -> bytes:
    try:
        members = split_members(data)
    except NotAnObject:
        return data  # the provider says what is wrong with it
    renamed = quirks.developer is False and plain(members.get("role")) == "developer"
    unnamed = not quirks.names and "name" in members
    if renamed:
        members["role"] = raw("system")
    if unnamed:
        del members["name"]
    return join_members(members) if renamed or unnamed else data
