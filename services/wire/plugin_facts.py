"""OpenRouter's plugins, as far as routing reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.core.errors import InvalidRequest
from services.core.policy.preferences import Preferences
from services.core.values import changed

WEB = "web"
_AUTO = "auto-router"


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
