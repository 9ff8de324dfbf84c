"""Odd values, and the places that they are put into: what may stand anywhere in JSON that another side wrote."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0.5,
    2**70,
    10**400,
    1e300,
    "",
    "7",
    "nan",
    "inf",
    "odd",
    "9" * 5000,
    "$['']",
    f"$.a[{'9' * 5000}]",
    "data:,",
    "doc:999999",
    "é\U0001f642",
    [],
    [None],
    [5],
    [["odd"]],
    [{}],
    [{"text": 5, "type": ["odd"], "thinking": [{"text": 5}]}],
    {},
    {"odd": 1, "text": 5, "type": ["odd"]},
)
"""What may stand in the place of anything else, all of it JSON."""

ODD_NAMES = ("", "odd", "p" + "9" * 5000, "odd[]", "é\U0001f642")
"""What a member may be called."""

Way = tuple[Any, ...]


def places(value: Any, path: Way = ()) -> Iterator[Way]:
    if path:
        yield path
    for name, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from places(inner, (*path, name))


def shape(value: Any, path: Way) -> Way:
    """What tells a place from one that is read by the same lines: the names on the way, and the types of what they are in."""
    steps: list[Any] = []
    for step in path:
        kind = value.get("type") if isinstance(value, dict) else None
        steps += [str(kind), None if isinstance(step, int) else step]
        value = value[step]
    return (*steps, type(value).__name__)


def replaced(whole: Any, path: Way, odd: Any) -> Any:
    copy = deepcopy(whole)
    inner = copy
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = odd
    return copy


def renamed(whole: Any, path: Way, name: str) -> Any:
    """`whole` with the member at `path` under another name."""
    copy = deepcopy(whole)
    inner = copy
    for step in path[:-1]:
        inner = inner[step]
    inner[name] = inner.pop(path[-1])
    return copy
