"""OpenAI-style messages as messages of the exchange model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.errors import InvalidRequest
from services.dataplane.dialects.openai_read_parts import read_content, split_thoughts
from services.dataplane.dialects.reading import objects
from services.dataplane.exchange import Message, Part, Text, Thinking, ToolCall, ToolResult
from services.dataplane.proofs import vendor_of
from services.dataplane.translation import Untranslatable

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
        content = read_content(message.get("content"), path)
        call_id = str(message.get("tool_call_id") or message.get("name") or "")
        return Message("user", (ToolResult(call_id, content, cache_control=message.get("cache_control")),))
    if role == "assistant":
        told, content = split_thoughts(message.get("content"))
        parts: list[Part] = [*_thoughts(message, path), *told, *read_content(content, path), *_calls(message, path)]
    else:
        parts = [*read_content(message.get("content"), path)]
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
    """Reasoning of an earlier turn: `reasoning_details` with their proofs, else the bare text."""
    found: list[Part] = []
    for detail in objects(message.get("reasoning_details"), f"{path}.reasoning_details"):
        found += _thought(detail)
    if not found:
        text = message.get("reasoning_content") or message.get("reasoning")
        found = [Thinking(text)] if isinstance(text, str) and text else []
    proof = google_proof(message)
    return [*found, Thinking(signature=proof, vendor="google")] if proof else found


def _thought(detail: Mapping[str, Any]) -> list[Thinking]:
    """One detail; text and encrypted detail of one id, as OpenRouter splits OpenAI's items, stay two."""
    vendor, named = vendor_of(detail.get("format")), str(detail.get("id") or "")
    if detail.get("type") == "reasoning.encrypted":
        return [Thinking(redacted=str(detail.get("data") or ""), vendor=vendor, id=named)]
    text = str(detail.get("text") or detail.get("summary") or "")
    signature = str(detail.get("signature") or "")
    return [Thinking(text, signature, vendor=vendor, id=named)] if text or signature else []


def google_proof(holder: Mapping[str, Any]) -> str:
    """The thought signature of a tool call or message, where Google's OpenAI-style API puts it; empty: none."""
    extra = holder.get("extra_content")
    google = extra.get("google") if isinstance(extra, Mapping) else None
    proof = google.get("thought_signature") if isinstance(google, Mapping) else None
    return proof if isinstance(proof, str) else ""


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
    return ToolCall(str(call.get("id") or ""), function["name"], arguments or "{}", google_proof(call))
