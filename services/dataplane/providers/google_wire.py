"""What Gemini's answers look like on the wire: only the fields that are read, decoded by type.

A whole answer and a chunk of a stream are the same message. Enumerations come as words, or as
numbers where a client asked for those; the numbers of AI Studio and Vertex AI agree only in part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from services.dataplane.providers.service_tiers import tier_told
from services.dataplane.translation import TokenUsage

Word = str | int | None
"""An enumeration's value."""


class _Wire(msgspec.Struct, rename="camel"):
    pass


class WireBlob(_Wire):
    mime_type: str | None = None
    data: str | None = None


class WirePartialArg(_Wire):
    """A piece of a call's arguments, at a JSONPath; of a text that `will_continue`, the next piece goes behind it."""

    json_path: str | None = None
    string_value: str | None = None
    number_value: float | None = None
    bool_value: bool | None = None
    null_value: Word = None
    will_continue: bool | None = None


class WireFunctionCall(_Wire):
    id: str | None = None
    name: str | None = None
    args: dict[str, Any] | None = None
    partial_args: list[WirePartialArg] | None = None
    will_continue: bool | None = None


class WirePart(_Wire):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: WireBlob | None = None
    function_call: WireFunctionCall | None = None
    # What Google itself ran on the way: code and its results, tools and what they found.
    executable_code: Any = None
    code_execution_result: Any = None
    tool_call: Any = None
    tool_response: Any = None


class WireContent(_Wire):
    role: str | None = None
    parts: list[WirePart] | None = None


class WireSource(_Wire):
    uri: str | None = None
    title: str | None = None
    text: str | None = None


class WireGroundingChunk(_Wire):
    """A source; of its members one is there."""

    web: WireSource | None = None
    retrieved_context: WireSource | None = None
    maps: WireSource | None = None
    image: Any = None


class WireSegment(_Wire):
    """A piece of the answer's text, counted in bytes of UTF-8."""

    part_index: int | None = None
    start_index: int | None = None
    end_index: int | None = None
    text: str | None = None


class WireGroundingSupport(_Wire):
    segment: WireSegment | None = None
    grounding_chunk_indices: list[int] | None = None


class WireGrounding(_Wire):
    grounding_chunks: list[WireGroundingChunk] | None = None
    grounding_supports: list[WireGroundingSupport] | None = None
    web_search_queries: list[str] | None = None


class WireCitation(_Wire):
    uri: str | None = None
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class WireCitations(_Wire):
    """AI Studio calls them sources, Vertex AI citations."""

    citation_sources: list[WireCitation] | None = None
    citations: list[WireCitation] | None = None


class WireLogprob(_Wire):
    token: str | None = None
    log_probability: float | None = None


class WireTopLogprobs(_Wire):
    candidates: list[WireLogprob] | None = None


class WireLogprobs(_Wire):
    chosen_candidates: list[WireLogprob] | None = None
    top_candidates: list[WireTopLogprobs] | None = None


class WireCandidate(_Wire):
    index: int | None = None
    content: WireContent | None = None
    finish_reason: Word = None
    finish_message: str | None = None
    citation_metadata: WireCitations | None = None
    grounding_metadata: WireGrounding | None = None
    logprobs_result: WireLogprobs | None = None


class WireFeedback(_Wire):
    """What Google says of the prompt. Safety ratings alone block nothing."""

    block_reason: Word = None
    block_reason_message: str | None = None


class WireModality(_Wire):
    modality: Word = None
    token_count: int | None = None


class WireUsage(_Wire):
    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    prompt_tokens_details: list[WireModality] | None = None
    candidates_tokens_details: list[WireModality] | None = None
    cache_tokens_details: list[WireModality] | None = None
    tool_use_prompt_tokens_details: list[WireModality] | None = None
    service_tier: Any = None
    traffic_type: Any = None
    """Vertex AI's word for the tier."""


