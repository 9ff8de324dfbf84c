"""Requests to Google, and answers in its form, by the types of its own SDK, which forbid every member that they do not know."""

from __future__ import annotations

from typing import Any

from google.genai import types

_PARTS: dict[str, Any] = {
    "systemInstruction": types.Content,
    "toolConfig": types.ToolConfig,
    "generationConfig": types.GenerationConfig,
}


def check_google(body: dict[str, Any]) -> None:
    """The body is one that the SDK could have sent."""
    assert body.keys() <= {"contents", "tools", "serviceTier", *_PARTS}
    for content in body["contents"]:
        _check(types.Content, content)
    for tool in body.get("tools", ()):
        _check(types.Tool, tool)
    for name, kind in _PARTS.items():
        if name in body:
            _check(kind, body[name])
    assert body.get("serviceTier", "flex") in {tier.value for tier in types.ServiceTier}


def check_contents(body: dict[str, Any]) -> None:
    """The body is an answer or a chunk of one, but for our evidence."""
    usage = {name: value for name, value in body.get("usageMetadata", {}).items() if name != "cost"}
    ours = {name: value for name, value in body.items() if name not in {"metadata", "usageMetadata"}}
    types.GenerateContentResponse.model_validate({**ours, "usageMetadata": usage})


def _check(kind: Any, value: Any) -> None:
    read = kind.model_validate(value).model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert _bytes(read) == _bytes(value)


def _bytes(value: Any) -> Any:
    """`value` with base64 texts in one alphabet: the SDK writes them safe for addresses."""
    if isinstance(value, dict):
        fixed = {"data", "thoughtSignature"}
        return {n: v.replace("-", "+").replace("_", "/") if n in fixed else _bytes(v) for n, v in value.items()}
    return [_bytes(item) for item in value] if isinstance(value, list) else value
