"""The exchange model: a chat request and its answer between dialects and provider codecs.

Used only where the caller's dialect and the provider's protocol differ (and
for the typed gRPC API); where they are the same, bytes pass through. Dialects
(`dialects/`) turn bytes into `ChatRequest` and answers into bytes; codecs
(`providers/`) turn `ChatRequest` into a provider's body and its answer into
`ChatAnswer` or stream events. Neither knows the other.

What has no translation is dropped with a line in `ChatRequest.warnings` when
the answer stays true without it, and refused (`Untranslatable`) when it does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.errors import Failure, FailureKind
from services.core.pricing import TokenUsage
from services.core.values import Value

TRUNCATED = Failure(FailureKind.STREAM_TRUNCATED, "the stream ended without its terminal event")
EMPTY = Failure(FailureKind.EMPTY_ANSWER, "the provider's answer holds nothing, and no reason for it")


class Citation(Value, frozen=True):
    """Where a piece of an answer comes from; empty or None: not said.

    Attributes:
        url: Address of a page; empty for a document of the request.
        title: Title of the page or document.
        quote: The words of the source.
        start: First character of the answer's text that it belongs to, from 0.
        end: The one behind the last.
        document: Index of the document in the request, from 0; None: it is a page.
        place: Where in the document: what is counted ("char" from 0, "page" from 1, "block" from 0), the first of
            them, the one behind the last.
    """

    url: str = ""
    title: str = ""
    quote: str = ""
    start: int | None = None
    end: int | None = None
    document: int | None = None
    place: tuple[str, int, int] | None = None


class Text(Value, frozen=True):
    """Text; `cache_control` as Anthropic spells it, None: none. Citations and log probabilities only in answers.

    Attributes:
        logprobs: OpenAI's list of token objects: token, logprob, bytes, top_logprobs.
    """

    text: str
    cache_control: Mapping[str, Any] | None = None
    citations: tuple[Citation, ...] = ()
    logprobs: tuple[Mapping[str, Any], ...] = ()


class Image(Value, frozen=True):
    """An image, by address or by value (exactly one of `url` and `data`).

    Attributes:
        data: Base64 text, as both protocols carry it.
        media_type: Such as "image/png"; with `data` only.
        detail: OpenAI's auto, low or high; empty: not said.
    """

    url: str = ""
    data: str = ""
    media_type: str = ""
    detail: str = ""
    cache_control: Mapping[str, Any] | None = None


class Audio(Value, frozen=True):
    """Sound. Of a request by value or address, of an answer by value.

    Attributes:
        data: Base64 text.
        format: Such as "wav", "mp3", "pcm16"; the part behind "audio/" of its media type.
        transcript: What is said in it; answers only.
        id: By which a later request may name it; answers only.
    """

    data: str = ""
    url: str = ""
    format: str = ""
    transcript: str = ""
    id: str = ""


class Video(Value, frozen=True):
    """A moving picture, by address or by value (exactly one of `url` and `data`)."""

    url: str = ""
    data: str = ""
    media_type: str = ""


class File(Value, frozen=True):
    """A document: by address, by value, as plain text, or by the id that the provider gave it (exactly one).

    Attributes:
        data: Base64 text.
        text: The document itself, when it is plain text.
        media_type: Such as "application/pdf"; with `data`, `text` and, where it is known, `url`. A `file_id` with
            "image/*" is a picture.
        context: What the caller says about it, beside the document.
        citations: The answer shall cite it.
    """

    url: str = ""
    data: str = ""
    text: str = ""
    file_id: str = ""
    media_type: str = ""
    name: str = ""
    context: str = ""
    citations: bool = False
    cache_control: Mapping[str, Any] | None = None


class Thinking(Value, frozen=True):
    """Reasoning of an earlier turn. `signature` proves it to the vendor that made it; `redacted` is its opaque form.

    Attributes:
        vendor: Who can read the proof: "anthropic", "openai", "google", or "responses" for whoever else speaks
            OpenAI's Responses; empty: not known. Another vendor gets the text alone, or nothing.
        id: By which the vendor knows it (OpenAI's reasoning items); empty: none.
    """

    text: str = ""
    signature: str = ""
    redacted: str = ""
    vendor: str = ""
    id: str = ""


class ToolCall(Value, frozen=True):
    """A call that the model made. `arguments` is JSON text as the model wrote it.

    Attributes:
        signature: Google's proof of the reasoning before the call; empty: none.
    """

    id: str
    name: str
    arguments: str
    signature: str = ""


class ToolResult(Value, frozen=True):
    """The answer to a tool call."""

    call_id: str
    content: tuple[Text | Image | Audio | Video | File, ...]
    is_error: bool = False
    cache_control: Mapping[str, Any] | None = None


Part = Text | Image | Audio | Video | File | Thinking | ToolCall | ToolResult


class Message(Value, frozen=True):
    """One message: role system, developer, user or assistant; tool results are parts of user messages."""

    role: str
    parts: tuple[Part, ...]
    name: str = ""


class Tool(Value, frozen=True):
    """A function tool. `parameters` is its JSON schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] | None = None
    strict: bool | None = None
    cache_control: Mapping[str, Any] | None = None


