"""Fields of decoded bodies, checked: what is malformed is the caller's fault, never a crash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.core.errors import InvalidRequest


def number(body: Mapping[str, Any], name: str) -> float | None:
    """A number; None when it is not there.

    Raises:
        InvalidRequest: It is something else.
    """
    value = body.get(name)
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        return value
    raise InvalidRequest(f"`{name}` must be a number", param=name)


def integer(body: Mapping[str, Any], name: str, path: str = "") -> int | None:
    """A whole number; None when it is not there.

    Raises:
        InvalidRequest: It is something else.
    """
    value = body.get(name)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise InvalidRequest(f"`{path or name}` must be a whole number", param=path or name)


def items(value: Any, path: str) -> Sequence[Any]:
    """A list; empty when it is not there.

    Raises:
        InvalidRequest: It is something else.
    """
    if value is None:
        return ()
    if isinstance(value, list):
        return value
    raise InvalidRequest(f"`{path}` must be a list", param=path)


def objects(value: Any, path: str) -> Sequence[Mapping[str, Any]]:
    """A list of objects; empty when it is not there.

    Raises:
        InvalidRequest: It is something else.
    """
    found = items(value, path)
    for index, item in enumerate(found):
        if not isinstance(item, Mapping):
            raise InvalidRequest(f"`{path}[{index}]` must be an object", param=f"{path}[{index}]")
    return found


def strings(value: Any, path: str) -> tuple[str, ...]:
    """A list of text; empty when it is not there.

    Raises:
        InvalidRequest: It is something else.
    """
    found = items(value, path)
    if not all(isinstance(item, str) for item in found):
        raise InvalidRequest(f"`{path}` must be a list of text", param=path)
    return tuple(found)
