"""OpenAI-style messages as messages of the exchange model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.errors import InvalidRequest
from services.dataplane.dialects.reading import objects
from services.dataplane.exchange import Image, Message, Part, Text, Thinking, ToolCall, ToolResult
from services.dataplane.translation import Untranslatable

_DATA_URL = re.compile(r"\Adata:([\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+)*;base64,(.*)\Z", re.DOTALL)
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


def read_messages(messages: Any) -> tuple[Message, ...]:
    """The messages of a body.

    Raises:
        InvalidRequest: One is not well formed.
        Untranslatable: One holds what only this protocol can carry.
    """
    if messages is None:
        raise InvalidRequest("`messages` must be a list", param="messages")
    return tuple(_message(m, f"messages[{i}]") for i, m in enumerate(objects(messages, "messages")))


def _message(message: Mapping[str, Any], path: str) -> Message:
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise InvalidRequest(f"`{path}.role` must be one of {', '.join(sorted(_ROLES))}", param=f"{path}.role")
    if role in {"tool", "function"}:
        content = tuple(p for p in _content(message.get("content"), path) if isinstance(p, (Text, Image)))
        call_id = str(message.get("tool_call_id") or message.get("name") or "")
        return Message("user", (ToolResult(call_id, content, cache_control=message.get("cache_control")),))
    parts = [*_content(message.get("content"), path)]
    if role == "assistant":
        parts = [*_thoughts(message, path), *parts, *_calls(message, path)]
    return Message(role, tuple(parts), str(message.get("name") or ""))


def _calls(message: Mapping[str, Any], path: str) -> list[Part]:
    """What an assistant message holds beside its content."""
    if message.get("audio") is not None:
        raise Untranslatable.because(f"`{path}.audio` has no translation for this model's provider")
    refusal = message.get("refusal")
    parts: list[Part] = [Text(refusal)] if isinstance(refusal, str) and refusal else []
    for index, call in enumerate(objects(message.get("tool_calls"), f"{path}.tool_calls")):
        parts.append(_tool_call(call, f"{path}.tool_calls[{index}]"))
    old = message.get("function_call")
    if old is not None:
        # The form before tools: the answer to it, of role function, names the function instead of an id.
        named = old.get("name") if isinstance(old, Mapping) else None
        parts.append(_tool_call({"id": named, "function": old}, f"{path}.function_call"))
    return parts


def _thoughts(message: Mapping[str, Any], path: str) -> list[Part]:
    """Reasoning of an earlier turn: `reasoning_details` with its signatures, else the bare text."""
    details = message.get("reasoning_details")
    if details:
        found: list[Part] = []
        for detail in objects(details, f"{path}.reasoning_details"):
            if detail.get("type") == "reasoning.encrypted":
                found.append(Thinking(redacted=str(detail.get("data") or "")))
            elif detail.get("type") == "reasoning.text":
                found.append(Thinking(str(detail.get("text") or ""), str(detail.get("signature") or "")))
            else:
                found.append(Thinking(str(detail.get("summary") or "")))
        return found
    text = message.get("reasoning_content") or message.get("reasoning")
    return [Thinking(text)] if isinstance(text, str) else []


def _content(content: Any, path: str) -> tuple[Part, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (Text(content),) if content else ()
    if not isinstance(content, list):
        raise InvalidRequest(f"`{path}.content` must be text or a list of parts", param=f"{path}.content")
    return tuple(_part(p, f"{path}.content[{i}]") for i, p in enumerate(objects(content, f"{path}.content")))


def _part(part: Mapping[str, Any], path: str) -> Part:
    kind = part.get("type")
    if kind in ("text", "input_text", "refusal"):
        return Text(str(part.get("text") or part.get("refusal") or ""), part.get("cache_control"))
    if kind == "image_url":
        return _image(part, path)
    raise Untranslatable.because(f"`{path}`: a part of type {kind!r} has no translation for this model's provider")


def _image(part: Mapping[str, Any], path: str) -> Image:
    value = part.get("image_url")
    image = value if isinstance(value, Mapping) else {"url": value}
    url = image.get("url")
    if not isinstance(url, str) or not url:
        raise InvalidRequest(f"`{path}.image_url.url` is missing", param=f"{path}.image_url.url")
    detail = str(image.get("detail") or "")
    if url.startswith("data:"):
        match = _DATA_URL.match(url)
        if match is None:
            raise InvalidRequest(f"`{path}.image_url.url` is not a base64 data URL", param=f"{path}.image_url.url")
        return Image(data=match[2], media_type=match[1] or "", detail=detail, cache_control=part.get("cache_control"))
    return Image(url=url, detail=detail, cache_control=part.get("cache_control"))


def _tool_call(call: Mapping[str, Any], path: str) -> ToolCall:
    if call.get("type") == "custom":
        raise Untranslatable.because(f"`{path}`: a call of a custom tool has no translation")
    function = call.get("function")
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise InvalidRequest(f"`{path}.function.name` is missing", param=f"{path}.function.name")
    arguments = function.get("arguments")
    if isinstance(arguments, Mapping):
        arguments = msgspec.json.encode(arguments).decode()
    if arguments is not None and not isinstance(arguments, str):
        raise InvalidRequest(f"`{path}.function.arguments` must be text", param=f"{path}.function.arguments")
    return ToolCall(str(call.get("id") or ""), function["name"], arguments or "{}")
