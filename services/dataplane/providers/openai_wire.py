"""What OpenAI-style answers look like on the wire: only the fields that are read, decoded by type."""

from __future__ import annotations

from typing import Any

import msgspec

from services.dataplane.translation import TokenUsage


class PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class WireUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None


class WireFunction(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class WireToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: WireFunction | None = None


NOTHING = msgspec.Raw(b"null")


class WireMessage(msgspec.Struct):
    """A message of an answer, or the delta of a chunk."""

    content: str | list[Any] | dict[str, Any] | None = None
    tool_calls: list[WireToolCall] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    # A raw field cannot be optional; "null" stands for not there.
    audio: msgspec.Raw = NOTHING
    images: msgspec.Raw = NOTHING
    function_call: WireFunction | None = None


class WireChoice(msgspec.Struct):
    index: int | None = 0
    message: WireMessage | None = None
    delta: WireMessage | None = None
    finish_reason: str | None = None


class WireAnswer(msgspec.Struct):
    """A whole answer, or one chunk of a stream."""

    id: str | None = None
    model: str | None = None
    created: int | float | None = None
    choices: list[WireChoice] | None = None
    usage: WireUsage | None = None
    error: Any = None


decode_answer = msgspec.json.Decoder(WireAnswer, strict=False).decode


def to_usage(usage: WireUsage) -> TokenUsage:
    """Tokens in our sense."""
    details = usage.prompt_tokens_details
    cached = (details.cached_tokens if details is not None else None) or usage.prompt_cache_hit_tokens or 0
    completion = usage.completion_tokens_details
    return TokenUsage(
        input_tokens=usage.prompt_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
        cache_read_tokens=cached,
        cache_write_tokens=(details.cache_write_tokens if details is not None else None) or 0,
        reasoning_tokens=(completion.reasoning_tokens if completion is not None else None) or 0,
    )


def text_of(content: str | list[Any] | dict[str, Any] | None) -> str:
    """The text of a content, which some providers give as parts, and some, in their JSON mode, as an object."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, dict):
        return msgspec.json.encode(content).decode()
    return "".join(p["text"] for p in content if isinstance(p, dict) and isinstance(p.get("text"), str))


def shows(message: WireMessage | None) -> bool:
    """Whether a message or delta shows the caller anything: text, a call, reasoning, a refusal, media."""
    return message is not None and bool(
        message.content
        or message.tool_calls
        or message.reasoning_content
        or message.reasoning
        or message.refusal
        or message.function_call
        or message.audio != NOTHING
        or bytes(message.images) not in {b"null", b"[]"}
    )


def shows_more_than_text(message: WireMessage) -> bool:
    """Whether a delta shows anything besides plain text and reasoning."""
    return bool(
        message.tool_calls
        or message.refusal
        or message.function_call
        or not isinstance(message.content, str | None)
        or message.audio != NOTHING
        or bytes(message.images) not in {b"null", b"[]"}
    )


def arguments_size(message: WireMessage) -> int:
    """Characters of tool arguments in a delta."""
    calls = [c.function for c in message.tool_calls or () if c.function is not None]
    return sum(len(f.arguments) for f in calls if isinstance(f.arguments, str))


def is_empty(answer: WireAnswer) -> bool:
    """Whether a whole answer holds nothing and no reason for it.

    A finish reason with tokens spent is a reason: some models think and then say nothing.
    """
    choices = answer.choices or []
    if any(shows(c.message) for c in choices):
        return False
    spent = (answer.usage.completion_tokens or 0) if answer.usage is not None else 0
    finished = any(c.finish_reason for c in choices)
    return not (finished and (spent or any(c.finish_reason not in {"stop", "eos"} for c in choices)))
