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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from services.core.errors import Failure, FailureKind, RouterError
from services.core.policy.snapshot import Target
from services.dataplane.translation import Emitted, Evidence, TokenUsage

TRUNCATED = Failure(FailureKind.STREAM_TRUNCATED, "the stream ended without its terminal event")
EMPTY = Failure(FailureKind.EMPTY_ANSWER, "the provider's answer holds nothing, and no reason for it")


@dataclass(frozen=True, slots=True)
class Text:
    """Text; `cache_control` as Anthropic spells it, None: none."""

    text: str
    cache_control: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Image:
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


@dataclass(frozen=True, slots=True)
class Thinking:
    """Reasoning of an earlier turn. `signature` proves it to the vendor that made it; `redacted` is its opaque form."""

    text: str = ""
    signature: str = ""
    redacted: str = ""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model made. `arguments` is JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The answer to a tool call."""

    call_id: str
    content: tuple[Text | Image, ...]
    is_error: bool = False
    cache_control: Mapping[str, Any] | None = None


Part = Text | Image | Thinking | ToolCall | ToolResult


@dataclass(frozen=True, slots=True)
class Message:
    """One message: role system, developer, user or assistant; tool results are parts of user messages."""

    role: str
    parts: tuple[Part, ...]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function tool. `parameters` is its JSON schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] | None = None
    strict: bool | None = None
    cache_control: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A chat request. None or empty: the caller did not say.

    Attributes:
        tool_choice: "auto", "none", "required", or "tool:<name>"; empty: not said.
        response_format: OpenAI's `response_format` object.
        reasoning_effort: none, minimal, low, medium, high, xhigh.
        reasoning_budget: Reasoning tokens (Anthropic's `thinking.budget_tokens`).
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
    user: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatAnswer:
    """A whole answer. `finish_reason` in OpenAI's words: stop, length, tool_calls, content_filter.

    A refusal is text with the reason content_filter, however the provider spells it.
    """

    id: str
    parts: tuple[Text | Thinking | ToolCall, ...]
    finish_reason: str
    usage: TokenUsage | None = None
    created: int = 0
    stop_sequence: str = ""


@dataclass(frozen=True, slots=True)
class Started:
    """The answer begins. `created`: its own time stamp, seconds since the Unix epoch; 0: none."""

    id: str = ""
    usage: TokenUsage | None = None
    created: int = 0


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """More reasoning, or its signature."""

    text: str = ""
    signature: str = ""
    redacted: str = ""


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """Tool call `index` (from 0, rising) begins."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """More of the arguments of tool call `index`."""

    index: int
    arguments: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The model stopped, in OpenAI's words."""

    reason: str
    stop_sequence: str = ""


@dataclass(frozen=True, slots=True)
class UsageReported:
    """Tokens so far; the last one counts."""

    usage: TokenUsage


@dataclass(frozen=True, slots=True)
class Terminal:
    """The protocol's terminal event: the stream is whole."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The provider reported an error inside the stream, or broke its protocol."""

    failure: Failure


StreamEvent = (
    Started | TextDelta | ThinkingDelta | ToolCallStarted | ToolCallDelta | Finished | UsageReported | Terminal | Failed
)


class StreamDecoder(Protocol):
    """Decodes one provider stream. Bytes may be cut anywhere."""

    def feed(self, data: bytes) -> Sequence[StreamEvent]:
        """Events that `data` completed; nothing after Terminal or Failed."""

    def end(self) -> Sequence[StreamEvent]:
        """The upstream closed cleanly; without a terminal event: Failed(STREAM_TRUNCATED)."""


class ProviderCodec(Protocol):
    """One provider protocol. Stateless; one instance per process and provider type."""

    types: tuple[str, ...]
    """Provider types of policy that speak this protocol."""

    api: str
    """The inbound API that is the same protocol: its bytes may pass through."""

    finish_ends: bool
    """A stream may end with its finish reason; the terminal event behind it may be missing."""

    def endpoint(self, target: Target) -> str:
        """The URL that requests go to."""

    def headers(self, target: Target, credential: str, inbound: Mapping[str, str]) -> dict[str, str]:
        """Headers of a request: content type, authentication, the provider's own, the inbound ones that pass."""

    def encode(self, request: ChatRequest, target: Target) -> tuple[bytes, list[str]]:
        """Body of a request, and what was dropped on the way.

        Raises:
            Untranslatable: The provider cannot take this request.
        """

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        """Classify an answer whose status is not a success, by status and code fields, or a whole known sentence."""

    def decode(self, body: bytes) -> ChatAnswer | Failure:
        """Read a whole answer."""

    def decoder(self) -> StreamDecoder:
        """A decoder for one stream."""


class AnswerWriter(Protocol):
    """Writes one answer in a caller's dialect. One per attempt."""

    def answer(self, answer: ChatAnswer, evidence: Evidence) -> bytes:
        """The body of a whole answer."""

    def frames(self, events: Sequence[StreamEvent]) -> bytes:
        """Frames for these events; Finished, UsageReported and Terminal are kept for `closing`."""

    def carry_on(self, emitted: Emitted) -> None:
        """Go on behind what the caller has of another answer: its id, no second start."""

    def closing(self, evidence: Evidence) -> bytes:
        """The last frames of a stream that succeeded."""

    def broken(self, error: RouterError, evidence: Evidence) -> bytes:
        """The in-band error of a stream that broke after its commit."""
