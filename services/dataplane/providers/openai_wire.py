"""What OpenAI-style answers look like on the wire: only the fields that are read, decoded by type."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec

from services.dataplane.providers.told_cost import told_cost
from services.dataplane.translation import TokenUsage

_Exact = msgspec.Meta(ge=-(2**53), le=2**53)
Seconds = Annotated[int, _Exact] | Annotated[float, _Exact]
"""Since the Unix epoch. Without bounds, "nan" and "inf" would be numbers too, and no whole ones."""


class PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    cache_write_tokens: int | None = None


class CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class ServerToolUse(msgspec.Struct):
    web_search_requests: int | None = None


class WireUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None
    server_tool_use: ServerToolUse | None = None
    num_search_queries: int | None = None
    """Perplexity's word for searches."""
    cost: Any = None
    cost_details: Any = None
    cost_in_usd_ticks: Any = None
    is_byok: Any = None


class WireFunction(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class WireToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: WireFunction | None = None
    extra_content: Any = None


class WireAudio(msgspec.Struct):
    id: str | None = None
    data: str | None = None
    transcript: str | None = None


NOTHING = msgspec.Raw(b"null")


class WireMessage(msgspec.Struct):
    """A message of an answer, or the delta of a chunk."""

    content: str | list[Any] | dict[str, Any] | None = None
    tool_calls: list[WireToolCall] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Any] | None = None
    refusal: str | None = None
    audio: WireAudio | None = None
    # A raw field cannot be optional; "null" stands for not there.
    images: msgspec.Raw = NOTHING
    function_call: WireFunction | None = None
    annotations: Any = None
    extra_content: Any = None


class WireChoice(msgspec.Struct):
    index: int | None = 0
    message: WireMessage | None = None
    delta: WireMessage | None = None
    finish_reason: str | None = None
    logprobs: Any = None


class WireAnswer(msgspec.Struct):
    """A whole answer, or one chunk of a stream."""

    id: str | None = None
    model: str | None = None
    created: Seconds | None = None
    choices: list[WireChoice] | None = None
    usage: WireUsage | None = None
    error: Any = None
    search_results: Any = None
    """Perplexity's sources."""
    service_tier: Any = None


decode_answer = msgspec.json.Decoder(WireAnswer, strict=False).decode


_NO_PROMPT_DETAILS = PromptDetails()
_NO_COMPLETION_DETAILS = CompletionDetails()


def to_usage(usage: WireUsage, tier: str = "") -> TokenUsage:
    """Tokens in our sense: input with all that was cached, output with all that was thought.

    Providers differ in what the two counts hold; a total that is more than both tells what was left out.

    Args:
        tier: Service tier that the answer names; the usage itself does not tell.
    """
    before = usage.prompt_tokens_details or _NO_PROMPT_DETAILS
    after = usage.completion_tokens_details or _NO_COMPLETION_DETAILS
    cached = before.cached_tokens or usage.prompt_cache_hit_tokens or usage.cached_tokens or 0
    given, made = usage.prompt_tokens or 0, usage.completion_tokens or 0
    reasoning = after.reasoning_tokens or 0
    beyond = max(0, (usage.total_tokens or 0) - given - made)
    if beyond and beyond != reasoning and beyond in {before.audio_tokens, cached}:
        given += beyond  # Mistral counts spoken input apart
    elif beyond:
        made, reasoning = made + beyond, max(reasoning, beyond)  # xAI and Google count reasoning apart
    elif reasoning > made:
        made += reasoning  # and so do gateways before them, in their total as well
    return TokenUsage(
        input_tokens=given,
        output_tokens=made,
        # Azure counts Grok's own system prompt among the cached tokens, but not among the prompt's.
        cache_read_tokens=min(cached, given),
        cache_write_tokens=before.cache_write_tokens or 0,
        reasoning_tokens=reasoning,
        input_audio_tokens=min(before.audio_tokens or 0, given),
        output_audio_tokens=min(after.audio_tokens or 0, made),
        searches=_searches(usage),
        input_image_tokens=min(before.image_tokens or 0, given),
        output_image_tokens=min(after.image_tokens or 0, made),
        cost_usd=told_cost(usage.cost, usage.cost_details, usage.cost_in_usd_ticks, usage.is_byok),
        service_tier=tier,
    )


