"""Fields of decoded bodies, checked: what is malformed is the caller's fault, never a crash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.core.errors import InvalidRequest
from services.core.numbers import is_number, is_whole
from services.core.values import changed
from services.dataplane.exchange import File, Image, Message, Text, ToolResult


def number(body: Mapping[str, Any], name: str, path: str = "") -> float | None:
    """A number; None when it is not there.

    Raises:
        InvalidRequest: It is something else.
    """
    value = body.get(name)
    if value is None or is_number(value):
        return value
    raise InvalidRequest(f"`{path or name}` must be a number", param=path or name)


def integer(body: Mapping[str, Any], name: str, path: str = "") -> int | None:
    """A whole number; None when it is not there.

    Raises:
        InvalidRequest: It is something else.
    """
    value = body.get(name)
    if value is None or is_whole(value):
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


def text(body: Mapping[str, Any], name: str, path: str = "") -> str:
    """Text; empty when it is not there.

    Raises:
        InvalidRequest: It is something else.
    """
    value = body.get(name)
    if value is None or isinstance(value, str):
        return value or ""
    raise InvalidRequest(f"`{path or name}` must be text", param=path or name)


def word(body: Mapping[str, Any], name: str, words: Sequence[str]) -> str:
    """One of `words`; empty when it is not there.

    Raises:
        InvalidRequest: It is something else.
    """
    value = text(body, name)
    if value and value not in words:
        raise InvalidRequest(f"`{name}` must be one of {', '.join(words)}", param=name)
    return value


def mark_last(messages: tuple[Message, ...], control: Mapping[str, Any]) -> tuple[Message, ...]:
    """`messages` with `control` on the last part that can be marked for a prompt cache."""
    for at in range(len(messages) - 1, -1, -1):
        parts = messages[at].parts
        for place in range(len(parts) - 1, -1, -1):
            part = parts[place]
            if isinstance(part, (Text, Image, File, ToolResult)):
                marked = part if part.cache_control else changed(part, cache_control=control)
                message = changed(messages[at], parts=(*parts[:place], marked, *parts[place + 1 :]))
                return (*messages[:at], message, *messages[at + 1 :])
    return messages
