"""Messages of a chat request as the input items of OpenAI's Responses API."""

from __future__ import annotations

import mimetypes
from typing import Any

from services.dataplane.data_url import data_url
from services.dataplane.exchange import Audio, File, Image, Message, Part, Text, Thinking, ToolCall, ToolResult, Video
from services.dataplane.translation import Untranslatable

SYSTEM = {"system", "developer"}
Items = list[dict[str, Any]]


def instructions_of(messages: tuple[Message, ...]) -> tuple[str, tuple[Message, ...]]:
    """What the conversation begins with by way of instructions, and the messages behind it.

    A conversation of nothing but instructions keeps them as messages: the input must not be empty.
    """
    at = 0
    while at < len(messages) and messages[at].role in SYSTEM:
        at += 1
    if at == len(messages):
        return "", messages
    texts = [p.text for m in messages[:at] for p in m.parts if isinstance(p, Text) and p.text]
    return "\n\n".join(texts), messages[at:]


def items_of(messages: tuple[Message, ...], dropped: list[str], *, proper: bool) -> Items:
    """The items of `messages`; what is dropped is told in `dropped`, once each.

    Args:
        proper: OpenAI's models, which can read their own encrypted reasoning and nobody else's.

    Raises:
        Untranslatable: A part has no translation.
    """
    encoder = _Encoder("openai" if proper else "responses")
    for message in messages:
        encoder.add(message)
    dropped.extend(encoder.dropped)
    return encoder.items


class _Encoder:
    """Collects items, in the order of the parts: reasoning must come right before what follows from it."""

    def __init__(self, vendor: str) -> None:
        self.items: Items = []
        self.dropped: dict[str, None] = {}
        self._vendor = vendor

    def add(self, message: Message) -> None:
        if message.name:
            self.dropped["names of participants were dropped: OpenAI's Responses API has no such field"] = None
        content: list[dict[str, Any]] = []
        for part in message.parts:
            if isinstance(part, (Thinking, ToolCall, ToolResult)):
                self._close(message.role, content)
                content = []
                self._item(part)
            else:
                content += self._content(part, message.role)
        self._close(message.role, content)

    def _close(self, role: str, content: list[dict[str, Any]]) -> None:
        """A message of the parts so far; plain text as the short form, which every server takes."""
        if not content:
            return
        texts = [piece["text"] for piece in content if piece["type"] == "input_text"]
        plain = len(texts) == len(content) and (len(texts) == 1 or role == "assistant")
        self.items.append({"type": "message", "role": role, "content": "".join(texts) if plain else content})

    def _item(self, part: Thinking | ToolCall | ToolResult) -> None:
        if isinstance(part, ToolCall):
            call = {"type": "function_call", "call_id": part.id, "name": part.name, "arguments": part.arguments}
            self.items.append(call)
        elif isinstance(part, ToolResult):
            self.items.append({"type": "function_call_output", "call_id": part.call_id, "output": self._output(part)})
        elif part.vendor == self._vendor and (part.signature or part.redacted):
            summary = [{"type": "summary_text", "text": part.text}] if part.text else []
            proof = part.signature or part.redacted
            named = {"id": part.id} if part.id else {}
            self.items.append({"type": "reasoning", **named, "summary": summary, "encrypted_content": proof})
        else:
            self.dropped["reasoning of earlier turns was dropped: it lacks this provider's encrypted form"] = None

    def _output(self, result: ToolResult) -> Any:
        """The output of a tool: text, or a list where it is more than that."""
        texts = [p.text for p in result.content if isinstance(p, Text)]
        if len(texts) == len(result.content):
            text = "\n".join(texts)
            return f"Error: {text}" if result.is_error else text
        pieces = [piece for part in result.content for piece in self._content(part, "user")]
        return [{"type": "input_text", "text": "Error:"}, *pieces] if result.is_error else pieces

    def _content(self, part: Part, role: str) -> list[dict[str, Any]]:
        if isinstance(part, Text):
            return [{"type": "input_text", "text": part.text}]
        if role == "assistant":
            kind = type(part).__name__.lower()
            told = f"{kind} parts of earlier answers were dropped: OpenAI's Responses API cannot carry them"
            self.dropped[told] = None
            return []
        if isinstance(part, Image):
            detail = part.detail or "auto"
            return [{"type": "input_image", "image_url": _image_url(part), "detail": detail}]
        if isinstance(part, File):
            return _file(part)
        assert isinstance(part, (Audio, Video)), "the others are items"
        raise Untranslatable.because(
            f"{type(part).__name__.lower()} input has no translation to OpenAI's Responses API"
        )


def _image_url(part: Image) -> str:
    return part.url or data_url(part.data, part.media_type or "image/png")


def _file(part: File) -> list[dict[str, Any]]:
    """A document, and what the caller says about it before it."""
    told = [{"type": "input_text", "text": text} for text in (part.context, part.text) if text]
    if part.text:
        return told
    if part.file_id and part.media_type == "image/*":
        return [*told, {"type": "input_image", "file_id": part.file_id, "detail": "auto"}]
    if part.file_id:
        return [*told, {"type": "input_file", "file_id": part.file_id}]
    if part.url:
        return [*told, {"type": "input_file", "file_url": part.url}]
    media_type = part.media_type or "application/pdf"
    name = part.name or f"document{mimetypes.guess_extension(media_type) or ''}"
    return [*told, {"type": "input_file", "filename": name, "file_data": data_url(part.data, media_type)}]
