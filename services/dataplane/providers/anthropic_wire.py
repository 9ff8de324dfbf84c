"""What Anthropic's answers look like on the wire: only the fields that are read, decoded by type."""

from __future__ import annotations

from typing import Any

import msgspec

from services.core.numbers import is_whole
from services.dataplane.exchange import Citation
from services.dataplane.providers.service_tiers import tier_told
from services.dataplane.translation import TokenUsage

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""Anthropic's stop reasons in OpenAI's words."""

STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
"""And back."""


class OutputDetails(msgspec.Struct):
    thinking_tokens: int | None = None
    reasoning_tokens: int | None = None


class CacheCreation(msgspec.Struct):
    ephemeral_1h_input_tokens: int | None = None


class ServerToolUse(msgspec.Struct):
    web_search_requests: int | None = None


class WireUsage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None
    cache_creation: CacheCreation | None = None
    server_tool_use: ServerToolUse | None = None
    service_tier: Any = None


class WireBlock(msgspec.Struct):
    """A content block, or the delta of one."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"{}")
    partial_json: str | None = None
    citations: Any = None
    citation: Any = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class WireMessage(msgspec.Struct):
    """A whole answer."""

    type: str = ""
    id: str = ""
    model: str = ""
    content: list[WireBlock] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: WireUsage | None = None
    error: Any = None


class WireEvent(msgspec.Struct):
    """One event of a stream."""

    type: str = ""
    index: int = 0
    message: WireMessage | None = None
    content_block: WireBlock | None = None
    delta: WireBlock | None = None
    usage: WireUsage | None = None
    error: Any = None


decode_message = msgspec.json.Decoder(WireMessage, strict=False).decode
decode_event = msgspec.json.Decoder(WireEvent, strict=False).decode


def to_usage(usage: WireUsage) -> TokenUsage:
    """Tokens in our sense: Anthropic counts cached input apart, we count it in."""
    read, write = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    details = usage.output_tokens_details
    return TokenUsage(
        input_tokens=(usage.input_tokens or 0) + read + write,
        output_tokens=usage.output_tokens or 0,
        cache_read_tokens=read,
        cache_write_tokens=write,
        reasoning_tokens=((details.thinking_tokens or details.reasoning_tokens) if details is not None else None) or 0,
        cache_write_1h_tokens=(usage.cache_creation.ephemeral_1h_input_tokens if usage.cache_creation else 0) or 0,
        searches=(usage.server_tool_use.web_search_requests if usage.server_tool_use else 0) or 0,
        service_tier=tier_told(usage.service_tier),
    )


def merged(old: WireUsage | None, new: WireUsage) -> WireUsage:
    """Usage of a stream: later events give totals, and leave out what did not change."""
    if old is None:
        return new
    return WireUsage(
        input_tokens=new.input_tokens if new.input_tokens is not None else old.input_tokens,
        output_tokens=new.output_tokens if new.output_tokens is not None else old.output_tokens,
        cache_read_input_tokens=_later(new.cache_read_input_tokens, old.cache_read_input_tokens),
        cache_creation_input_tokens=_later(new.cache_creation_input_tokens, old.cache_creation_input_tokens),
        output_tokens_details=new.output_tokens_details or old.output_tokens_details,
        cache_creation=new.cache_creation or old.cache_creation,
        server_tool_use=new.server_tool_use or old.server_tool_use,
        service_tier=new.service_tier or old.service_tier,
    )


def _later(new: int | None, old: int | None) -> int | None:
    return old if new is None else new


def is_empty(message: WireMessage) -> bool:
    """Whether a whole answer holds nothing and no reason for it. Tokens that were spent are one, and so is a refusal."""
    if any(shows(block) for block in message.content or ()):
        return False
    spent = (message.usage.output_tokens or 0) if message.usage is not None else 0
    return message.stop_reason in {None, ""} or (message.stop_reason == "end_turn" and not spent)


def shows(block: WireBlock | None) -> bool:
    """Whether a block or delta shows the caller anything."""
    if block is None:
        return False
    if block.type in {"text", "text_delta"}:
        return bool(block.text)
    if block.type in {"thinking", "thinking_delta"}:
        return bool(block.thinking)
    # Tool calls, redacted thinking, results of server tools: their mere existence is content. Signatures are not.
    return block.type not in {"", "signature_delta", "input_json_delta", "citations_delta"} or bool(block.partial_json)


_PLACES = {
    "char_location": ("char", "start_char_index", "end_char_index"),
    "page_location": ("page", "start_page_number", "end_page_number"),
    "content_block_location": ("block", "start_block_index", "end_block_index"),
}


def cited(block: WireBlock) -> list[Any]:
    """The citations of a block, as the provider wrote them."""
    return block.citations if isinstance(block.citations, list) else []


def to_citation(wire: Any, start: int, end: int) -> Citation | None:
    """A citation of the answer's text from `start` to `end`; None: it is none that is known.

    Args:
        wire: The provider's object, decoded.
    """
    if not isinstance(wire, dict):
        return None
    title, quote = str(wire.get("document_title") or wire.get("title") or ""), str(wire.get("cited_text") or "")
    kind = wire.get("type")
    if kind == "web_search_result_location":
        return Citation(str(wire.get("url") or ""), title, quote, start, end)
    if kind == "search_result_location":
        source = str(wire.get("source") or "")
        return Citation(source, title, quote, start, end)
    if not isinstance(kind, str) or kind not in _PLACES:
        return None
    what, first, last = _PLACES[kind]
    index, begin, stop = wire.get("document_index"), wire.get(first), wire.get(last)
    found = (what, begin, stop) if is_whole(begin) and is_whole(stop) else None
    return Citation("", title, quote, start, end, index if is_whole(index) else 0, found)
