"""Routing facts of a chat body, shared by the worker's dialects and the control plane's simulation.

Routing fields are read from a literal `extra_body` object and from the top level, the
former first: curl users write the one, SDK users end up with the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.core.errors import InvalidRequest
from services.core.policy.durations import parse_duration
from services.core.routing.context import RequestContext

ROUTING_FIELDS = ("models", "ignore", "provider", "fallback", "sort", "route", "transforms")
"""Top-level members that are ours (or OpenRouter's) and never reach a provider."""

_NOTHING: Mapping[str, Any] = {}


def read_facts(body: Mapping[str, Any], *, user: str = "", needs: frozenset[str] = frozenset()) -> RequestContext:
    """The routing facts of a decoded chat body.

    Args:
        user: Sticky unit when the body has none of its own.

    Raises:
        InvalidRequest: A routing field has the wrong type.
    """
    extra = _object(body, "extra_body") or _NOTHING
    model = body.get("model")
    if model is not None and not isinstance(model, str):
        raise InvalidRequest("`model` must be a string", param="model")
    models = _strings(extra, body, "models")
    if not model and not models:
        raise InvalidRequest("`model` is missing; give a model id such as 'openai/gpt-5', or 'models'", param="model")
    own_user = extra.get("user") or body.get("user")
    provider = _object(extra, "provider") or _object(body, "provider") or _NOTHING
    fallback = _object(extra, "fallback") or _object(body, "fallback") or _NOTHING
    return RequestContext(
        model=model or "",
        models=models,
        ignore=_strings(extra, body, "ignore") + _strings(provider, _NOTHING, "ignore"),
        provider_order=_strings(provider, _NOTHING, "order"),
        allow_fallbacks=provider.get("allow_fallbacks") is not False,
        metadata=_metadata(extra, body),
        user=own_user if isinstance(own_user, str) and own_user else user,
        needs=needs,
        clocks=_clocks(fallback) if fallback else {},
    )


def _metadata(extra: Mapping[str, Any], body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Both places merged; `extra_body.metadata` wins key by key."""
    top, inner = _object(body, "metadata"), _object(extra, "metadata")
    if top and inner:
        return {**top, **inner}
    return inner or top or {}


def _clocks(fallback: Mapping[str, Any]) -> Mapping[str, float]:
    timeout = fallback.get("ttft_timeout")
    if timeout is None:
        return {}
    seconds = parse_duration(timeout) if isinstance(timeout, str) else None
    if seconds is None or seconds <= 0:
        raise InvalidRequest(
            '`fallback.ttft_timeout` must be a duration such as "800ms"', param="fallback.ttft_timeout"
        )
    # A stream waits no longer for its headers either; a whole answer has no first token (ADR 0003).
    return {"first_content": seconds, "first_event": seconds}


def _object(container: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    value = container.get(name)
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"`{name}` must be an object", param=name)
    return value


def _strings(first: Mapping[str, Any], second: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = first.get(name)
    if value is None:
        value = second.get(name)
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(v, str) for v in value):
        raise InvalidRequest(f"`{name}` must be a list of strings", param=name)
    return tuple(value)


def condition_messages(messages: Any) -> tuple[Mapping[str, Any], ...]:
    """Messages as conditions see them: role, content flattened to text, and what else is plain."""
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        return ()
    return tuple({**m, "content": flat_text(m.get("content"))} for m in messages if isinstance(m, Mapping))


def flat_text(content: Any) -> str:
    """The text of a content that may be a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        return "\n".join(str(p["text"]) for p in content if isinstance(p, Mapping) and isinstance(p.get("text"), str))
    return ""
