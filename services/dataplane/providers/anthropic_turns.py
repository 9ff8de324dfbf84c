"""The messages of a chat request as Anthropic's turns and blocks."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from services.dataplane.exchange import Audio, File, Image, Message, Part, Text, Thinking, ToolCall, ToolResult, Video
from services.dataplane.proofs import note_call_proofs
from services.dataplane.providers.anthropic_documents import cache_control, document_of
from services.dataplane.translation import Untranslatable

SYSTEM = {"system", "developer"}
"""Roles that Anthropic holds apart from the turns."""
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_-]")


def system_of(messages: tuple[Message, ...]) -> str | list[dict[str, Any]]:
    parts = [p for m in messages if m.role in SYSTEM for p in m.parts if isinstance(p, Text) and p.text.strip()]
    if any(p.cache_control for p in parts):
        return [_text(p) for p in parts]
    return "\n\n".join(p.text for p in parts)


def turns_of(messages: tuple[Message, ...]) -> list[dict[str, Any]]:
    """Turns by role; neighbours of one role become one message, as Anthropic wants them."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role in SYSTEM:
            continue
        role = "assistant" if message.role == "assistant" else "user"
        blocks = [block for part in message.parts if (block := _block(part)) is not None]
        if not blocks:
            continue
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"].extend(blocks)
        else:
            turns.append({"role": role, "content": blocks})
    for turn in turns:
        # Results of tools must come before everything else in their message.
        turn["content"].sort(key=lambda block: block["type"] != "tool_result")
        if len(turn["content"]) == 1 and turn["content"][0].keys() == {"type", "text"}:
            turn["content"] = turn["content"][0]["text"]
    return turns


def note_losses(messages: tuple[Message, ...], dropped: list[str]) -> None:
    """What Anthropic's messages cannot say, once each."""
    roles = [m.role in SYSTEM for m in messages]
    if True in roles[roles.index(False) if False in roles else 0 :]:
        dropped.append("system messages inside the conversation were moved to its beginning")
    if any(m.name for m in messages):
        dropped.append("names of participants were dropped: Anthropic has no such field")
    parts = [p for m in messages for p in m.parts]
    parts += [p for part in parts if isinstance(part, ToolResult) for p in part.content]
    if any(isinstance(p, Image) and p.detail not in {"", "auto"} for p in parts):
        dropped.append("the detail of images was dropped: Anthropic has no such field")
    note_call_proofs(messages, dropped)
    if any(isinstance(p, Thinking) and not is_signed(p) for p in parts):
        dropped.append("reasoning of earlier turns was dropped: it lacks Anthropic's signature")


def is_signed(part: Thinking) -> bool:
    """Whether reasoning has a proof that is Anthropic's, or nobody's that is known."""
    return bool(part.signature or part.redacted) and part.vendor in {"", "anthropic"}


def end_prefill(turns: list[dict[str, Any]], dropped: list[str]) -> None:
    """The beginning of an answer must not end in white space."""
    last = turns[-1]
    if last["role"] != "assistant":
        return
    holder, name = (last, "content") if isinstance(last["content"], str) else (last["content"][-1], "text")
    text = holder.get(name)
    if isinstance(text, str) and text != text.rstrip():
        holder[name] = text.rstrip()
        dropped.append("white space at the end of the last assistant message was dropped: Anthropic refuses it")


def _block(part: Part) -> dict[str, Any] | None:
    if isinstance(part, Text):
        # Blank text is refused; models write it before tool calls.
        return _text(part) if part.text.strip() else None
    if isinstance(part, Image):
        return _image(part)
    if isinstance(part, Thinking):
        if not is_signed(part):
            return None  # Reasoning without its vendor's signature is refused; it is not ours to invent.
        if part.redacted:
            return {"type": "redacted_thinking", "data": part.redacted}
        return {"type": "thinking", "thinking": part.text, "signature": part.signature}
    if isinstance(part, ToolCall):
        return {"type": "tool_use", "id": _id(part.id), "name": part.name, "input": _arguments(part)}
    if isinstance(part, File):
        return document_of(part)
    if isinstance(part, (Audio, Video)):
        raise Untranslatable.because(f"{type(part).__name__.lower()} input has no translation to Anthropic's messages")
    return _result(part)


def _id(call_id: str) -> str:
    """`call_id` in the characters that Anthropic takes; other vendors use dots, colons and spaces too."""
    return _NOT_IN_IDS.sub("_", call_id) or "_"


def _text(part: Text) -> dict[str, Any]:
    return {"type": "text", "text": part.text, **cache_control(part.cache_control)}


def _image(part: Image) -> dict[str, Any]:
    source: dict[str, Any] = {"type": "url", "url": part.url}
    if part.data:
        source = {"type": "base64", "media_type": part.media_type or "image/png", "data": part.data}
    return {"type": "image", "source": source, **cache_control(part.cache_control)}


def _result(part: ToolResult) -> dict[str, Any]:
    blocks = [b for p in part.content if (b := _block(p)) is not None]
    content: Any = blocks
    if all(isinstance(p, Text) and not p.cache_control for p in part.content):
        content = "\n".join(p.text for p in part.content if isinstance(p, Text))
    result = {"type": "tool_result", "tool_use_id": _id(part.call_id), "content": content}
    return {**result, **({"is_error": True} if part.is_error else {}), **cache_control(part.cache_control)}


def _arguments(call: ToolCall) -> Any:
    try:
        value = msgspec.json.decode(call.arguments or "{}")
    except (msgspec.DecodeError, RecursionError) as error:
        told = f"the arguments of the tool call {call.id!r} are not JSON, which Anthropic requires"
        raise Untranslatable.because(told) from error
    return value if isinstance(value, dict) else {"value": value}
