"""What Converse's answers look like on the wire: only the fields that are read, decoded by type."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from services.core.errors import Failure, FailureKind
from services.dataplane.exchange import AnswerPart, Citation, Image, Text, Thinking, ToolCall
from services.dataplane.providers.service_tiers import tier_told
from services.dataplane.translation import TokenUsage

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
"""Bedrock's stop reasons in OpenAI's words."""

_MALFORMED = {"malformed_model_output", "malformed_tool_use"}
"""Stop reasons that are failures: what the model wrote is no answer, and another try may give one."""

SERVER_TOOL = "server_tool_use"
"""The type of calls that Bedrock performs itself; their results come with the answer, and nobody has to act."""

ANTHROPIC = "anthropic"
"""Whose signatures and redacted reasoning these are: no other vendor's models on Bedrock give any."""


class _Wire(msgspec.Struct, rename="camel"):
    """A value with Amazon's spelling of names."""


class WireText(_Wire):
    text: str | None = None


class WireTool(_Wire):
    tool_use_id: str = ""
    name: str = ""
    type: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"{}")


class WireReasoningText(_Wire):
    text: str | None = None
    signature: str | None = None


class WireReasoning(_Wire):
    """A reasoning block, or the delta of one: the one nests text and signature, the other does not."""

    reasoning_text: WireReasoningText | None = None
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class WirePlace(_Wire):
    url: str | None = None
    domain: str | None = None
    document_index: int | None = None
    start: int | None = None
    end: int | None = None


class WireLocation(_Wire):
    web: WirePlace | None = None
    document_char: WirePlace | None = None
    document_page: WirePlace | None = None
    document_chunk: WirePlace | None = None


class WireCitation(_Wire):
    title: str | None = None
    source: str | None = None
    source_content: list[WireText] | None = None
    location: WireLocation | None = None


class WireCitations(_Wire):
    content: list[WireText] | None = None
    citations: list[WireCitation] | None = None


class WireBytes(_Wire):
    bytes: str | None = None


class WireImage(_Wire):
    format: str | None = None
    source: WireBytes | None = None


class WireBlock(_Wire):
    """A content block."""

    text: str | None = None
    tool_use: WireTool | None = None
    reasoning_content: WireReasoning | None = None
    citations_content: WireCitations | None = None
    image: WireImage | None = None


class WireToolDelta(_Wire):
    input: str | None = None


class WireDelta(_Wire):
    """More of a content block."""

    text: str | None = None
    tool_use: WireToolDelta | None = None
    reasoning_content: WireReasoning | None = None
    citation: WireCitation | None = None
    image: WireImage | None = None


class WireCacheDetail(_Wire):
    ttl: str | None = None
    input_tokens: int | None = None


class WireUsage(_Wire):
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_details: list[WireCacheDetail] | None = None


class WireMessage(_Wire):
    content: list[WireBlock] | None = None


class WireOutput(_Wire):
    message: WireMessage | None = None


class WireAnswer(_Wire):
    """A whole answer, or an error inside a success."""

    output: WireOutput | None = None
    stop_reason: str | None = None
    usage: WireUsage | None = None
    service_tier: Any = None
    additional_model_response_fields: Any = None
    message: Any = None
    type: Any = msgspec.field(name="__type", default=None)


class WireEvent(_Wire):
    """The payload of one event of a stream."""

    content_block_index: int = 0
    start: WireBlock | None = None
    delta: WireDelta | None = None
    stop_reason: str | None = None
    usage: WireUsage | None = None
    service_tier: Any = None
    additional_model_response_fields: Any = None


decode_answer = msgspec.json.Decoder(WireAnswer, strict=False).decode
decode_event = msgspec.json.Decoder(WireEvent, strict=False).decode


def to_usage(usage: WireUsage, tier: Any = None) -> TokenUsage:
    """Tokens in our sense: Bedrock counts cached input apart, we count it in; its total says so.

    Args:
        tier: What the answer says of its service tier, an object with its `type`.
    """
    read, write = usage.cache_read_input_tokens or 0, usage.cache_write_input_tokens or 0
    fresh, output = usage.input_tokens or 0, usage.output_tokens or 0
    counted_in = read + write > 0 and usage.total_tokens == fresh + output
    hour = sum(detail.input_tokens or 0 for detail in usage.cache_details or () if detail.ttl == "1h")
    return TokenUsage(
        input_tokens=fresh if counted_in else fresh + read + write,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=min(hour, write),
        service_tier=tier_told(tier.get("type")) if isinstance(tier, Mapping) else "",
    )


