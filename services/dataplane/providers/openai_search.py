"""A wish for a web search in the forms of chat completions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.policy.vendors import Quirks
from services.dataplane.translation import Untranslatable

_PLUGIN: Mapping[str, str] = {
    "max_results": "max_results",
    "max_uses": "max_uses",
    "allowed_domains": "include_domains",
    "blocked_domains": "exclude_domains",
}


def search_members(search: Mapping[str, Any], quirks: Quirks, model: str, dropped: list[str]) -> dict[str, Any]:
    """The members of a body that ask `model` for `search`.

    Args:
        dropped: What is dropped is told here.

    Raises:
        Untranslatable: The service has no search that is known, or the model has none.
    """
    if not quirks.search:
        raise Untranslatable.because("this provider has no web search that is known")
    if quirks.openai_models and "search" not in model:
        raise Untranslatable.because("OpenAI's chat completions search the web with its search models only")
    if quirks.search == "plugins":
        plugin = {"id": "web"} | {theirs: search[ours] for ours, theirs in _PLUGIN.items() if ours in search}
        _tell(search, _PLUGIN, dropped)
        return {"plugins": [plugin]}
    options: dict[str, Any] = {}
    if "search_context_size" in search:
        options["search_context_size"] = search["search_context_size"]
    if search.get("user_location"):
        options["user_location"] = {"type": "approximate", "approximate": search["user_location"]}
    _tell(search, ("search_context_size", "user_location"), dropped)
    return {quirks.search: options}


_LIMITS = ("allowed_domains", "blocked_domains")
"""Where the search must look, and where it must not: nothing to be dropped."""


def _tell(search: Mapping[str, Any], known: Any, dropped: list[str]) -> None:
    for name in search:
        if name in known:
            continue
        if name in _LIMITS:
            raise Untranslatable.because(f"this provider's web search takes no {name}")
        dropped.append(f"{name} of the web search was dropped: this provider's search does not take it")
