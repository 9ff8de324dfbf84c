"""Mistral's own words in requests of its callers, for targets that are not Mistral's."""

from __future__ import annotations

from typing import Any

import msgspec

from services.dataplane.members import Members, plain, raw, search_for

_says_own_words = search_for(("prefix", "document_url", "thinking", "reference"))
THOUGHTS = "reasoning of earlier turns was dropped: it is told in Mistral's way"


def translate_words(body: Members, *, text: bool = False) -> list[str]:
    """Change what a client of Mistral's says in its own way; what was dropped, one sentence each.

    Args:
        text: The messages are known to be text.
    """
    dropped: list[str] = []
    if "random_seed" in body:
        body.setdefault("seed", body.pop("random_seed"))
    if bytes(body.get("tool_choice", b"")) == b'"any"':
        body["tool_choice"] = raw("required")
    data = b"" if text else bytes(body.get("messages", b""))
    if _says_own_words(data):
        messages = plain(msgspec.Raw(data))
        for message in messages if isinstance(messages, list) else ():
            if isinstance(message, dict):
                _translate(message, dropped)
        if messages != msgspec.json.decode(data):
            body["messages"] = raw(messages)
    return dropped


def _translate(message: dict[str, Any], dropped: list[str]) -> None:
    if message.get("prefix") is False:
        del message["prefix"]
    content = message.get("content")
    if not isinstance(content, list):
        return
    kept = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "thinking" and THOUGHTS not in dropped:
            dropped.append(THOUGHTS)
        if kind == "document_url":
            named = {"filename": part["document_name"]} if part.get("document_name") else {}
            kept.append({"type": "file", "file": {**named, "file_data": part.get("document_url")}})
        elif kind not in ("thinking", "reference"):
            kept.append(part)
    message["content"] = kept
