"""Which routes of a router a request can match at all, found by its metadata instead of one condition after another.

A condition that is a conjunction with a term `key == "text"` is never true for a request whose metadata has another value
there. So routes are filed under one such term each, and a request evaluates only those that are filed under its own
values, and those that have no such term, in the order of the router. The conditions themselves stay what they are: the
index only leaves out what could not be true.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from typing import Any

MIN_ROUTES = 16
"""Routes from which on an index is worth it, and its silence about routes that it leaves out is bearable."""

_TOKEN = re.compile(
    r"""(?P<text>"[^"\\\n]*"|'[^'\\\n]*')|(?P<and>&&)|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<other>\|\||\?|//|["'])"""
)
_TERM = re.compile(r"""\A\s*([A-Za-z_]\w*)\s*==\s*(?:"([^"\\\n]*)"|'([^'\\\n]*)')\s*\Z""")
_MIRRORED = re.compile(r"""\A\s*(?:"([^"\\\n]*)"|'([^'\\\n]*)')\s*==\s*([A-Za-z_]\w*)\s*\Z""")
_WORDS = {"true", "false", "null", "messages"}


def required(expression: str) -> dict[str, str]:
    """Values of metadata without which `expression` cannot be true; empty when none can be told.

    Only what is beyond doubt counts: terms of the outermost conjunction, with plain text on one side.
    """
    found: dict[str, str] = {}
    for term in _conjuncts(expression):
        match, mirrored = _TERM.match(term), _MIRRORED.match(term)
        if match is not None:
            key, value = match[1], match[2] if match[2] is not None else match[3]
        elif mirrored is not None:
            key, value = mirrored[3], mirrored[1] if mirrored[1] is not None else mirrored[2]
        else:
            continue
        if key not in _WORDS:
            found.setdefault(key, value)
    return found


def _conjuncts(expression: str) -> list[str]:
    """The terms of the outermost `&&`; none when there is anything at that level that binds less, or that is not understood."""
    terms, depth, begin = [], 0, 0
    for match in _TOKEN.finditer(expression):
        if match["open"]:
            depth += 1
        elif match["close"]:
            depth -= 1
        elif match["other"] and (depth == 0 or match["other"] not in {"||", "?"}):
            # An alternative, a choice, a comment, or a quote whose text has escapes.
            return []
        elif match["and"] and depth == 0:
            terms.append(expression[begin : match.start()])
            begin = match.end()
    return [*terms, expression[begin:]]


@dataclass(frozen=True, slots=True)
class RouteIndex:
    """Positions of routes by a value that they require.

    Attributes:
        filed: By metadata key and value, the positions of routes that require it, in order.
        others: Positions of routes that require nothing that can be told, in order.
        count: Number of routes.
    """

    filed: Mapping[str, Mapping[str, tuple[int, ...]]]
    others: tuple[int, ...]
    count: int

    def possible(self, metadata: Mapping[str, Any]) -> Iterator[int]:
        """Positions of the routes that can match, in order."""
        found = [self.others]
        for key, by_value in self.filed.items():
            value = metadata.get(key)
            if isinstance(value, str) and value in by_value:
                found.append(by_value[value])
        return iter(found[0]) if len(found) == 1 else merge(*found)


def index_of(expressions: Sequence[str]) -> RouteIndex | None:
    """The index of a router's conditions, in order; None when it would leave out little."""
    if len(expressions) < MIN_ROUTES:
        return None
    needs = [required(expression) for expression in expressions]
    variety: dict[str, set[str]] = {}
    for need in needs:
        for key, value in need.items():
            variety.setdefault(key, set()).add(value)
    filed: dict[str, dict[str, list[int]]] = {}
    others = []
    for position, need in enumerate(needs):
        if not need:
            others.append(position)
            continue
        # Under the key that tells most routes apart; of equals the first one written.
        key = max(need, key=lambda name: len(variety[name]))
        filed.setdefault(key, {}).setdefault(need[key], []).append(position)
    if len(others) > len(expressions) // 2:
        return None
    by_key = {key: {value: tuple(places) for value, places in values.items()} for key, values in filed.items()}
    return RouteIndex(by_key, tuple(others), len(expressions))
