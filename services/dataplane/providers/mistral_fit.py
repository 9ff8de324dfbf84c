"""Makes a chat completion request one of Mistral's, which refuses every field that it does not document.

For requests of ours and for callers' own, which may hold Mistral's own fields and parts; those stay.
https://docs.mistral.ai/api
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.numbers import is_whole
from services.dataplane.members import plain, raw
from services.dataplane.proofs import CALL_PROOFS_LOST
from services.dataplane.translation import Untranslatable

MAX_TEMPERATURE = 1.5
_CALL_ID = re.compile(r"[A-Za-z0-9]{9}")
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_MEMBERS: Mapping[str, frozenset[str]] = {
    "system": frozenset({"role", "content"}),
    "user": frozenset({"role", "content"}),
    "assistant": frozenset({"role", "content", "tool_calls", "prefix"}),
    "tool": frozenset({"role", "content", "tool_call_id", "name"}),
}
"""What a message may hold, by its role."""

_TIERS = ("auto", "standard_only")
_OWN_PARTS = frozenset({"document_url", "reference", "thinking"})
_ELSEWHERE = frozenset({"name", "refusal", "reasoning", "reasoning_content", "reasoning_details", "annotations"})
"""What is told of in its own words, or is no loss."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}
THOUGHTS_LOST = "reasoning of earlier turns was dropped: the model is not asked to reason"
SPEAKERS_LOST = "names of authors were dropped: Mistral's format has no such field"


def adapt(body: dict[str, Any], model: str) -> list[str]:
    """Change `body`, whose values are plain or raw JSON, so that Mistral takes it; what was dropped, one sentence each.

    Raises:
        Untranslatable: A message or tool holds what Mistral cannot take.
    """
    dropped: list[str] = []
    _adapt_sampling(body, dropped)
    thinks = "magistral" in model or plain(body.get("reasoning_effort")) not in (None, "none")
    messages = plain(body.get("messages"))
    if isinstance(messages, list):
        _Messages(dropped, thinks=thinks).adapt(messages)
        _put(body, "messages", messages)
    tools = plain(body.get("tools"))
    if isinstance(tools, list):
        _put(body, "tools", [_tool(tool) for tool in tools])
    return dropped


def _put(body: dict[str, Any], name: str, value: Any) -> None:
    """Set a member in the form that the old one has; one that has not changed keeps its bytes."""
    old = body.get(name)
    if isinstance(old, msgspec.Raw):
        if plain(old) != value:
            body[name] = raw(value)
    else:
        body[name] = value


def _adapt_sampling(body: dict[str, Any], dropped: list[str]) -> None:
    as_raw = any(isinstance(value, msgspec.Raw) for value in body.values())
    seed = plain(body.pop("seed", None))
    if is_whole(seed) and seed >= 0:
        body.setdefault("random_seed", raw(seed) if as_raw else seed)
    elif seed is not None:
        dropped.append("seed was dropped: Mistral takes none below 0")
    tier = plain(body.get("service_tier"))
    if tier is not None and tier not in _TIERS:
        del body["service_tier"]
        dropped.append(f"service_tier was dropped: Mistral knows {' and '.join(_TIERS)}")
    temperature = plain(body.get("temperature"))
    if isinstance(temperature, (int, float)) and temperature > MAX_TEMPERATURE:
        _put(body, "temperature", MAX_TEMPERATURE)
        dropped.append(f"temperature was lowered to {MAX_TEMPERATURE}, the highest that Mistral takes")