class WireAnswer(_Wire):
    """A whole answer, or one chunk of a stream."""

    candidates: list[WireCandidate] | None = None
    prompt_feedback: WireFeedback | None = None
    usage_metadata: WireUsage | None = None
    model_version: str | None = None
    response_id: str | None = None
    create_time: str | None = None
    error: Any = None


decode_answer = msgspec.json.Decoder(WireAnswer, strict=False).decode
decode_answers = msgspec.json.Decoder(list[WireAnswer], strict=False).decode
"""Of a stream without `alt=sse`, which is one JSON list."""

_AUDIO = {"AUDIO", 4}
_IMAGE = {"IMAGE", 2}
_UNBLOCKED = {None, 0, "", "BLOCK_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED"}

FINISH_REASONS: Mapping[str, str] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
"""Google's finish reasons in OpenAI's words; one that is not here, and no failure either, is a "stop" of a new name."""

FINISH_WORDS: Mapping[str, str] = {ours: word for word, ours in reversed(tuple(FINISH_REASONS.items()))} | {
    "tool_calls": "STOP"
}
"""Google's finish reasons by the exchange model's: of several the first one."""

FAILED_REASONS = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MALFORMED_RESPONSE",
        "MISSING_THOUGHT_SIGNATURE",
        "OTHER",
        "IMAGE_OTHER",
        "NO_IMAGE",
    }
)
"""Finish reasons of a model that failed at what it was asked: its answer, if there is any, is none."""

_NUMBERS = {
    1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER", 7: "BLOCKLIST", 8: "PROHIBITED_CONTENT",
    11: "IMAGE_SAFETY",
}  # fmt: skip
"""The finish reasons whose numbers mean the same at AI Studio and at Vertex AI."""


def finish_word(reason: Word) -> str:
    """A finish reason as a word; empty: there is none."""
    if isinstance(reason, int):
        return _NUMBERS.get(reason, f"FINISH_REASON_{reason}" if reason else "")
    return "" if reason in {None, "FINISH_REASON_UNSPECIFIED"} else reason or ""


def finish_of(word: str, *, called: bool) -> str:
    """A finish word in the exchange model's words. Google ends calls of tools with "STOP" as well."""
    finish = FINISH_REASONS.get(word, "stop")
    return "tool_calls" if finish == "stop" and called else finish


def block_of(feedback: WireFeedback | None) -> str:
    """Why the prompt was blocked; empty: it was not."""
    if feedback is None:
        return ""
    if feedback.block_reason not in _UNBLOCKED:
        return str(feedback.block_reason)
    return "BLOCKED" if feedback.block_reason_message else ""


def to_usage(usage: WireUsage, searches: int = 0) -> TokenUsage:
    """Tokens in our sense. Google counts thoughts, and what its own tools put before the model, apart.

    Args:
        searches: Web searches that were run for the answer; the usage itself does not tell.
    """
    given = (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0)
    thoughts = usage.thoughts_token_count or 0
    heard = (*(usage.prompt_tokens_details or ()), *(usage.tool_use_prompt_tokens_details or ()))
    return TokenUsage(
        input_tokens=given,
        output_tokens=(usage.candidates_token_count or 0) + thoughts,
        cache_read_tokens=min(usage.cached_content_token_count or 0, given),
        reasoning_tokens=thoughts,
        input_audio_tokens=_count(heard, _AUDIO),
        output_audio_tokens=_count(usage.candidates_tokens_details or (), _AUDIO),
        cache_audio_tokens=_count(usage.cache_tokens_details or (), _AUDIO),
        input_image_tokens=_count(heard, _IMAGE),
        output_image_tokens=_count(usage.candidates_tokens_details or (), _IMAGE),
        searches=searches,
        service_tier=tier_told(usage.service_tier) or tier_told(usage.traffic_type),
    )


def _count(details: Sequence[WireModality], kind: Any) -> int:
    # Most chunks tell the sum alone.
    return sum(detail.token_count or 0 for detail in details if detail.modality in kind) if details else 0
