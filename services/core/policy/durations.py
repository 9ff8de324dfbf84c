"""Durations as people write them: "300ms", "1.5s", "2m", "1h"."""

from __future__ import annotations

import re

_FORM = re.compile(r"\A\s*([0-9]+(?:\.[0-9]+)?)(ms|us|s|m|h)\s*\Z")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float | None:
    """Seconds; None when `text` is not a duration."""
    match = _FORM.match(text)
    return float(match[1]) * _SECONDS[match[2]] if match else None


def format_duration(seconds: float) -> str:
    """The shortest form that means `seconds` exactly."""
    for unit in ("h", "m", "s"):
        count = seconds / _SECONDS[unit]
        if seconds and count == int(count):
            return f"{int(count)}{unit}"
    if seconds >= 1.0:
        return f"{seconds:.9g}s"
    return f"{seconds * 1000:.9g}ms"
