"""Messages and documents in the wire format of Cohere's v2 chat API."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from services.dataplane.exchange import ChatRequest, File, Image, Message, Part, Text, Thinking, ToolCall, ToolResult
from services.dataplane.proofs import note_call_proofs
from services.dataplane.providers.cohere_wire import DOCUMENT_ID
from services.dataplane.translation import Untranslatable

_SYSTEM = ("system", "developer")


def messages_of(request: ChatRequest, dropped: list[str]) -> list[dict[str, Any]]:
    """The messages, and, in `dropped`, what they cannot carry.

    Raises:
        Untranslatable: A part has no translation, or there is no message.
    """
    turns = [turn for message in request.messages if message.role not in _SYSTEM for turn in _turns(message)]
    if not turns:
        raise Untranslatable.because("Cohere needs at least one message that is not the system's")
    _note_losses(request, dropped)
    note_call_proofs(request.messages, dropped)
    return [*_system(request.messages), *turns]


def _system(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """One message of the system, at the head: Cohere takes it nowhere else."""
    parts = [p for m in messages if m.role in _SYSTEM for p in m.parts if not isinstance(p, File)]
    return [{"role": "system", "content": _content(parts)}] if parts else []


def _note_losses(request: ChatRequest, dropped: list[str]) -> None:
    messages = request.messages
    if any(_is_lost(m) for m in messages):
        dropped.append("reasoning of earlier turns was dropped: Cohere takes it before tool calls only, and as text")
    if messages[-1].role == "assistant":
        dropped.append("the beginning of an answer is not continued: Cohere's models begin a new one")
    if any(m.name for m in messages):
        dropped.append("names of authors were dropped: Cohere's format has no such field")
    parts = [p for m in messages for p in m.parts]
    inner = [p for part in parts if isinstance(part, ToolResult) for p in part.content]
    if any(getattr(p, "cache_control", None) for p in (*parts, *inner, *request.tools)):
        dropped.append("cache_control was dropped: Cohere's format has no such field")


def _is_lost(message: Message) -> bool:
    thoughts = [p for p in message.parts if isinstance(p, Thinking)]
    calls = any(isinstance(p, ToolCall) for p in message.parts)
    return any(not calls or not p.text for p in thoughts)


def _turns(message: Message) -> list[dict[str, Any]]:
    results = [p for p in message.parts if isinstance(p, ToolResult)]
    turns = [_tool_turn(result) for result in results]
    # Tool messages hold text and documents, so pictures of results follow as a message of the user.
    pictures = [p for result in results for p in result.content if isinstance(p, Image)]
    if pictures:
        turns.append({"role": "user", "content": [_image(p) for p in pictures]})
    rest = tuple(p for p in message.parts if not isinstance(p, (ToolResult, File)))
    if message.role == "assistant":
        turns.append(_answer(rest))
    elif rest or not message.parts:
        turns.append({"role": message.role, "content": _content(rest)})
    elif not results:
        # Documents stand apart; a message of nothing else still is a turn, and may not be empty.
        turns.append({"role": message.role, "content": "Here are the documents."})
    return turns


def _answer(parts: Sequence[Part]) -> dict[str, Any]:
    """A message of the assistant. A plan goes with calls only."""
    body: dict[str, Any] = {"role": "assistant"}
    calls = [p for p in parts if isinstance(p, ToolCall)]
    plan = "\n\n".join(p.text for p in parts if isinstance(p, Thinking) and p.text)
    shown = [p for p in parts if not isinstance(p, (ToolCall, Thinking))]
    if shown or not calls:
        body["content"] = _content(shown)
    if calls:
        body["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in calls
        ]
        if plan:
            body["tool_plan"] = plan
    return body


def _content(parts: Sequence[Part]) -> str | list[dict[str, Any]]:
    if len(parts) <= 1 and all(isinstance(p, Text) for p in parts):
        return "".join(p.text for p in parts if isinstance(p, Text))
    return [_part(p) for p in parts]


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Image):
        return _image(part)
    raise Untranslatable.because(f"{type(part).__name__.lower()} in a message has no translation for Cohere")


def _image(image: Image) -> dict[str, Any]:
    url = image.url or f"data:{image.media_type or 'image/png'};base64,{image.data}"
    return {"type": "image_url", "image_url": {"url": url, **({"detail": image.detail} if image.detail else {})}}


def _tool_turn(result: ToolResult) -> dict[str, Any]:
    told = [p.text for p in result.content if isinstance(p, Text)]
    files = [p for p in result.content if isinstance(p, File)]
    lost = [p for p in result.content if not isinstance(p, (Text, File, Image))]
    if lost:
        raise Untranslatable.because(
            f"{type(lost[0]).__name__.lower()} in a tool's result has no translation for Cohere"
        )
    head = "Error: " if result.is_error else ""
    content: Any = head + "\n".join(told)
    if files:
        texts = [{"type": "text", "text": content}] if content else []
        content = [*texts, *({"type": "document", "document": {"data": _data(f)}} for f in files)]
    return {"role": "tool", "tool_call_id": result.call_id, "content": content}


def documents_of(request: ChatRequest) -> list[dict[str, Any]]:
    """The documents of the messages, numbered, so that what cites them can be found again.

    Raises:
        Untranslatable: One is no text.
    """
    files = [p for m in request.messages for p in m.parts if isinstance(p, File)]
    return [{"id": DOCUMENT_ID.format(index), "data": _data(file)} for index, file in enumerate(files)]


def _data(file: File) -> dict[str, Any]:
    data = {"title": file.name, "context": file.context, "text": _text_of(file)}
    return {name: value for name, value in data.items() if value or name == "text"}


def _text_of(file: File) -> str:
    if file.text or not (file.data or file.url or file.file_id):
        return file.text
    if file.data and file.media_type.split(";")[0].startswith("text/"):
        try:
            return base64.b64decode(file.data, validate=True).decode()
        except ValueError as error:
            raise Untranslatable.because("a document of text is not base64 of UTF-8") from error
    raise Untranslatable.because("a document that is no plain text has no translation for Cohere")