def malformed(stop_reason: str | None) -> Failure | None:
    """The failure that a stop reason tells; None: it is a proper end."""
    if stop_reason not in _MALFORMED:
        return None
    told = f"the model's output was not well formed ({stop_reason})"
    return Failure(FailureKind.SERVER_ERROR, told, code=stop_reason)


def finish_of(stop_reason: str | None, *, calls: bool) -> str:
    """A stop reason in OpenAI's words; some models call a tool and say that their turn ended."""
    reason = FINISH_REASONS.get(stop_reason or "", "stop")
    return "tool_calls" if reason == "stop" and calls else reason


def stop_sequence_of(fields: Any) -> str:
    """The stop sequence that ended the answer, where the model says so and was asked to (`/stop_sequence`)."""
    inner = fields.get("delta", fields) if isinstance(fields, dict) else None
    found = inner.get("stop_sequence") if isinstance(inner, dict) else None
    return found if isinstance(found, str) else ""


def parts_of(blocks: Sequence[WireBlock]) -> tuple[AnswerPart, ...]:
    """The blocks of a whole answer; what Bedrock's own tools did is left out."""
    found: list[AnswerPart] = []
    at = 0
    for block in blocks:
        part = _part(block, at)
        if isinstance(part, Text):
            at += len(part.text)
        if part is not None:
            found.append(part)
    return tuple(found)


def _part(block: WireBlock, at: int) -> AnswerPart | None:
    if block.text is not None:
        return Text(block.text)
    cited = block.citations_content
    if cited is not None:
        text = _joined(cited.content)
        return Text(text, citations=tuple(citation_of(c, at, at + len(text)) for c in cited.citations or ()))
    reasoning = block.reasoning_content
    if reasoning is not None:
        if reasoning.redacted_content:
            return Thinking(redacted=revealed(reasoning.redacted_content), vendor=ANTHROPIC)
        told = reasoning.reasoning_text or WireReasoningText()
        return Thinking(told.text or "", told.signature or "", vendor=ANTHROPIC if told.signature else "")
    tool = block.tool_use
    if tool is not None and tool.type != SERVER_TOOL:
        arguments = bytes(tool.input).decode()
        return ToolCall(tool.tool_use_id, tool.name, "{}" if arguments == "null" else arguments)
    return image_of(block.image) if block.image is not None else None


def citation_of(citation: WireCitation, start: int, end: int) -> Citation:
    """A source of the answer's text from `start` to `end`; they are the same: where the text ends is not known."""
    where = citation.location or WireLocation()
    counted = (("char", where.document_char), ("page", where.document_page), ("block", where.document_chunk))
    unit, document = next(((unit, place) for unit, place in counted if place is not None), ("", WirePlace()))
    known = document.start is not None and document.end is not None
    web = where.web or WirePlace()
    source = citation.source or ""
    return Citation(
        url=web.url or (source if source.startswith(("http://", "https://")) else ""),
        title=citation.title or web.domain or "",
        quote=_joined(citation.source_content),
        start=start if start < end else None,
        end=end if start < end else None,
        document=document.document_index,
        place=(unit, document.start or 0, document.end or 0) if known else None,
    )


def image_of(image: WireImage) -> Image | None:
    """A picture that the model made; None: it has no bytes."""
    data = image.source.bytes if image.source is not None else None
    return Image(data=data, media_type=f"image/{image.format or 'png'}") if data else None


def revealed(content: str) -> str:
    """Redacted reasoning as its vendor writes it: on this wire it is packed in base64 once more."""
    try:
        return b64decode(content, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return content


def _joined(texts: Sequence[WireText] | None) -> str:
    return "".join(piece.text or "" for piece in texts or ())


def is_empty(answer: WireAnswer, parts: Sequence[AnswerPart]) -> bool:
    """Whether a whole answer holds nothing and no reason for it."""
    shows = any(not isinstance(part, Text) or part.text for part in parts if part != Thinking())
    if shows:
        return False
    spent = (answer.usage.output_tokens or 0) if answer.usage is not None else 0
    return not answer.stop_reason or (answer.stop_reason == "end_turn" and not spent)
