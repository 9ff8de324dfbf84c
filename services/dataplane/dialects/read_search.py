"""Wishes for a web search, in the words of Inworld, OpenAI, OpenRouter and Anthropic, as the exchange model's.

What a search may be told beyond those words belongs to one engine, and is dropped with a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.errors import InvalidRequest
from services.dataplane.dialects.reading import integer, objects, strings

SEARCHES = ("web_search", "web_search_options", "plugins")
"""Where a request says by itself that it wants a search of the web."""
_PLACES = ("city", "region", "country", "timezone")
_NUMBERS: Mapping[str, str] = {"max_results": "max_results", "max_uses": "max_uses", "max_steps": "max_uses"}
_DOMAINS: Mapping[str, str] = {
    "allowed_domains": "allowed_domains",
    "include_domains": "allowed_domains",
    "blocked_domains": "blocked_domains",
    "exclude_domains": "blocked_domains",
}
_SILENT = {"id", "enabled", "type", "name", "cache_control", *_NUMBERS, *_DOMAINS, "user_location"}


def read_search(body: Mapping[str, Any], warnings: list[str]) -> Mapping[str, Any] | None:
    """The search that a body asks for in Inworld's, OpenAI's or OpenRouter's words, wherever it says so; None: none.

    Args:
        warnings: What is dropped is told here.

    Raises:
        InvalidRequest: It is not well formed.
    """
    for name in ("web_search", "web_search_options"):
        given = body.get(name)
        if given is None or given is False:
            continue
        if given is not True and not isinstance(given, Mapping):
            raise InvalidRequest(f"`{name}` must be true or an object", param=name)
        return search_of({} if given is True else given, name, warnings)
    for index, plugin in enumerate(objects(body.get("plugins"), "plugins")):
        if plugin.get("id") == "web" and plugin.get("enabled") is not False:
            return search_of(plugin, f"plugins[{index}]", warnings)
    return None


def searches_of(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Wishes for a search inside `extra_body`, which come before those at the top level."""
    extra = body.get("extra_body")
    if not isinstance(extra, Mapping):
        return {}
    return {name: extra[name] for name in SEARCHES if extra.get(name) is not None}


def search_of(given: Mapping[str, Any], path: str, warnings: list[str]) -> Mapping[str, Any]:
    """`given` in the exchange model's words.

    Raises:
        InvalidRequest: It is not well formed.
    """
    found: dict[str, Any] = {}
    for name, ours in _NUMBERS.items():
        count = integer(given, name, f"{path}.{name}")
        if count is not None:
            found[ours] = count
    for name, ours in _DOMAINS.items():
        if given.get(name):
            found[ours] = list(strings(given[name], f"{path}.{name}"))
    size = given.get("search_context_size")
    if size is not None:
        if size not in ("low", "medium", "high"):
            told = f"`{path}.search_context_size` must be low, medium or high"
            raise InvalidRequest(told, param=f"{path}.search_context_size")
        found["search_context_size"] = size
    place = _place(given.get("user_location"), f"{path}.user_location")
    if place:
        found["user_location"] = place
    for name, value in given.items():
        if name not in _SILENT and name != "search_context_size" and (name, value) != ("engine", "native"):
            warnings.append(f"{path}.{name} was dropped: the provider's own search does not take it")
    return found


def _place(given: Any, path: str) -> Mapping[str, str]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"`{path}` must be an object", param=path)
    inner = given.get("approximate")
    place = inner if isinstance(inner, Mapping) else given
    return {name: value for name in _PLACES if isinstance(value := place.get(name), str) and value}