class _Messages:
    """Adapts messages in place.

    Args:
        thinks: The model reasons, so it takes its reasoning back.
    """

    def __init__(self, dropped: list[str], *, thinks: bool) -> None:
        self._dropped = dropped
        self._thinks = thinks

    def adapt(self, messages: list[Any]) -> None:
        for message in messages:
            if isinstance(message, dict):
                self._message(message)
        last = messages[-1] if messages else None
        if isinstance(last, dict) and last.get("role") == "assistant" and not last.get("tool_calls"):
            # Else Mistral refuses an assistant's message in the last place; so it goes on from it.
            last["prefix"] = True

    def _message(self, message: dict[str, Any]) -> None:
        role = message.get("role")
        if role == "function" or message.get("function_call"):
            raise Untranslatable.because("calls of the old API have no translation for Mistral")
        allowed = _MEMBERS.get(role) if isinstance(role, str) else None
        if allowed is None:
            return  # the provider says what is wrong with it
        if role != "tool" and message.get("name"):
            self._tell(SPEAKERS_LOST)
        if role == "assistant":
            self._put_thoughts(message)
            refusal = message.get("refusal")
            if refusal and not message.get("content"):
                message["content"] = refusal
        for name in sorted(message.keys() - allowed):
            if message.pop(name) and name not in _ELSEWHERE:
                self._tell(f"{name} in messages was dropped: Mistral's format has no such field")
        if isinstance(message.get("content"), list):
            message["content"] = [part for p in message["content"] for part in self._part(p)]
        if isinstance(message.get("tool_calls"), list):
            if any(isinstance(call, dict) and call.get("extra_content") for call in message["tool_calls"]):
                self._tell(CALL_PROOFS_LOST)
            message["tool_calls"] = [_call(call) for call in message["tool_calls"]]
        if role == "tool" and isinstance(message.get("tool_call_id"), str):
            message["tool_call_id"] = call_id(message["tool_call_id"])

    def _put_thoughts(self, message: dict[str, Any]) -> None:
        """Reasoning in a field of its own becomes a part of the content, as Mistral has it."""
        told = message.get("reasoning_content") or message.get("reasoning")
        if not told and not message.get("reasoning_details"):
            return
        if not self._thinks or not isinstance(told, str):
            self._tell(THOUGHTS_LOST)
            return
        content = message.get("content")
        rest = content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
        message["content"] = [{"type": "thinking", "thinking": [{"type": "text", "text": told}]}, *rest]

    def _part(self, part: Any) -> list[Any]:
        """A part in Mistral's form: one, or none."""
        kind = part.get("type") if isinstance(part, dict) else None
        kind = kind if isinstance(kind, str) else None
        if kind == "thinking" and not self._thinks:
            self._tell(THOUGHTS_LOST)
            return []
        if kind in _OWN_PARTS or kind is None:
            return [part]
        if part.get("cache_control"):
            self._tell("cache_control was dropped: Mistral's format has no such field")
        if kind in {"text", "refusal"}:
            return [{"type": "text", "text": part.get("text") or part.get("refusal") or ""}]
        if kind == "image_url":
            return [{"type": "image_url", "image_url": part.get("image_url")}]
        if kind in {"input_audio", "audio_url"}:
            return [{"type": "input_audio", "input_audio": _sound(part)}]
        if kind == "file":
            return [_document(part)]
        raise Untranslatable.because(f"a part of type {kind!r} has no translation for Mistral")

    def _tell(self, line: str) -> None:
        if line not in self._dropped:
            self._dropped.append(line)


def _sound(part: Mapping[str, Any]) -> Any:
    """The sound itself, or its address: Mistral tells its format by itself."""
    held = part.get(str(part["type"]))
    return held.get("data") or held.get("url") if isinstance(held, Mapping) else held


def _document(part: Mapping[str, Any]) -> dict[str, Any]:
    held = part.get("file")
    if not isinstance(held, Mapping):
        return dict(part)  # Mistral's own: the id of a file that it has
    named_by = held.get("file_id")
    if named_by:
        if not isinstance(named_by, str) or _UUID.fullmatch(named_by) is None:
            raise Untranslatable.because("a file by its id can only be read by the provider that has it")
        return {"type": "file", "file_id": named_by}
    named = {"document_name": held["filename"]} if held.get("filename") else {}
    return {"type": "document_url", "document_url": held.get("file_data"), **named}


def _call(call: Any) -> Any:
    if not isinstance(call, dict):
        return call
    if call.get("type") not in (None, "function"):
        raise Untranslatable.because(f"a call of a tool of type {call['type']!r} has no translation for Mistral")
    found = {name: call[name] for name in ("index", "type", "function") if call.get(name) is not None}
    function = found.get("function")
    if isinstance(function, dict):
        found["function"] = {name: function[name] for name in ("name", "arguments") if name in function}
    return {"id": call_id(call["id"]), **found} if isinstance(call.get("id"), str) else found


def call_id(named: str) -> str:
    """An id as Mistral takes them: nine letters and digits. Others are mapped, always to the same."""
    if _CALL_ID.fullmatch(named):
        return named
    number = int.from_bytes(hashlib.blake2b(named.encode("utf-8", "surrogatepass"), digest_size=8).digest())
    found = ""
    for _ in range(9):
        number, rest = divmod(number, len(_LETTERS))
        found += _LETTERS[rest]
    return found


def _tool(tool: Any) -> Any:
    if not isinstance(tool, dict):
        return tool
    if tool.get("type") == "custom":
        raise Untranslatable.because("a custom tool has no translation for Mistral")
    function = tool.get("function")
    if not isinstance(function, dict):
        return tool  # one of those that Mistral runs itself
    names = ("name", "description", "parameters", "strict")
    found = {name: function[name] for name in names if function.get(name) is not None}
    return {"type": "function", "function": {"parameters": dict(_NO_PARAMETERS), **found}}