def _searches(usage: WireUsage) -> int:
    told = usage.server_tool_use.web_search_requests if usage.server_tool_use is not None else None
    return told or usage.num_search_queries or 0


def text_of(content: str | list[Any] | dict[str, Any] | None) -> str:
    """The text of a content, which some providers give as parts, and some, in their JSON mode, as an object."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, dict):
        return msgspec.json.encode(content).decode()
    return "".join(p["text"] for p in content if isinstance(p, dict) and isinstance(p.get("text"), str))


def calls_of(message: WireMessage) -> list[WireToolCall]:
    """The tool calls of a message or delta; a function call of the old API is one."""
    if message.tool_calls:
        return message.tool_calls
    old = message.function_call
    return [WireToolCall(index=0, function=old)] if old is not None and (old.name or old.arguments) else []


_FINISHES = {"eos": "stop", "function_call": "tool_calls", "max_tokens": "length", "model_length": "length"}


def finish_of(reason: str | None, *, called: bool, refused: bool) -> str:
    """A finish reason in the exchange model's words.

    A call that the request forced ends with "stop" at OpenAI, and so does a refusal; elsewhere
    callers look for "tool_calls" before they act, and for a reason of its own after a refusal.
    """
    word = _FINISHES.get(reason or "stop", reason or "stop")
    if word != "stop":
        return word
    return "tool_calls" if called else "content_filter" if refused else "stop"


def thought_of(message: WireMessage) -> str:
    """The reasoning of a message or delta, wherever the provider puts it: a field, parts of the content, or details."""
    told = message.reasoning_content or message.reasoning
    if told:
        return told
    if isinstance(message.content, list):
        told = _texts([p for part in message.content if _is_thinking(part) for p in part["thinking"]], "text")
        if told:
            return told
    return _texts(message.reasoning_details, "text", "summary") if message.reasoning_details else ""


def _texts(rows: Iterable[Any], *names: str) -> str:
    """The texts of rows, each under the first of `names` that holds one."""
    told = [[row.get(name) for name in names] for row in rows if isinstance(row, dict)]
    return "".join(next((text for text in found if isinstance(text, str) and text), "") for found in told)


def _is_thinking(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("thinking"), list)


def shows(message: WireMessage | None) -> bool:
    """Whether a message or delta shows the caller anything: text, a call, reasoning, a refusal, media."""
    return message is not None and bool(
        message.content
        or message.tool_calls
        or message.reasoning_content
        or message.reasoning
        or message.refusal
        or (message.function_call is not None and (message.function_call.name or message.function_call.arguments))
        or (message.audio is not None and (message.audio.id or message.audio.data or message.audio.transcript))
        or bytes(message.images) not in {b"null", b"[]"}
    )


def shows_more_than_text(message: WireMessage) -> bool:
    """Whether a delta shows anything besides plain text and reasoning."""
    return bool(
        message.tool_calls
        or message.refusal
        or message.function_call
        or not isinstance(message.content, str | None)
        or message.audio is not None
        or bytes(message.images) not in {b"null", b"[]"}
    )


def arguments_size(message: WireMessage) -> int:
    """Characters of tool arguments in a delta."""
    calls = [c.function for c in calls_of(message) if c.function is not None]
    return sum(len(f.arguments) for f in calls if isinstance(f.arguments, str))


def is_empty(answer: WireAnswer) -> bool:
    """Whether a whole answer holds nothing and no reason for it.

    A finish reason with tokens spent is a reason: some models think and then say nothing.
    """
    choices = answer.choices or []
    for choice in choices:
        if shows(choice.message):
            return False
    spent = (answer.usage.completion_tokens or 0) if answer.usage is not None else 0
    finished = any(c.finish_reason for c in choices)
    return not (finished and (spent or any(c.finish_reason not in {"stop", "eos"} for c in choices)))
