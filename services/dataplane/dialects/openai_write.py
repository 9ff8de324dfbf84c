"""Exchange answers in OpenAI's wire format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from services.core.errors import RouterError
from services.dataplane.dialects.openai_errors import error_object_of
from services.dataplane.exchange import (
    ChatAnswer,
    Finished,
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
from services.dataplane.sse import frame
from services.dataplane.translation import Emitted, Evidence, TokenUsage


class OpenAiWriter:
    """Writes one answer.

    Args:
        model: The model that answers, "provider/model".
        created: Seconds since the Unix epoch.
        include_usage: The caller asked for a usage chunk.
    """

    def __init__(self, model: str, created: int, *, include_usage: bool) -> None:
        self._model = model
        self._created = created
        self._include_usage = include_usage
        self._id = ""
        self._started = False
        self._finish = "stop"
        self._usage: TokenUsage | None = None
        self._thought = ""
        self._details = 0

    def answer(self, answer: ChatAnswer, evidence: Evidence) -> bytes:
        body: dict[str, Any] = {
            "id": answer.id or f"chatcmpl-{evidence.generation_id}",
            "object": "chat.completion",
            "created": answer.created or self._created,
            "model": self._model,
            "choices": [
                {"index": 0, "message": _message(answer), "logprobs": None, "finish_reason": answer.finish_reason}
            ],
        }
        if answer.usage is not None:
            body["usage"] = usage_form(answer.usage, evidence.cost_usd)
        body["metadata"] = evidence.metadata
        return msgspec.json.encode(body)

    def carry_on(self, emitted: Emitted) -> None:
        self._started = True
        self._id = emitted.response_id
        self._created = emitted.created or self._created

    def frames(self, events: Sequence[StreamEvent]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if isinstance(event, Started):
                self._id = self._id or event.id
                self._usage = event.usage or self._usage
            elif isinstance(event, Finished):
                self._finish = event.reason
            elif isinstance(event, UsageReported):
                self._usage = event.usage
            else:
                delta = self._delta(event)
                if delta:
                    self._begin(out)
                    out.append(self._chunk([_choice(delta)]))
        return b"".join(out)

    def _begin(self, out: list[bytes]) -> None:
        if not self._started:
            self._started = True
            out.append(self._chunk([_choice({"role": "assistant", "content": ""})]))

    def closing(self, evidence: Evidence) -> bytes:
        out: list[bytes] = []
        self._begin(out)
        usage = usage_form(self._usage, evidence.cost_usd) if self._usage is not None else None
        last = [_choice({}, self._finish)]
        if self._include_usage:
            out.append(self._chunk(last))
            out.append(self._chunk([], usage=usage, metadata=evidence.metadata))
        else:
            out.append(self._chunk(last, usage=usage, metadata=evidence.metadata))
        out.append(frame(b"[DONE]"))
        return b"".join(out)

    def broken(self, error: RouterError, evidence: Evidence) -> bytes:
        return frame(msgspec.json.encode({"error": error_object_of(error), "metadata": evidence.metadata}))

    def _delta(self, event: StreamEvent) -> dict[str, Any]:
        """The delta of a content event; empty when it has none in this format."""
        if isinstance(event, TextDelta):
            return {"content": event.text}
        if isinstance(event, ThinkingDelta):
            return self._thinking(event)
        if isinstance(event, ToolCallStarted):
            function = {"name": event.name, "arguments": ""}
            return {"tool_calls": [{"index": event.index, "id": event.id, "type": "function", "function": function}]}
        if isinstance(event, ToolCallDelta):
            return {"tool_calls": [{"index": event.index, "function": {"arguments": event.arguments}}]}
        return {}

    def _thinking(self, event: ThinkingDelta) -> dict[str, Any]:
        """Reasoning as it comes; its proof, with the whole text once more, when a signature ends it."""
        self._thought += event.text
        delta: dict[str, Any] = {"reasoning_content": event.text} if event.text else {}
        if event.signature or event.redacted:
            whole = Thinking(self._thought, event.signature, event.redacted)
            delta["reasoning_details"] = [_detail(whole, self._details)]
            self._thought = ""
            self._details += 1
        return delta

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        body: dict[str, Any] = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }
        body.update({name: value for name, value in more.items() if value is not None})
        return frame(msgspec.json.encode(body))


def usage_form(usage: TokenUsage, cost_usd: float | None) -> dict[str, Any]:
    """Usage in OpenAI's shape, with its cost where that is known."""
    form: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
    if usage.cache_read_tokens or usage.cache_write_tokens:
        form["prompt_tokens_details"] = {"cached_tokens": usage.cache_read_tokens}
        if usage.cache_write_tokens:
            form["prompt_tokens_details"]["cache_write_tokens"] = usage.cache_write_tokens
    if usage.reasoning_tokens:
        form["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    if cost_usd is not None:
        form["cost"] = cost_usd
    return form


def _message(answer: ChatAnswer) -> dict[str, Any]:
    text = "".join(p.text for p in answer.parts if isinstance(p, Text))
    calls = [p for p in answer.parts if isinstance(p, ToolCall)]
    thought = "".join(p.text for p in answer.parts if isinstance(p, Thinking))
    message: dict[str, Any] = {
        "role": "assistant",
        "content": text if text or not calls else None,
        "refusal": None,
    }
    if thought:
        message["reasoning_content"] = thought
    thoughts = [p for p in answer.parts if isinstance(p, Thinking)]
    if any(p.signature or p.redacted for p in thoughts):
        message["reasoning_details"] = [_detail(p, index) for index, p in enumerate(thoughts)]
    if calls:
        message["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}} for c in calls
        ]
    return message


def _detail(thinking: Thinking, index: int) -> dict[str, Any]:
    """Reasoning with its proof, in OpenRouter's shape; callers who send it back keep the vendor's signature alive."""
    if thinking.redacted:
        return {"type": "reasoning.encrypted", "data": thinking.redacted, "index": index}
    return {"type": "reasoning.text", "text": thinking.text, "signature": thinking.signature, "index": index}


def _choice(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
