"""The messages of a chat request in OpenAI's wire format, and what only some of its speakers can carry."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from services.core.policy.vendors import Quirks
from services.dataplane.data_url import data_url
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
from services.dataplane.proofs import format_of, note_call_proofs
from services.dataplane.translation import Untranslatable

_AUDIO_OF_OPENAI = {"wav", "mp3"}
_Shown = Text | Image | Audio | Video | File


class MessageEncoder:
    """Encodes the messages of one request.

    Args:
        gemini: The model is one of Google's, which wants its thought signatures back.
    """

    def __init__(self, quirks: Quirks, dropped: list[str], *, gemini: bool) -> None:
        self._quirks = quirks
        self._dropped = dropped
        self._gemini = gemini

    def messages(self, messages: tuple[Message, ...]) -> list[dict[str, Any]]:
        """All of them, in order.

        Raises:
            Untranslatable: The target cannot carry a part.
        """
        encoded: list[dict[str, Any]] = []
        if not self._gemini:
            note_call_proofs(messages, self._dropped)
        for message in messages:
            results = [p for p in message.parts if isinstance(p, ToolResult)]
            if results:
                encoded += self._results(results)
            rest = [p for p in message.parts if not isinstance(p, ToolResult)] if results else message.parts
            if not message.parts or not all(isinstance(p, Thinking) for p in rest):
                encoded.append(self._message(message, rest))
        return encoded

    def _results(self, results: Sequence[ToolResult]) -> list[dict[str, Any]]:
        """Results of tools; their messages hold text only, so what else they hold follows as a message of the user."""
        encoded = [self._tool_message(result) for result in results]
        others = [p for result in results for p in result.content if text_of(p) is None]
        if others:
            encoded.append({"role": "user", "content": [b for p in others for b in self._part(p)]})
        return encoded

    def _message(self, message: Message, parts: Sequence[Part]) -> dict[str, Any]:
        role = "system" if message.role == "developer" and not self._quirks.developer else message.role
        body: dict[str, Any] = {"role": role}
        if message.name and self._quirks.names:
            body["name"] = message.name
        shown = [p for p in parts if isinstance(p, (Text, Image, Audio, Video, File))]
        calls = [p for p in parts if isinstance(p, ToolCall)] if len(shown) < len(parts) else []
        if len(shown) + len(calls) < len(parts):
            body |= self._thoughts([p for p in parts if isinstance(p, Thinking)], calls)
        if calls:
            body["tool_calls"] = [self._call(call) for call in calls]
        marked = self._quirks.marks and any(getattr(p, "cache_control", None) for p in shown)
        if len(shown) == 1 and isinstance(shown[0], Text) and not marked:
            body["content"] = shown[0].text
        elif shown:
            body["content"] = [block for part in shown for block in self._part(part)]
        else:
            body["content"] = None if calls else ""
        return body

    def _thoughts(self, thoughts: list[Thinking], calls: list[ToolCall]) -> dict[str, Any]:
        """Reasoning of an earlier turn, where the target takes it back."""
        if not thoughts:
            return {}
        if self._quirks.details:
            return {"reasoning_details": [_detail(thought, index) for index, thought in enumerate(thoughts)]}
        text = "".join(thought.text for thought in thoughts)
        if text and self._quirks.thought and (calls or self._quirks.thought_always):
            return {"reasoning_content": text}
        proofs = [t.signature for t in thoughts if t.vendor == "google" and t.signature]
        if self._gemini and proofs and not calls:
            return {"extra_content": {"google": {"thought_signature": proofs[-1]}}}
        self._tell("reasoning of earlier turns was dropped: OpenAI's format cannot carry it")
        return {}

    def _call(self, call: ToolCall) -> dict[str, Any]:
        body: dict[str, Any] = {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        if call.signature and self._gemini:
            body["extra_content"] = {"google": {"thought_signature": call.signature}}
        return body

    def _tool_message(self, result: ToolResult) -> dict[str, Any]:
        texts = [found for p in result.content if (found := text_of(p)) is not None]
        text = "\n".join(texts)
        content: Any = f"Error: {text}" if result.is_error else text
        if self._quirks.marks and result.cache_control:
            content = [{"type": "text", "text": content, "cache_control": result.cache_control}]
        return {"role": "tool", "tool_call_id": result.call_id, "content": content}

    def _part(self, part: _Shown) -> list[dict[str, Any]]:
        """A part as one block, or a document with what the caller says about it as two."""
        if isinstance(part, Text):
            return [self._marked({"type": "text", "text": part.text}, part)]
        if isinstance(part, Image):
            return [self._marked(_image(part), part)]
        if isinstance(part, Audio):
            return [self._audio(part)]
        if isinstance(part, Video):
            return [self._video(part)]
        return self._file(part)

    def _marked(self, block: dict[str, Any], part: Text | Image | File) -> dict[str, Any]:
        return {**block, "cache_control": part.cache_control} if self._quirks.marks and part.cache_control else block

    def _audio(self, part: Audio) -> dict[str, Any]:
        if part.url:
            if not self._quirks.media:
                raise Untranslatable.because("OpenAI takes sound by value only")
            return {"type": "audio_url", "audio_url": {"url": part.url}}
        if not part.data:
            raise Untranslatable.because("OpenAI's format takes no sound of an earlier answer from elsewhere")
        kind = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav"}.get(part.format, part.format) or "wav"
        if self._quirks.openai_models and kind not in _AUDIO_OF_OPENAI:
            raise Untranslatable.because(f"OpenAI takes no sound in the format {kind!r}")
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": kind}}

    def _video(self, part: Video) -> dict[str, Any]:
        if not self._quirks.media:
            raise Untranslatable.because("OpenAI takes no video input")
        url = part.url or data_url(part.data, part.media_type or "video/mp4")
        return {"type": "video_url", "video_url": {"url": url}}

    def _file(self, part: File) -> list[dict[str, Any]]:
        if part.citations:
            self._tell("citations of documents were dropped: OpenAI's format has no such wish")
        text = text_of(part)
        if text is not None:
            return [self._marked({"type": "text", "text": text}, part)]
        block = self._marked({"type": "file", "file": self._held(part)}, part)
        return [{"type": "text", "text": part.context}, block] if part.context else [block]

    def _held(self, part: File) -> dict[str, Any]:
        if part.file_id:
            if part.file_id.startswith("file_") or part.media_type.startswith("image/"):
                raise Untranslatable.because("a file by its id can only be read by the provider that has it")
            return {"file_id": part.file_id}
        if part.url:
            if not self._quirks.media:
                raise Untranslatable.because("OpenAI's chat completions take documents by value only")
            return {"filename": part.name or "document", "file_data": part.url}
        kind = part.media_type or "application/pdf"
        if self._quirks.openai_models and kind != "application/pdf":
            raise Untranslatable.because(f"OpenAI's chat completions take no documents of the type {kind!r}")
        return {"filename": part.name or "document.pdf", "file_data": data_url(part.data, kind)}

    def _tell(self, line: str) -> None:
        if line not in self._dropped:
            self._dropped.append(line)


def text_of(part: _Shown) -> str | None:
    """A part as text, with what it is called; None: it is none."""
    if isinstance(part, Text):
        return part.text
    if not isinstance(part, File):
        return None
    text = part.text
    if not text and part.data and part.media_type.startswith("text/"):
        try:
            text = base64.b64decode(part.data, validate=True).decode()
        except ValueError:
            return None
    if not text:
        return None
    head = [line for line in (part.name, part.context) if line]
    return "\n\n".join([*head, text])


def _image(part: Image) -> dict[str, Any]:
    url = part.url or data_url(part.data, part.media_type or "image/png")
    return {"type": "image_url", "image_url": {"url": url, **({"detail": part.detail} if part.detail else {})}}


def _detail(thinking: Thinking, index: int) -> dict[str, Any]:
    common: dict[str, Any] = {"format": format_of(thinking.vendor), "index": index}
    if thinking.id:
        common["id"] = thinking.id
    if thinking.redacted:
        return {"type": "reasoning.encrypted", "data": thinking.redacted, **common}
    proof = {"signature": thinking.signature} if thinking.signature else {}
    return {"type": "reasoning.text", "text": thinking.text, **proof, **common}
