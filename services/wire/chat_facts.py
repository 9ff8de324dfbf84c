"""Routing facts of a chat body, shared by the worker's dialects and the control plane's simulation.

Routing fields are read from a literal `extra_body` object and from the top level, the
former first: curl users write the one, SDK users end up with the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from services.core.errors import InvalidRequest
from services.core.policy.durations import parse_duration
from services.core.policy.preferences import NO_PREFERENCES, Preferences
from services.core.policy.refusals import CHECKED
from services.core.routing.context import RequestContext
from services.core.routing.named import PRESET
from services.wire.plugin_facts import with_plugins
from services.wire.preference_facts import PreferenceReader
from services.wire.trace_facts import caller_trace

ROUTING_FIELDS = (
    "models", "ignore", "provider", "fallback", "sort",
    "route", "transforms", "usage", "include_usage", "debug", "plugins", "preset", "trace", "session_id",
)  # fmt: skip
"""Top-level members that are ours (or OpenRouter's) and never reach a provider."""

FACT_FIELDS = (
    "model",
    "extra_body",
    "metadata",
    "user",
    "models",
    "ignore",
    "provider",
    "fallback",
    "sort",
    "preset",
    "plugins",
    "trace",
    "session_id",
)
"""The members that `read_facts` reads."""

MIN_TTFT = 0.3
"""Seconds; the least that `fallback.ttft_timeout` can be, as Inworld documents it."""

_NOTHING: Mapping[str, Any] = {}


def read_facts(
    body: Mapping[str, Any],
    *,
    headers: Mapping[str, str] = _NOTHING,
    session: str = "",
    user: str = "",
    needs: frozenset[str] = frozenset(),
    asks_json: bool = False,
    least_tokens: int = 0,
    parameters: Iterable[str] = (),
) -> RequestContext:
    """The routing facts of a decoded chat body.

    Args:
        headers: The caller's, by small letters.
        session: What stands for the session where neither the body nor a header names one.
        user: End user when the body has none in the usual place; without any, the session is the sticky unit.
        needs: Capabilities that the request uses; `needs.py` finds them.
        asks_json: Its answer is to be JSON.
        least_tokens: Tokens that its prompt has at least.
        parameters: Names of all members of the body; read only if the caller requires that they are supported.

    Raises:
        InvalidRequest: A routing field has the wrong type.
    """
    extra = _object(body, "extra_body") or _NOTHING
    session = session_of(body, headers) or session
    model, models = _named(extra, body)
    fallback = _either(extra, body, "fallback")
    warnings: list[str] = []
    preferences = _preferences(extra, body, warnings)
    if body.get("plugins"):
        models, preferences = with_plugins(body["plugins"], models, preferences, warnings)
    if body.get("preset") and body.get("model"):
        warnings.append("preset was dropped: the request names a model too")
    return RequestContext(
        model=model,
        models=models,
        preferences=preferences,
        parameters=CHECKED.intersection(parameters) if preferences.require_parameters else frozenset(),
        metadata=_metadata(extra, body),
        user=_user(extra, body) or user or session,
        session=session,
        needs=needs,
        asks_json=asks_json,
        least_tokens=least_tokens,
        clocks=_clocks(fallback, warnings) if fallback else {},
        caller_trace=caller_trace(body, warnings) if body.get("trace") or body.get("session_id") else {},
        warnings=tuple(warnings),
    )


def session_of(body: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    """The session that a request names, in the body or in a header; empty: none."""
    named = body.get("session_id")
    if isinstance(named, str) and named:
        return named
    return headers.get("x-session-id") or headers.get("x-claude-code-session-id", "")


def _named(extra: Mapping[str, Any], body: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The model that is asked for, and those to try after it."""
    model = body.get("model") or _preset(body)
    if not isinstance(model, str):
        raise InvalidRequest("`model` must be a string", param="model")
    models = _strings(extra, body, "models")
    if not model and not models:
        raise InvalidRequest("`model` is missing; give a model id such as 'openai/gpt-5', or 'models'", param="model")
    return model, models


def _preferences(extra: Mapping[str, Any], body: Mapping[str, Any], warnings: list[str]) -> Preferences:
    """What is preferred among targets; what cannot be acted on is told in `warnings`."""
    provider = _either(extra, body, "provider")
    ignore = _strings(extra, body, "ignore")
    sort = extra.get("sort") or body.get("sort")
    if not (provider or ignore or sort):
        return NO_PREFERENCES
    reader = PreferenceReader()
    found = reader.read(provider, sort, ignore)
    warnings += reader.warnings
    return found


def _user(extra: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    found = extra.get("user") or body.get("user")
    return found if isinstance(found, str) else ""


def _preset(body: Mapping[str, Any]) -> str:
    """The router that stands for a preset, when the body names no model."""
    preset = body.get("preset")
    return f"{PRESET}{preset}" if isinstance(preset, str) and preset else ""


def _metadata(extra: Mapping[str, Any], body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Both places merged; `extra_body.metadata` wins key by key."""
    top, inner = _object(body, "metadata"), _object(extra, "metadata")
    if top and inner:
        return {**top, **inner}
    return inner or top or {}


def _clocks(fallback: Mapping[str, Any], warnings: list[str]) -> Mapping[str, float]:
    warnings += [f"fallback.{name} was dropped: it is not known here" for name in fallback if name != "ttft_timeout"]
    timeout = fallback.get("ttft_timeout")
    if timeout is None:
        return {}
    seconds = parse_duration(timeout) if isinstance(timeout, str) else None
    if seconds is None or seconds <= 0:
        raise InvalidRequest(
            '`fallback.ttft_timeout` must be a duration such as "800ms"', param="fallback.ttft_timeout"
        )
    if seconds < MIN_TTFT:
        warnings.append(f"fallback.ttft_timeout was raised to {MIN_TTFT * 1000:.0f}ms, the least there is")
        seconds = MIN_TTFT
    # A stream waits no longer for its headers either; a whole answer has no first token (ADR 0003).
    return {"first_content": seconds, "first_event": seconds}


def _object(container: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    value = container.get(name)
    if value is None:
        return None
    # A dict first: to ask an abstract class costs several times as much.
    if not isinstance(value, (dict, Mapping)):
        raise InvalidRequest(f"`{name}` must be an object", param=name)
    return value


def _either(first: Mapping[str, Any], second: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object `name` of the first that has one with anything in it; else an empty one."""
    if name not in first and name not in second:
        return _NOTHING
    return _object(first, name) or _object(second, name) or _NOTHING


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
