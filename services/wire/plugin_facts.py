"""OpenRouter's plugins and parameters, as far as routing reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from services.core.errors import InvalidRequest
from services.core.policy.preferences import Preferences
from services.core.values import changed

WEB = "web"
_AUTO = "auto-router"

_PARAMETERS: Mapping[str, str] = {
    name: name
    for name in [
        "temperature",
        "top_p",
        "top_k",
        "top_a",
        "min_p",
        "frequency_penalty",
        "presence_penalty",
        "repetition_penalty",
        "max_tokens",
        "max_completion_tokens",
        "seed",
        "stop",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "response_format",
        "reasoning",
        "verbosity",
    ]
} | {"reasoning_effort": "reasoning", "include_reasoning": "reasoning"}
"""Members of a body to names of OpenRouter's `supported_parameters`."""


def used_parameters(members: Iterable[str]) -> frozenset[str]:
    """The parameters that a body with these members uses."""
    return frozenset(_PARAMETERS[name] for name in members if name in _PARAMETERS)


def plugins_of(value: Any) -> Sequence[Mapping[str, Any]]:
    """The plugins of a request that are not switched off.

    Raises:
        InvalidRequest: It is no list of objects.
    """
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise InvalidRequest("`plugins` must be a list of objects", param="plugins")
    return [item for item in value if item.get("enabled") is not False]


def with_plugins(
    value: Any, models: tuple[str, ...], preferences: Preferences, warnings: list[str]
) -> tuple[tuple[str, ...], Preferences]:
    """`models` and `preferences` with what the plugin auto-router says; the other plugins are told in `warnings`.

    Raises:
        InvalidRequest: The plugins are malformed.
    """
    for plugin in plugins_of(value):
        name = str(plugin.get("id", ""))[:32]
        if name == _AUTO:
            models = models or _texts(plugin.get("allowed_models"), "allowed_models")
            excluded = _texts(plugin.get("excluded_models"), "excluded_models")
            preferences = changed(preferences, ignore=preferences.ignore + excluded)
        elif name != WEB:
            warnings.append(f"the plugin {name!r} was dropped: it is not known here")
    return models, preferences


def _texts(value: Any, name: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise InvalidRequest(f"`plugins.{name}` must be a list of text", param="plugins")