class ChatRequest(Value, frozen=True):
    """A chat request. None or empty: the caller did not say.

    Attributes:
        tool_choice: "auto", "none", "required", or "tool:<name>"; empty: not said.
        response_format: OpenAI's `response_format` object.
        reasoning_effort: none, minimal, low, medium, high, xhigh.
        reasoning_budget: Reasoning tokens (Anthropic's `thinking.budget_tokens`).
        shows_reasoning: The caller wants reasoning (or its summary) in the answer; None: not said.
        verbosity: low, medium, high.
        logprobs: Log probabilities of the answer's tokens are wanted.
        top_logprobs: And of this many others at each place.
        logit_bias: By token id of the model's own vocabulary.
        web_search: The model shall search the web; what is in the mapping is of Inworld's and OpenAI's words:
            max_results, max_uses, allowed_domains, blocked_domains (lists), search_context_size (low, medium, high),
            user_location (any of city, region, country, timezone). Empty: nothing more was said.
        modalities: Kinds of answer wanted, such as ("text", "image"); empty: text.
        service_tier: As OpenAI spells it.
        cache_key: Requests with an equal one should meet the same prompt cache.
        metadata: Text by key for the provider's own bookkeeping.
        warnings: What was dropped on the way, one sentence each.
    """

    messages: tuple[Message, ...]
    stream: bool = False
    tools: tuple[Tool, ...] = ()
    tool_choice: str = ""
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    response_format: Mapping[str, Any] | None = None
    reasoning_effort: str = ""
    reasoning_budget: int | None = None
    shows_reasoning: bool | None = None
    verbosity: str = ""
    logprobs: bool = False
    top_logprobs: int | None = None
    logit_bias: Mapping[str, float] | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    web_search: Mapping[str, Any] | None = None
    modalities: tuple[str, ...] = ()
    service_tier: str = ""
    cache_key: str = ""
    metadata: Mapping[str, str] | None = None
    user: str = ""
    warnings: tuple[str, ...] = ()


AnswerPart = Text | Thinking | ToolCall | Image | Audio


class ChatAnswer(Value, frozen=True):
    """A whole answer. `finish_reason` in OpenAI's words: stop, length, tool_calls, content_filter.

    A refusal is text with the reason content_filter, however the provider spells it.

    Attributes:
        warnings: What of it has no place here and was dropped, one sentence each.
    """

    id: str
    parts: tuple[AnswerPart, ...]
    finish_reason: str
    usage: TokenUsage | None = None
    created: int = 0
    stop_sequence: str = ""
    warnings: tuple[str, ...] = ()
    native_finish_reason: str = ""
    """In the provider's own words; empty: those of `finish_reason` are."""


class Started(Value, frozen=True):
    """The answer begins. `created`: its own time stamp, seconds since the Unix epoch; 0: none."""

    id: str = ""
    usage: TokenUsage | None = None
    created: int = 0


class TextDelta(Value, frozen=True):
    """More text; `logprobs` as in `Text`."""

    text: str
    logprobs: tuple[Mapping[str, Any], ...] = ()


class CitationDelta(Value, frozen=True):
    """A source of the text so far."""

    citation: Citation


class ImageDelta(Value, frozen=True):
    """A whole picture that the model made."""

    image: Image


class AudioDelta(Value, frozen=True):
    """More sound that the model made: any of base64 data, transcript, id; `format` as in `Audio`."""

    data: str = ""
    transcript: str = ""
    id: str = ""
    format: str = ""


class ThinkingDelta(Value, frozen=True):
    """More reasoning, or its signature; `vendor` and `id` as in `Thinking`."""

    text: str = ""
    signature: str = ""
    redacted: str = ""
    vendor: str = ""
    id: str = ""


class ToolCallStarted(Value, frozen=True):
    """Tool call `index` (from 0, rising) begins."""

    index: int
    id: str
    name: str
    signature: str = ""


class ToolCallDelta(Value, frozen=True):
    """More of the arguments of tool call `index`."""

    index: int
    arguments: str


class Finished(Value, frozen=True):
    """The model stopped, in OpenAI's words; `native`: in the provider's own, empty: they are the same."""

    reason: str
    stop_sequence: str = ""
    native: str = ""


class UsageReported(Value, frozen=True):
    """Tokens so far; the last one counts."""

    usage: TokenUsage


class Dropped(Value, frozen=True):
    """A piece of the answer has no place here; `told` is a sentence for the caller. Writers never see it."""

    told: str


class Terminal(Value, frozen=True):
    """The protocol's terminal event: the stream is whole."""


class Failed(Value, frozen=True):
    """The provider reported an error inside the stream, or broke its protocol."""

    failure: Failure


StreamEvent = (
    Started
    | TextDelta
    | CitationDelta
    | ImageDelta
    | AudioDelta
    | ThinkingDelta
    | ToolCallStarted
    | ToolCallDelta
    | Finished
    | UsageReported
    | Dropped
    | Terminal
    | Failed
)
