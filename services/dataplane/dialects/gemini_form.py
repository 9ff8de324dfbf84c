"""What is peculiar to Google's JSON: names in two spellings, bytes in two alphabets, whole numbers as text.

Requests are protocol buffers in JSON, so `systemInstruction` and `system_instruction` are the same member.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from services.core.errors import InvalidRequest
from services.core.numbers import is_whole
from services.dataplane.dialects.reading import objects


@lru_cache(maxsize=1024)
def camel(name: str) -> str:
    """`name` as Google's JSON spells it."""
    first, *rest = name.lstrip("_").split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def message(value: Any, path: str) -> dict[str, Any]:
    """The members of a message that say something, by their names in camel case; empty: it is not there.

    Raises:
        InvalidRequest: It is no object.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidRequest(f"`{path}` must be an object", param=path)
    return {camel(name): item for name, item in value.items() if item is not None}


def messages(value: Any, path: str) -> Sequence[dict[str, Any]]:
    """A list of messages; empty when it is not there.

    Raises:
        InvalidRequest: It is something else.
    """
    return [message(item, f"{path}[{index}]") for index, item in enumerate(objects(value, path))]


def whole(body: Mapping[str, Any], name: str, path: str) -> int | None:
    """A whole number, which may come as text or with a point; None when it is not there.

    Raises:
        InvalidRequest: It is something else.
    """
    value = body.get(name)
    if isinstance(value, str) and value.lstrip("-").isdecimal() and len(value) < 20:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or is_whole(value):
        return value
    raise InvalidRequest(f"`{path}.{name}` must be a whole number", param=f"{path}.{name}")


class Losses:
    """What has no translation, told once each."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def add(self, line: str) -> None:
        """Tell that something was dropped."""
        if line not in self.told:
            self.told.append(line)

    def unknown(self, body: Mapping[str, Any], known: Iterable[str], where: str = "") -> None:
        """Tell of every member that is not among `known`."""
        beyond = set(known)
        for name in body:
            if name not in beyond:
                self.add(f"{name}{where} was dropped: it has no translation")
