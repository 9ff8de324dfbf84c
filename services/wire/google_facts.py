"""What a body of Gemini's generateContent asks of a model, and what conditions read of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from services.wire.needs import mime_needs

_PARAMETERS: Mapping[bytes, str] = {
    b"temperature": "temperature",
    b"topP": "top_p",
    b"topK": "top_k",
    b"maxOutputTokens": "max_tokens",
    b"stopSequences": "stop",
    b"seed": "seed",
    b"frequencyPenalty": "frequency_penalty",
    b"presencePenalty": "presence_penalty",
    b"responseLogprobs": "logprobs",
    b"thinkingConfig": "reasoning",
    b"responseSchema": "response_format",
    b"responseJsonSchema": "response_format",
}
"""Members of `generationConfig`, and what OpenRouter calls them."""

_JSON = re.compile(rb'"response_?[mM]ime_?[tT]ype"\s*:\s*"application\\?/json"')


def _member(members: Mapping[str, Any], camel: str, snake: str) -> bytes:
    """A member's bytes, in either spelling; empty: it is not there."""
    value = members.get(camel, members.get(snake))
    return bytes(value) if value is not None else b""


def content_needs(members: Mapping[str, Any]) -> frozenset[str]:
    """The capabilities that a request uses.

    Args:
        members: Members of the body, each JSON text.
    """
    needs = mime_needs(members.get("contents") or b"")
    tools = bytes(members.get("tools") or b"")
    config = _member(members, "generationConfig", "generation_config")
    if b'"functionDeclarations"' in tools or b'"function_declarations"' in tools:
        needs.add("tools")
    if b'"googleSearch' in tools or b'"google_search' in tools:
        needs.add("web_search")
    if any(
        name in config for name in (b'"responseSchema"', b"esponseJsonSchema", b'"response_schema"', b"json_schema")
    ):
        needs.add("json_schema")
    if b"odalities" in config:
        needs |= {f"{kind.lower()}_output" for kind in ("AUDIO", "IMAGE") if f'"{kind}"'.encode() in config}
    return frozenset(needs)


def content_asks_json(members: Mapping[str, Any]) -> bool:
    """Whether the answer is to be JSON, by a schema or without one."""
    return _JSON.search(_member(members, "generationConfig", "generation_config")) is not None


def content_parameters(members: Mapping[str, Any]) -> set[str]:
    """The parameters that a request sets, in OpenRouter's words."""
    config = _member(members, "generationConfig", "generation_config").replace(b"_", b"").lower()
    found = {ours for theirs, ours in _PARAMETERS.items() if b'"%b"' % theirs.lower() in config}
    if members.get("tools") is not None:
        found.add("tools")
    if _member(members, "toolConfig", "tool_config"):
        found.add("tool_choice")
    return found


def turns_of(members: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The turns as OpenAI's messages, for conditions: role and text."""
    system = _decoded(_member(members, "systemInstruction", "system_instruction"))
    found = [{"role": "system", "content": _text(system)}] if system else []
    contents = _decoded(bytes(members.get("contents") or b""))
    for content in contents if isinstance(contents, list) else ():
        if isinstance(content, Mapping):
            role = "assistant" if content.get("role") == "model" else "user"
            found.append({"role": role, "content": _text(content)})
    return found


def _decoded(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data) if data else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _text(content: Any) -> str:
    """The text of a content, without reasoning."""
    if isinstance(content, str):
        return content
    parts = content.get("parts") if isinstance(content, Mapping) else None
    listed = [parts] if isinstance(parts, Mapping) else parts if isinstance(parts, list) else []
    spoken = [p for p in listed if isinstance(p, Mapping) and p.get("thought") is not True]
    return "\n".join(p["text"] for p in spoken if isinstance(p.get("text"), str))
