"""Exchange answers in Anthropic's wire format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from services.core.errors import RouterError
from services.dataplane.dialects.anthropic_errors import error_form
from services.dataplane.dialects.writing import arguments_object
from services.dataplane.exchange import (
    AnswerPart,
    Audio,
    AudioDelta,
    ChatAnswer,
    Citation,
    CitationDelta,
    Finished,
    Image,
    ImageDelta,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from services.dataplane.proofs import CALL, sealed
from services.dataplane.providers.anthropic_wire import STOP_REASONS
from services.dataplane.sse import frame
from services.dataplane.translation import Emitted, Evidence, TokenUsage


class AnthropicWriter:
    """Writes one answer: exactly one start, blocks with rising indexes, exactly one end."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._id = ""
        self._started = False
        self._open = ""
        self._index = -1
        self._call = -1
        self._stop: tuple[str, str | None] = ("end_turn", None)
        self._usage: TokenUsage | None = None

    def answer(self, answer: ChatAnswer, evidence: Evidence) -> bytes:
        body = {
            "id": answer.id or f"msg_{evidence.generation_id}",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [block for part in answer.parts for block in _blocks(part)],
            "stop_reason": _stop_reason(answer.finish_reason, answer.stop_sequence),
            "stop_sequence": answer.stop_sequence or None,
            "usage": usage_form(answer.usage or TokenUsage(), evidence.cost_usd),
            "metadata": evidence.metadata,
        }
        return msgspec.json.encode(body)

    def loss(self, item: AnswerPart | StreamEvent) -> str:
        if isinstance(item, (Image, ImageDelta)):
            return "a picture in the answer was dropped: Anthropic's messages have no place for it"
        if isinstance(item, (Audio, AudioDelta)):
            return "sound in the answer was dropped, and its transcript is shown: Anthropic's messages hold text only"
        return ""

    def carry_on(self, emitted: Emitted) -> None:
        self._started = True
        self._id = emitted.response_id
        self._index = emitted.block
        self._open = "text" if emitted.block_open else ""

    def frames(self, events: Sequence[StreamEvent]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if isinstance(event, Started):
                self._id = self._id or event.id
                self._usage = event.usage or self._usage
            elif isinstance(event, UsageReported):
                self._usage = event.usage
            elif isinstance(event, Finished):
                self._stop = (_stop_reason(event.reason, event.stop_sequence), event.stop_sequence or None)
            else:
                self._begin(out)
                self._content(event, out)
        return b"".join(out)

    def _begin(self, out: list[bytes]) -> None:
        if self._started:
            return
        self._started = True
        usage = usage_form(TokenUsage(input_tokens=self._usage.input_tokens if self._usage else 0), None)
        message: dict[str, Any] = {
            "id": self._id or "msg_turnout",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        out.append(_event("message_start", {"message": message}))

    def _content(self, event: StreamEvent, out: list[bytes]) -> None:
        if isinstance(event, TextDelta):
            self._text(event.text, out)
        elif isinstance(event, AudioDelta) and event.transcript:
            self._text(event.transcript, out)
        elif isinstance(event, CitationDelta):
            self._block("text", {"type": "text", "text": ""}, out)
            self._delta({"type": "citations_delta", "citation": _citation(event.citation)}, out)
        elif isinstance(event, ThinkingDelta):
            self._thinking(event, out)
        elif isinstance(event, ToolCallStarted):
            self._close(out)
            if event.signature:
                self._whole("proof", _proof(event.signature), out)
            self._call = event.index
            block = {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}
            self._block(f"tool {event.index}", block, out)
        elif isinstance(event, ToolCallDelta) and event.index == self._call:
            self._delta({"type": "input_json_delta", "partial_json": event.arguments}, out)

    def _text(self, text: str, out: list[bytes]) -> None:
        self._block("text", {"type": "text", "text": ""}, out)
        self._delta({"type": "text_delta", "text": text}, out)

    def _thinking(self, event: ThinkingDelta, out: list[bytes]) -> None:
        proof = sealed(Thinking("", event.signature, event.redacted, event.vendor, event.id))
        own = event.vendor in {"", "anthropic"}
        if event.redacted and (own or self._open != "thinking"):
            self._whole("redacted", {"type": "redacted_thinking", "data": proof}, out)
            return
        self._block("thinking", {"type": "thinking", "thinking": "", "signature": ""}, out)
        if event.text:
            self._delta({"type": "thinking_delta", "thinking": event.text}, out)
        if proof:
            self._delta({"type": "signature_delta", "signature": proof}, out)

    def _whole(self, kind: str, block: dict[str, Any], out: list[bytes]) -> None:
        """A block that comes at once."""
        self._close(out)
        self._block(kind, block, out)
        self._close(out)

    def _block(self, kind: str, block: dict[str, Any], out: list[bytes]) -> None:
        """Make sure that a block of `kind` is open."""
        if self._open == kind:
            return
        self._close(out)
        self._open = kind
        self._index += 1
        out.append(_event("content_block_start", {"index": self._index, "content_block": block}))

    def _delta(self, delta: dict[str, Any], out: list[bytes]) -> None:
        out.append(_event("content_block_delta", {"index": self._index, "delta": delta}))

    def _close(self, out: list[bytes]) -> None:
        if self._open:
            self._open = ""
            out.append(_event("content_block_stop", {"index": self._index}))

    def closing(self, evidence: Evidence) -> bytes:
        out: list[bytes] = []
        self._begin(out)
        self._close(out)
        reason, sequence = self._stop
        body = {
            "delta": {"stop_reason": reason, "stop_sequence": sequence},
            "usage": usage_form(self._usage or TokenUsage(), evidence.cost_usd),
            "metadata": evidence.metadata,
        }
        out.append(_event("message_delta", body))
        out.append(_event("message_stop", {}))
        return b"".join(out)

    def broken(self, error: RouterError, evidence: Evidence) -> bytes:
        return frame(msgspec.json.encode(error_form(error, evidence)), "error")


_TIERS = {"default": "standard", "priority": "priority", "batch": "batch"}
"""Service tiers that Anthropic has, by OpenAI's words."""


def usage_form(usage: TokenUsage, cost_usd: float | None) -> dict[str, Any]:
    """Usage in Anthropic's shape, where cached input is counted apart."""
    form: dict[str, Any] = {
        "input_tokens": usage.fresh_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
    }
    hourly = usage.cache_write_1h_tokens
    if hourly:
        brief = max(0, usage.cache_write_tokens - hourly)
        form["cache_creation"] = {"ephemeral_5m_input_tokens": brief, "ephemeral_1h_input_tokens": hourly}
    if usage.searches:
        form["server_tool_use"] = {"web_search_requests": usage.searches, "web_fetch_requests": 0}
    if usage.reasoning_tokens:
        form["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    if usage.service_tier in _TIERS:
        form["service_tier"] = _TIERS[usage.service_tier]
    if cost_usd is not None:
        form["cost"] = cost_usd
    return form


def _stop_reason(finish: str, sequence: str) -> str:
    return "stop_sequence" if sequence else STOP_REASONS.get(finish, "end_turn")


def _blocks(part: AnswerPart) -> list[dict[str, Any]]:
    if isinstance(part, Text):
        cited = {"citations": [_citation(c) for c in part.citations]} if part.citations else {}
        return [{"type": "text", "text": part.text, **cited}]
    if isinstance(part, Thinking):
        if part.redacted and not part.text:
            return [{"type": "redacted_thinking", "data": sealed(part)}]
        return [{"type": "thinking", "thinking": part.text, "signature": sealed(part)}]
    if isinstance(part, ToolCall):
        call = {"type": "tool_use", "id": part.id, "name": part.name, "input": arguments_object(part.arguments)}
        return [_proof(part.signature), call] if part.signature else [call]
    if isinstance(part, Audio) and part.transcript:
        return [{"type": "text", "text": part.transcript}]
    return []


def _proof(signature: str) -> dict[str, Any]:
    """A block that carries the proof of the call behind it, as callers send such blocks back untouched."""
    return {"type": "redacted_thinking", "data": sealed(Thinking(signature=signature, vendor=CALL))}


_PLACES = {
    "char": ("char_location", "char_index"),
    "page": ("page_location", "page_number"),
    "block": ("content_block_location", "block_index"),
}


def _citation(citation: Citation) -> dict[str, Any]:
    if citation.document is None:
        return {
            "type": "web_search_result_location",
            "url": citation.url,
            "title": citation.title or None,
            "encrypted_index": "",
            "cited_text": citation.quote,
        }
    what, first, last = citation.place or ("char", 0, 0)
    kind, unit = _PLACES.get(what, _PLACES["char"])
    return {
        "type": kind,
        "document_index": citation.document,
        "document_title": citation.title or None,
        f"start_{unit}": first,
        f"end_{unit}": last,
        "cited_text": citation.quote,
    }


def _event(name: str, body: dict[str, Any]) -> bytes:
    return frame(msgspec.json.encode({"type": name, **body}), name)
