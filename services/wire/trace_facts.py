"""What callers call a request in their own traces: OpenRouter's `trace` and `session_id`. For evidence, never for decisions.

Everything is bounded, so that no caller can fill records and spans.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.errors import InvalidRequest

SESSION = "session_id"
MAX_NAMES = 16
MAX_NAME_CHARS = 64
MAX_CHARS = 256


def caller_trace(body: Mapping[str, Any], warnings: list[str]) -> dict[str, str]:
    """Names and values of `trace`, and the session; at most 16 names of 64 characters, with texts of 256.

    Args:
        body: The members, decoded.
        warnings: What was left out or cut is told here.

    Raises:
        InvalidRequest: `trace` is no object.
    """
    trace = body.get("trace")
    if trace is not None and not isinstance(trace, Mapping):
        raise InvalidRequest("`trace` must be an object", param="trace")
    session = body.get(SESSION)
    found = {SESSION: session[:MAX_CHARS]} if isinstance(session, str) and session else {}
    for name, value in (trace or {}).items():
        if value is None:
            continue
        text = _text(value)
        if text is None or len(name) > MAX_NAME_CHARS or len(found) >= MAX_NAMES or name == SESSION:
            warnings.append(f"trace.{name[:MAX_NAME_CHARS]} was dropped: traces keep {MAX_NAMES} plain values")
            continue
        found[name] = text[:MAX_CHARS]
        if len(text) > MAX_CHARS:
            warnings.append(f"trace.{name} was cut to {MAX_CHARS} characters")
    return found


def _text(value: Any) -> str | None:
    """A plain value as text; None: it is none."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) else None
