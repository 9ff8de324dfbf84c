"""Exchange answers in Google's wire format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from services.core.errors import RouterError
from services.dataplane.dialects.gemini_errors import error_form
from services.dataplane.dialects.gemini_write_parts import (
    Value,
    audio_parts,
    call_parts,
    grounding,
    image_part,
    logprobs_result,
    signature_part,
    text_part,
    thought_part,
    usage_form,
)
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
from services.dataplane.providers.google_wire import FINISH_WORDS
from services.dataplane.sse import frame
from services.dataplane.translation import Emitted, Evidence, TokenUsage

QUOTES_LOST = "quotes of web sources were dropped: Google's answers name pages, and do not quote them"


class GeminiWriter:
    """Writes one answer: chunks with content, and exactly one last chunk with finish reason, usage and evidence.

    Calls of functions come whole: their arguments are collected until the model has finished.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._id = ""
        self._finish = "STOP"
        self._usage: TokenUsage | None = None
        self._calls: dict[int, tuple[str, str, str, list[str]]] = {}
        self._texts: list[str] = []
        self._citations: list[Citation] = []

    def answer(self, answer: ChatAnswer, evidence: Evidence) -> bytes:
        calls = [part for part in answer.parts if isinstance(part, ToolCall)]
        called = iter(call_parts(calls))
        parts = [p for part in answer.parts for p in ([next(called)] if isinstance(part, ToolCall) else _parts(part))]
        texts = [part for part in answer.parts if isinstance(part, Text)]
        sources = grounding((c for t in texts for c in t.citations), "".join(t.text for t in texts))
        tokens = [token for t in texts for token in t.logprobs]
        candidate: Value = {
            "content": {"parts": parts or [text_part("")], "role": "model"},
            "finishReason": FINISH_WORDS.get(answer.finish_reason, "STOP"),
            "index": 0,
            **({"groundingMetadata": sources} if sources else {}),
            **({"logprobsResult": logprobs_result(tokens)} if tokens else {}),
        }
        body = {
            "candidates": [candidate],
            "usageMetadata": usage_form(answer.usage or TokenUsage(), evidence.cost_usd),
            "modelVersion": self._model,
            "responseId": answer.id or evidence.generation_id,
            "metadata": evidence.metadata,
        }
        return msgspec.json.encode(body)

    def loss(self, item: AnswerPart | StreamEvent) -> str:
        cited = [item.citation] if isinstance(item, CitationDelta) else []
        cited += item.citations if isinstance(item, Text) else ()
        return QUOTES_LOST if any(c.quote and c.url and c.document is None for c in cited) else ""

    def carry_on(self, emitted: Emitted) -> None:
        self._id = emitted.response_id
        self._texts = [emitted.text]

    def frames(self, events: Sequence[StreamEvent]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if isinstance(event, Started):
                self._id = self._id or event.id
                self._usage = event.usage or self._usage
            elif isinstance(event, UsageReported):
                self._usage = event.usage
            elif isinstance(event, ToolCallStarted):
                self._calls[event.index] = (event.id, event.name, event.signature, [])
            elif isinstance(event, ToolCallDelta):
                if event.index in self._calls:
                    self._calls[event.index][3].append(event.arguments)
            elif isinstance(event, CitationDelta):
                self._citations.append(event.citation)
            elif isinstance(event, Finished):
                self._finish = FINISH_WORDS.get(event.reason, "STOP")
                called = self._called()
                out += [self._chunk(called)] if called else []
            else:
                out += self._content(event)
        return b"".join(out)

    def _content(self, event: StreamEvent) -> list[bytes]:
        if isinstance(event, TextDelta):
            self._texts.append(event.text)
            more = {"logprobsResult": logprobs_result(event.logprobs)} if event.logprobs else {}
            return [self._chunk([text_part(event.text)], more)]
        if isinstance(event, ThinkingDelta):
            thought = Thinking(event.text, event.signature, event.redacted, event.vendor, event.id)
            return [self._chunk([part]) for part in _thought(thought)]
        if isinstance(event, ImageDelta):
            return [self._chunk([image_part(event.image)])]
        if isinstance(event, AudioDelta):
            parts = audio_parts(Audio(event.data, format=event.format, transcript=event.transcript))
            return [self._chunk(parts)] if parts else []
        return []

    def _called(self) -> list[Value]:
        """The calls that are whole and not shown yet."""
        calls = [ToolCall(own, name, "".join(pieces), sign) for own, name, sign, pieces in self._calls.values()]
        self._calls = {}
        return call_parts(calls)

    def _chunk(self, parts: list[Value], more: Value | None = None) -> bytes:
        candidate = {"content": {"parts": parts, "role": "model"}, "index": 0, **(more or {})}
        return frame(msgspec.json.encode({"candidates": [candidate], **self._head()}))

    def _head(self) -> Value:
        return {"modelVersion": self._model, **({"responseId": self._id} if self._id else {})}

    def closing(self, evidence: Evidence) -> bytes:
        self._id = self._id or evidence.generation_id
        sources = grounding(self._citations, "".join(self._texts))
        # An empty text, because callers add up the texts of all chunks.
        candidate: Value = {
            "content": {"parts": [*self._called(), text_part("")], "role": "model"},
            "finishReason": self._finish,
            "index": 0,
            **({"groundingMetadata": sources} if sources else {}),
        }
        usage = usage_form(self._usage or TokenUsage(), evidence.cost_usd)
        last: dict[str, Any] = {"candidates": [candidate], "usageMetadata": usage, **self._head()}
        return frame(msgspec.json.encode({**last, "metadata": evidence.metadata}))

    def broken(self, error: RouterError, evidence: Evidence) -> bytes:
        return frame(msgspec.json.encode(error_form(error, evidence)))


def _parts(part: AnswerPart) -> list[Value]:
    if isinstance(part, Text):
        return [text_part(part.text)] if part.text else []
    if isinstance(part, Thinking):
        return _thought(part)
    if isinstance(part, Image):
        return [image_part(part)]
    return audio_parts(part) if isinstance(part, Audio) else []


def _thought(thought: Thinking) -> list[Value]:
    """Reasoning; Google's own proof without a text belongs to the text before it."""
    if thought.vendor == "google" and not thought.text:
        return [signature_part(thought)] if thought.signature else []
    return [thought_part(thought)] if thought.text or thought.signature or thought.redacted else []
