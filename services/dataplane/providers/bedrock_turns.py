"""The messages of a chat request as Converse's turns and blocks."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from services.dataplane.exchange import (
    Audio,
    File,
    Image,
    Message,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Video,
)
from services.dataplane.providers import bedrock_media as media
from services.dataplane.providers.anthropic_turns import is_signed
from services.dataplane.providers.bedrock_models import AMAZON, ANTHROPIC, takes_cache_points
from services.dataplane.translation import Untranslatable

SYSTEM = {"system", "developer"}
"""Roles that Converse holds apart from the turns."""

_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_.:-]")
_LONGEST_ID = 64

Block = dict[str, Any]


class Turns:
    """Makes the turns of one request, and notes what was dropped on the way.

    Args:
        family: The vendor of the model; empty: not known.
        told: Calls of tools and their results are told as text, because the request may hold no tools.
        dropped: Gets one sentence for each kind of thing that is dropped.
    """

    def __init__(self, family: str, dropped: list[str], *, told: bool) -> None:
        self._family = family
        self._told = told
        self._dropped = dropped
        self._documents = media.Documents()

    def system(self, messages: tuple[Message, ...]) -> list[Block]:
        blocks: list[Block] = []
        for part in (p for m in messages if m.role in SYSTEM for p in m.parts):
            if isinstance(part, Text) and part.text.strip():
                blocks += [{"text": part.text}, *self.cache_point(part.cache_control)]
        return blocks

    def turns(self, messages: tuple[Message, ...]) -> list[dict[str, Any]]:
        """Turns by role; neighbours of one role become one message, as Converse wants them.

        Raises:
            Untranslatable: Converse does not take them.
        """
        found: list[dict[str, Any]] = []
        for message in messages:
            if message.role in SYSTEM:
                continue
            role = "assistant" if message.role == "assistant" else "user"
            blocks = [block for part in message.parts for block in self._blocks(part)]
            if blocks and found and found[-1]["role"] == role:
                found[-1]["content"] += blocks
            elif blocks:
                found.append({"role": role, "content": blocks})
        if not found or found[0]["role"] != "user":
            raise Untranslatable.because("a conversation with Bedrock begins with a message of the user, with text")
        for turn in found:
            _in_order(turn["content"])
            if any("document" in b for b in turn["content"]) and not any("text" in b for b in turn["content"]):
                raise Untranslatable.because("Bedrock wants text beside a document in the same message")
        return found

    def note_losses(self, messages: tuple[Message, ...]) -> None:
        """What Converse's messages cannot say, once each."""
        roles = [m.role in SYSTEM for m in messages]
        if True in roles[roles.index(False) if False in roles else 0 :]:
            self._drop("system messages inside the conversation were moved to its beginning")
        if any(not isinstance(p, Text) for m in messages if m.role in SYSTEM for p in m.parts):
            self._drop("what is no text in system messages was dropped: Bedrock takes only text there")
        if any(m.name for m in messages):
            self._drop("names of participants were dropped: Bedrock has no such field")
        parts = [p for m in messages for p in m.parts]
        parts += [p for part in parts if isinstance(part, ToolResult) for p in part.content]
        if any(isinstance(p, Image) and p.detail not in {"", "auto"} for p in parts):
            self._drop("the detail of images was dropped: Bedrock has no such field")
        if any(isinstance(p, ToolCall) and p.signature for p in parts):
            self._drop("signatures of tool calls were dropped: only Google's models read them")

    def cache_point(self, control: Any) -> list[Block]:
        """The block that ends what is to be cached; none where nothing is."""
        if not control:
            return []
        if not isinstance(control, Mapping):
            self._drop("cache_control was dropped: it is no object")
            return []
        if not takes_cache_points(self._family):
            self._drop("cache_control was dropped: this model has no cache on Bedrock")
            return []
        point: Block = {"type": "default"}
        if control.get("ttl") == "1h" and self._family == ANTHROPIC:
            point["ttl"] = "1h"
        elif control.get("ttl") == "1h":
            self._drop("the ttl of cache_control was dropped: this model caches for five minutes")
        return [{"cachePoint": point}]

    def _drop(self, told: str) -> None:
        if told not in self._dropped:
            self._dropped.append(told)

    def _blocks(self, part: Part) -> list[Block]:
        if isinstance(part, Text):
            # Blank text is refused; models write it before tool calls.
            return [{"text": part.text}, *self.cache_point(part.cache_control)] if part.text.strip() else []
        if isinstance(part, Thinking):
            return self._thinking(part)
        if isinstance(part, ToolCall):
            return (
                [{"text": f"[called the tool {part.name} with {part.arguments or '{}'}]"}]
                if self._told
                else [_call(part)]
            )
        if isinstance(part, ToolResult):
            return self._told_result(part) if self._told else self._result(part)
        return self._media(part)

    def _media(self, part: Image | Audio | Video | File) -> list[Block]:
        if isinstance(part, File) and part.media_type.startswith("image/") and not part.file_id:
            part = Image(part.url, part.data, part.media_type, cache_control=part.cache_control)
        if isinstance(part, Image):
            return [media.image(part), *self.cache_point(part.cache_control)]
        if isinstance(part, File):
            return [self._documents.block(part), *self.cache_point(part.cache_control)]
        return [media.video(part) if isinstance(part, Video) else media.audio(part)]

    def _thinking(self, part: Thinking) -> list[Block]:
        """Reasoning goes back to the vendor that proves it, and to nobody else."""
        if part.vendor not in {"", ANTHROPIC} or self._family not in {"", ANTHROPIC}:
            self._drop("reasoning of earlier turns was dropped: this model does not read it")
            return []
        if part.redacted:
            return [{"reasoningContent": {"redactedContent": b64encode(part.redacted.encode()).decode()}}]
        if not is_signed(part):
            self._drop("reasoning of earlier turns was dropped: it lacks Anthropic's signature")
            return []
        return [{"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}]

    def _result(self, part: ToolResult) -> list[Block]:
        content = [block for p in part.content for block in self._blocks(p) if "cachePoint" not in block]
        for block in content:
            if "audio" in block:
                raise Untranslatable.because("audio in the results of tools has no translation to Bedrock")
        result: Block = {"toolUseId": tool_id(part.call_id), "content": content}
        if part.is_error and self._family in {"", ANTHROPIC, AMAZON}:
            result["status"] = "error"
        elif part.is_error:
            self._drop("that a tool failed was dropped: this model has no such field")
        return [{"toolResult": result}, *self.cache_point(part.cache_control)]

    def _told_result(self, part: ToolResult) -> list[Block]:
        blocks = [block for p in part.content for block in self._blocks(p)]
        return [{"text": "[the tool failed]" if part.is_error else "[the tool's result]"}, *blocks]


def tool_id(call_id: str) -> str:
    """`call_id` in the characters that Bedrock takes, and as short; other vendors have others, and longer ones."""
    plain = _NOT_IN_IDS.sub("_", call_id) or "_"
    if len(plain) <= _LONGEST_ID:
        return plain
    return f"{plain[:47]}_{blake2b(call_id.encode(), digest_size=8).hexdigest()}"


def has_tool_blocks(messages: tuple[Message, ...]) -> bool:
    return any(isinstance(p, (ToolCall, ToolResult)) for m in messages for p in m.parts)


def _call(call: ToolCall) -> Block:
    try:
        value = msgspec.json.decode(call.arguments or "{}")
    except (msgspec.DecodeError, RecursionError) as error:
        told = f"the arguments of the tool call {call.id!r} are not JSON, which Bedrock requires"
        raise Untranslatable.because(told) from error
    arguments = value if isinstance(value, dict) else {"value": value}
    return {"toolUse": {"toolUseId": tool_id(call.id), "name": call.name, "input": arguments}}


def _in_order(content: list[Block]) -> None:
    """Results of tools come before everything else in their message; a cache point stays behind its block."""
    if not any("toolResult" in block for block in content):
        return
    groups: list[list[Block]] = []
    for block in content:
        if "cachePoint" in block and groups:
            groups[-1].append(block)
        else:
            groups.append([block])
    groups.sort(key=lambda group: "toolResult" not in group[0])
    content[:] = [block for group in groups for block in group]
