"""The table of routes: method and path pattern to handler."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from services.core.values import Value
from services.http_bridge.http import Handler

_BASES = ("/v1", "/v1beta", "/api/v1")
"""What clients' base URLs end in, by their kind."""
_LONGEST_GUESSED, _DEEPEST_GUESSED = 200, 12
"""Characters and slashes; what has more is no slip of a client's settings, and would cost milliseconds."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route. A segment `{name}` of the pattern matches one segment, a last `{name...}` the whole rest."""

    method: str
    pattern: str
    handler: Handler


class Match(Value, frozen=True):
    """A route that fits, or the methods that would have."""

    route: Route | None
    parameters: Mapping[str, str]
    allowed: tuple[str, ...] = ()


class RouteTable:
    """Finds routes; exact paths by one look-up."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, dict[str, Route]] = {}
        self._patterns: list[tuple[list[str], Route]] = []
        for route in routes:
            if "{" in route.pattern:
                self._patterns.append((route.pattern.strip("/").split("/"), route))
            else:
                self._exact.setdefault(route.pattern, {})[route.method] = route

    def match(self, method: str, path: str) -> Match:
        """The route of a request; HEAD is served by GET."""
        if len(path) > 1 and path.endswith("/"):
            path = path[:-1]
        wanted = "GET" if method == "HEAD" else method
        methods = self._exact.get(path)
        if methods is not None:
            route = methods.get(wanted)
            return Match(route, {}, () if route is not None else tuple(methods))
        allowed: list[str] = []
        segments = path.strip("/").split("/")
        for pattern, route in self._patterns:
            parameters = _fit(pattern, segments)
            if parameters is None:
                continue
            if route.method == wanted:
                return Match(route, parameters)
            allowed.append(route.method)
        return Match(None, {}, tuple(allowed))

    def meant(self, path: str) -> str:
        """The served path that a caller of the unknown `path` most likely meant; empty: none comes to mind.

        Nearly always the client's base URL is wrong: it lacks /v1, or ends in what the client adds itself.
        """
        if len(path) > _LONGEST_GUESSED or path.count("/") > _DEEPEST_GUESSED:
            return ""
        for guess in _neighbours(path):
            found = self.match("POST", guess)
            if found.route is not None or found.allowed:
                return guess
        return next(iter(difflib.get_close_matches(path, self._exact, n=1, cutoff=0.8)), "")


def _neighbours(path: str) -> Iterator[str]:
    """The path behind another base, without its first segments, and without its last ones."""
    segments = path.strip("/").split("/")
    yield from (base + path for base in _BASES)
    yield from ("/" + "/".join(segments[start:]) for start in range(1, len(segments)))
    yield from ("/" + "/".join(segments[:end]) for end in range(len(segments) - 1, 0, -1))


def _fit(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    parameters: dict[str, str] = {}
    for index, part in enumerate(pattern):
        if part.endswith("...}"):
            parameters[part[1:-4]] = "/".join(segments[index:])
            return parameters if len(segments) > index else None
        if index >= len(segments):
            return None
        if part.startswith("{"):
            parameters[part[1:-1]] = segments[index]
        elif part != segments[index]:
            return None
    return parameters if len(segments) == len(pattern) else None
