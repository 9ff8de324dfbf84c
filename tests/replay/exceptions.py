"""Recorded successes that do not read the same through the router, one by one, and why.

The table is exact: an exchange that is not in it must read the same, one that is must
not. `kind` is the failure that the router finds; None: it serves an answer, which
differs as `reason` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.core.errors import FailureKind

_K = FailureKind


@dataclass(frozen=True, slots=True)
class Unequal:
    """One exchange that does not read the same.

    Attributes:
        crossing_only: True: the same dialect reads it the same.
        answer: True: it is one whole answer of a provider; else the recording itself is to blame.
    """

    kind: FailureKind | None
    reason: str
    crossing_only: bool = False
    answer: bool = False


_CUT = "made from a recording: the stream is cut off; the router says so, where a client by itself sees a clean end"
_ERROR = "made from a recording: the stream ends in an error"
_TOOLS = "the stream ends as an error: the model wrote an impossible tool call"
_BLOCKED = "the prompt was blocked: a refusal, and no answer"
_SILENT = "the model stopped at once and said nothing"
_FAILED = "no answer, but the model's own failure inside a success"
_MALFORMED = "made to be no answer"
_TURNS = "the file holds the streams of several turns; the router ends with the first one's terminal event"
_IN_STREAM = "an error inside a stream"
_BACKGROUND = "the answer is made in the background, to be fetched later; only callers of the same API can do that"
_TRIMMED = "cut by hand: the deltas say less than the last event; callers of the same API get both, others the deltas"

UNEQUAL: Mapping[str, Unequal] = {
    "anthropic-messages-810b68d0b75d": Unequal(_K.OVERLOADED, _ERROR),
    "anthropic-messages-c072f7bc6c79": Unequal(_K.STREAM_TRUNCATED, _CUT),
    "azure-chat.completions-9bda7d0ed8af": Unequal(_K.CONTENT_REFUSED, _ERROR),
    "deepseek-chat.completions-1b4c7e99f9aa": Unequal(_K.STREAM_ERROR, _ERROR),
    "groq-chat.completions-a250a34bdc7c": Unequal(_K.STREAM_TRUNCATED, _CUT),
    "mistral-chat.completions-c11e8610cf8a": Unequal(_K.STREAM_TRUNCATED, _CUT),
    "openai-chat.completions-0b4187f5a871": Unequal(_K.SERVER_ERROR, _ERROR),
    "openrouter-chat.completions-0310e597ea3d": Unequal(_K.SERVER_ERROR, _ERROR),
    "gemini-generateContent-131e02c669e8": Unequal(_K.CONTENT_REFUSED, _BLOCKED),
    "gemini-generateContent-24cf574e6fb2": Unequal(_K.EMPTY_ANSWER, _SILENT),
    "gemini-generateContent-25b0011ea694": Unequal(_K.SERVER_ERROR, _FAILED),
    "gemini-generateContent-96e706e036a9": Unequal(_K.EMPTY_ANSWER, _SILENT),
    "gemini-streamGenerateContent-68ff02304fde": Unequal(_K.OVERLOADED, _ERROR),
    "gemini-streamGenerateContent-9ac9de3e1aa3": Unequal(_K.CONTENT_REFUSED, _BLOCKED),
    "vertex-generateContent-1025ef587824": Unequal(_K.CONTENT_REFUSED, _BLOCKED),
    "vertex-generateContent-3ff70d498a08": Unequal(
        _K.SERVER_ERROR, "the model called a tool that the request does not have"
    ),
    "vertex-generateContent-427190eb0360": Unequal(_K.EMPTY_ANSWER, _MALFORMED),
    "vertex-generateContent-59d1b7e5cefe": Unequal(_K.BAD_RESPONSE, _MALFORMED),
    "vertex-generateContent-67c6f80124c3": Unequal(_K.CONTENT_REFUSED, _BLOCKED),
    "vertex-generateContent-bb3cb008505c": Unequal(_K.CONTENT_REFUSED, _BLOCKED),
    "vertex-streamGenerateContent-025a542212a1": Unequal(_K.SERVER_ERROR, _ERROR),
    "vertex-streamGenerateContent-0fc1aca6f74d": Unequal(_K.CONTENT_REFUSED, _BLOCKED),
    "vertex-streamGenerateContent-29449d27c670": Unequal(_K.STREAM_TRUNCATED, _MALFORMED),
    "vertex-streamGenerateContent-36d4e472f926": Unequal(
        _K.STREAM_TRUNCATED, "made to hold nothing: no content and no finish reason"
    ),
    "vertex-streamGenerateContent-370d109362af": Unequal(_K.BAD_RESPONSE, _MALFORMED),
    "anthropic-messages-14e1e89f9395": Unequal(
        _K.BAD_RESPONSE, "a second message begins amid the blocks of the first; a client adds both up to nonsense"
    ),
    "anthropic-messages-ac692528ef2a": Unequal(None, _TURNS),
    "anthropic-messages-b21c2b0f2eaa": Unequal(None, _TURNS),
    "anthropic-messages-d49221850a3b": Unequal(None, _TURNS),
    "azure-chat.completions-06ba54733e09": Unequal(
        _K.CONTENT_REFUSED, "an error inside a 200: the prompt was filtered"
    ),
    "bedrock-converse-01d8e9ca62ba": Unequal(
        _K.EMPTY_ANSWER, "the recording holds an empty text and no usage: an answer that says nothing"
    ),
    "bedrock-converse-e4f6313c1559": Unequal(
        None, "made for another project's tests: blocks that botocore itself cannot read; the router leaves them out"
    ),
    "bedrock-converse-stream-30bc1b4883b6": Unequal(_K.STREAM_TRUNCATED, _CUT),
    "bedrock-converse-stream-d631c29888e7": Unequal(_K.SERVER_ERROR, _ERROR),
    "bedrock-converse-stream-f45cfb4926b2": Unequal(_K.RATE_LIMITED, _ERROR),
    "cerebras-chat.completions-e72ad8549e85": Unequal(
        None,
        "the file holds two streams, each with a call of index 0; a client of the same dialect joins their arguments, "
        "crossing keeps the calls apart by their ids",
        crossing_only=True,
    ),
    "cohere-chat-4d37f999e72c": Unequal(_K.SERVER_ERROR, _TOOLS),
    "cohere-chat-a035ca8b7f52": Unequal(_K.SERVER_ERROR, _TOOLS),
    "groq-chat.completions-2867ef038700": Unequal(
        _K.SERVER_ERROR, "an error inside a stream: a tool was required, but the model called none"
    ),
    "local-openai-chat.completions-32fc65e5901c": Unequal(
        _K.STREAM_TRUNCATED, "the server broke off with a line that is no event (`error: …`); clients see a clean end"
    ),
    "openrouter-chat.completions-5fb7487497e8": Unequal(
        _K.INVALID_REQUEST, "an error inside a stream: the token limit was reached while reasoning"
    ),
    "openrouter-chat.completions-c8bcabfa4f6e": Unequal(
        None,
        "the provider counts 2161 of 2168 input tokens twice, as written to a cache and as read from it; "
        "Anthropic's usage adds the classes up",
        crossing_only=True,
        answer=True,
    ),
    "azure-responses-e1e0b4ee7d8a": Unequal(None, _TURNS),
    "openai-responses-164c503ef7d6": Unequal(None, _TURNS),
    "openai-responses-33ac6f52ee83": Unequal(None, _TURNS),
    "openai-responses-30c9238f7b58": Unequal(_K.QUOTA_EXHAUSTED, _IN_STREAM),
    "openai-responses-af0cf428fdbe": Unequal(_K.RATE_LIMITED, _IN_STREAM),
    "openai-responses-3a6bf241f4e6": Unequal(_K.OVERLOADED, _ERROR),
    "openai-responses-80b470dac478": Unequal(
        None, "the file lacks its last blank line: the SDK never sees the terminal event, the router does"
    ),
    "openai-responses-289bad87fc52": Unequal(None, _TRIMMED, crossing_only=True),
    "openai-responses-2967cb331fc8": Unequal(None, _TRIMMED, crossing_only=True),
    "openai-responses-2c206e5ee80b": Unequal(_K.BAD_RESPONSE, _BACKGROUND, crossing_only=True, answer=True),
    "openai-responses-a15e27f006a3": Unequal(_K.BAD_RESPONSE, _BACKGROUND, crossing_only=True, answer=True),
    "openai-responses-a18b521d6e86": Unequal(
        _K.EMPTY_ANSWER,
        "the answer is one patch to apply, by a tool that only this API has, and counts no tokens",
        crossing_only=True,
        answer=True,
    ),
}
