"""The content blocks of Anthropic-style messages as parts of the exchange model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.errors import InvalidRequest
from services.core.values import changed
from services.dataplane.dialects.reading import objects
from services.dataplane.exchange import File, Image, Part, Text, Thinking, ToolCall, ToolResult
from services.dataplane.proofs import CALL, is_sealed, opened
from services.dataplane.translation import Untranslatable

_PAST_SEARCHES = ("server_tool_use", "web_search_tool_result")


class BlockReader:
    """Reads the blocks of one request; what it drops is told in `warnings`, once each."""

    def __init__(self, warnings: list[str]) -> None:
        self._warnings = warnings

    def content(self, content: Any, path: str) -> tuple[Part, ...]:
        """The parts of a content, which may be plain text.

        Raises:
            InvalidRequest: It is not well formed.
            Untranslatable: It holds what only this protocol can carry.
        """
        if content is None:
            return ()
        if isinstance(content, str):
            return (Text(content),) if content else ()
        if not isinstance(content, list):
            raise InvalidRequest(f"{path}: must be text or a list of blocks", param=path)
        found: list[Part] = []
        proof = ""
        for index, block in enumerate(objects(content, path)):
            parts = self._block(block, f"{path}.{index}")
            if block.get("type") == "redacted_thinking" and not parts:
                proof = opened(str(block.get("data") or "")).signature
                continue
            if proof and parts and isinstance(parts[0], ToolCall):
                parts, proof = (changed(parts[0], signature=proof),), ""
            found.extend(parts)
        return tuple(found)

    def _block(self, block: Mapping[str, Any], path: str) -> tuple[Part, ...]:
        kind = block.get("type")
        if kind == "text":
            if block.get("citations"):
                self._tell("citations of earlier turns were dropped: they have no translation")
            return (Text(str(block.get("text") or ""), block.get("cache_control")),)
        if kind == "image":
            return (_image(block, path),)
        if kind == "document":
            return self._document(block, path)
        if kind == "search_result":
            return (self._search_result(block, path),)
        if kind in ("thinking", "redacted_thinking"):
            return _thinking(block)
        if kind == "tool_use":
            arguments = msgspec.json.encode(block.get("input") or {}).decode()
            return (ToolCall(str(block.get("id") or ""), str(block.get("name") or ""), arguments),)
        if kind == "tool_result":
            return (self._result(block, path),)
        if kind in _PAST_SEARCHES and block.get("name") in (None, "web_search"):
            self._tell("web searches of earlier turns were dropped: they have no translation")
            return ()
        raise Untranslatable.because(f"{path}: a block of type {kind!r} has no translation for this model's provider")

    def _result(self, block: Mapping[str, Any], path: str) -> ToolResult:
        inside = self.content(block.get("content"), f"{path}.content")
        content = tuple(p for p in inside if isinstance(p, (Text, Image, File)))
        failed = block.get("is_error") is True
        return ToolResult(str(block.get("tool_use_id") or ""), content, failed, block.get("cache_control"))

    def _document(self, block: Mapping[str, Any], path: str) -> tuple[Part, ...]:
        source = block.get("source")
        kind = source.get("type") if isinstance(source, Mapping) else None
        if not isinstance(source, Mapping) or kind not in ("base64", "text", "url", "file", "content"):
            raise Untranslatable.because(
                f"{path}.source: a source of type {kind!r} has no translation for this model's provider"
            )
        name, context = str(block.get("title") or ""), str(block.get("context") or "")
        cited = _cites(block)
        data, media_type = str(source.get("data") or ""), str(source.get("media_type") or "")
        control = block.get("cache_control")
        if kind == "content":
            bare = File(media_type="text/plain", name=name, context=context, citations=cited, cache_control=control)
            return self._in_blocks(source, bare, path)
        held: dict[str, Any] = {
            "base64": {"data": data, "media_type": media_type or "application/pdf"},
            "text": {"text": data, "media_type": media_type or "text/plain"},
            "url": {"url": str(source.get("url") or ""), "media_type": "application/pdf"},
            "file": {"file_id": str(source.get("file_id") or "")},
        }[kind]
        return (File(**held, name=name, context=context, citations=cited, cache_control=control),)

    def _in_blocks(self, source: Mapping[str, Any], bare: File, path: str) -> tuple[Part, ...]:
        """A document in blocks: one text, or, with pictures in it, its parts one after another."""
        inside = self.content(source.get("content"), f"{path}.source.content")
        if all(isinstance(p, Text) for p in inside):
            return (changed(bare, text="\n\n".join(p.text for p in inside if isinstance(p, Text))),)
        if bare.citations:
            self._tell("citations of a document with pictures were dropped: they have no translation")
        head = [Text(told) for told in (bare.name, bare.context) if told]
        return (*head, *inside)

    def _search_result(self, block: Mapping[str, Any], path: str) -> File:
        inside = self.content(block.get("content"), f"{path}.content")
        text = "\n\n".join(p.text for p in inside if isinstance(p, Text))
        return File(
            text=text,
            media_type="text/plain",
            name=str(block.get("title") or ""),
            context=str(block.get("source") or ""),
            citations=_cites(block),
            cache_control=block.get("cache_control"),
        )

    def _tell(self, line: str) -> None:
        if line not in self._warnings:
            self._warnings.append(line)


def _cites(block: Mapping[str, Any]) -> bool:
    wanted = block.get("citations")
    return isinstance(wanted, Mapping) and wanted.get("enabled") is True


def _thinking(block: Mapping[str, Any]) -> tuple[Part, ...]:
    """Reasoning with its proof, which may be another vendor's; nothing: the proof is that of the call behind it."""
    if block.get("type") == "redacted_thinking":
        data = str(block.get("data") or "")
        if not is_sealed(data):
            return (Thinking(redacted=data, vendor="anthropic"),)
        found = opened(data)
        return () if found.vendor == CALL else (found,)
    found = opened(str(block.get("signature") or ""))
    return (Thinking(str(block.get("thinking") or ""), found.signature, found.redacted, found.vendor, found.id),)


def _image(block: Mapping[str, Any], path: str) -> Image | File:
    source = block.get("source")
    kind = source.get("type") if isinstance(source, Mapping) else None
    control = block.get("cache_control")
    if isinstance(source, Mapping) and kind == "base64":
        data, media_type = str(source.get("data") or ""), str(source.get("media_type") or "")
        return Image(data=data, media_type=media_type, cache_control=control)
    if isinstance(source, Mapping) and kind == "url":
        return Image(url=str(source.get("url") or ""), cache_control=control)
    if isinstance(source, Mapping) and kind == "file":
        return File(file_id=str(source.get("file_id") or ""), media_type="image/*", cache_control=control)
    path = f"{path}.source"
    raise Untranslatable.because(f"{path}: a source of type {kind!r} has no translation for this model's provider")
