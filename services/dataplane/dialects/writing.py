"""What writers of several dialects have in common."""

from __future__ import annotations

from typing import Any

import msgspec


def arguments_object(arguments: str) -> dict[str, Any]:
    """A call's arguments as the object that some protocols want; text that is not JSON is kept as it is."""
    try:
        value = msgspec.json.decode(arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        return {"arguments": arguments}
    return value if isinstance(value, dict) else {"value": value}
