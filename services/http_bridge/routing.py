"""The table of routes: method and path pattern to handler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.core.values import Value
from services.http_bridge.http import Handler


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
