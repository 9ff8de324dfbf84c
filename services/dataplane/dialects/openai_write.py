"""Exchange answers in OpenAI's wire format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from services.core.errors import RouterError
from services.dataplane.dialects.openai_style import OPENAI, OpenAiStyle
from services.dataplane.dialects.openai_write_parts import (
    annotation,
    call_extra,
    details,
    logprobs_form,
    picture,
    sound,
)
from services.dataplane.dialects.responses_form import tier_form
from services.dataplane.exchange import (
    AnswerPart,
    Audio,
    AudioDelta,
    ChatAnswer,
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
from services.dataplane.sse import frame
from services.dataplane.translation import Emitted, Evidence, Facts, TokenUsage


class OpenAiWriter:
    """Writes one answer.

    Args:
        model: The model that answers, "provider/model".
        created: Seconds since the Unix epoch.
        include_usage: The caller asked for a usage chunk.
        functions: The caller uses the form before tools: `function_call`, which has room for one call.
        style: What differs from OpenAI's own way.
    """

    def __init__(
        self,
        model: str,
        created: int,
        *,
        include_usage: bool,
        functions: bool = False,
        style: OpenAiStyle = OPENAI,
    ) -> None:
        self._style = style
        self._native = ""
        self._model = model
        self._created = created
        self._include_usage = include_usage
        self._functions = functions
        self._id = ""
        self._started = False
        self._finish = "stop"
        self._usage: TokenUsage | None = None
        self._thought = ""
        self._details = 0
        self._pictures = 0

    def answer(self, answer: ChatAnswer, evidence: Evidence) -> bytes:
        body: dict[str, Any] = {
            "id": answer.id or f"chatcmpl-{evidence.generation_id}",
            "object": "chat.completion",
            "created": answer.created or self._created,
            "model": self._model,
            "choices": [self._whole(answer)],
        }
        body |= self._style.body()
        if answer.usage is not None:
            body["usage"] = usage_form(answer.usage) | self._style.usage(evidence.cost_usd)
            body |= tier_form(answer.usage)
        return self._style.chunk(msgspec.json.encode(body | self._style.evidence(evidence)))

    def _whole(self, answer: ChatAnswer) -> dict[str, Any]:
        message = _message(answer)
        if self._functions and "tool_calls" in message:
            message["function_call"] = message.pop("tool_calls")[0]["function"]
        self._style.message(message)
        choice = {
            "index": 0,
            "message": message,
            "logprobs": logprobs_form(token for p in answer.parts if isinstance(p, Text) for token in p.logprobs),
            "finish_reason": self._reason(answer.finish_reason),
        }
        self._style.finish(choice, answer.native_finish_reason)
        return choice

    def _reason(self, finish: str) -> str:
        return "function_call" if self._functions and finish == "tool_calls" else finish

    def loss(self, item: AnswerPart | StreamEvent) -> str:
        if self._functions and isinstance(item, ToolCallStarted) and item.index:
            return "a second function call was dropped: the form before tools has room for one"
        return ""

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
                self._finish, self._native = event.reason, event.native
            elif isinstance(event, UsageReported):
                self._usage = event.usage
            else:
                delta = self._delta(event)
                if delta:
                    self._begin(out)
                    logprobs = logprobs_form(event.logprobs) if isinstance(event, TextDelta) else None
                    out.append(self._chunk([_choice(delta, logprobs=logprobs)]))
        return b"".join(out)

    def _begin(self, out: list[bytes]) -> None:
        if not self._started:
            self._started = True
            out.append(self._chunk([_choice({"role": "assistant", "content": ""})]))

    def closing(self, evidence: Evidence) -> bytes:
        out: list[bytes] = []
        self._begin(out)
        usage = None
        if self._usage is not None:
            usage = usage_form(self._usage) | self._style.usage(evidence.cost_usd)
        last = [_choice({}, self._reason(self._finish))]
        self._style.finish(last[0], self._native)
        shown = self._style.evidence(evidence) | tier_form(self._usage)
        if self._include_usage:
            out.append(self._chunk(last))
            out.append(self._chunk([], usage=usage, **shown))
        else:
            out.append(self._chunk(last, usage=usage, **shown))
        out.append(frame(b"[DONE]"))
        return b"".join(out)

    def broken(self, error: RouterError, evidence: Evidence) -> bytes:
        return frame(self._style.broken(error, evidence, Facts(response_id=self._id, created=self._created)))

    def _delta(self, event: StreamEvent) -> dict[str, Any]:
        """The delta of a content event; empty when it has none in this format."""
        if isinstance(event, TextDelta):
            return {"content": event.text}
        if isinstance(event, ThinkingDelta):
            return self._thinking(event)
        if isinstance(event, (ToolCallStarted, ToolCallDelta)):
            return self._call(event)
        if isinstance(event, CitationDelta):
            return {"annotations": [annotation(event.citation)]}
        if isinstance(event, ImageDelta):
            self._pictures += 1
            return {"images": [picture(event.image, self._pictures - 1)]}
        if isinstance(event, AudioDelta):
            told = {"id": event.id, "data": event.data, "transcript": event.transcript}
            return {"audio": {name: value for name, value in told.items() if value}}
        return {}

    def _call(self, event: ToolCallStarted | ToolCallDelta) -> dict[str, Any]:
        function: dict[str, Any]
        if isinstance(event, ToolCallDelta):
            function = {"arguments": event.arguments}
            call: dict[str, Any] = {"index": event.index, "function": function}
        else:
            function = {"name": event.name, "arguments": ""}
            call = {"index": event.index, "id": event.id, "type": "function", "function": function}
            call |= call_extra(event.signature)
        if self._functions:
            return {"function_call": function} if event.index == 0 else {}
        return {"tool_calls": [call]}

    def _thinking(self, event: ThinkingDelta) -> dict[str, Any]:
        """Reasoning as it comes; its proof, with the whole text once more, when a signature ends it."""
        self._thought += event.text
        delta: dict[str, Any] = {"reasoning_content": event.text} if event.text else {}
        self._style.message(delta)
        if event.signature or event.redacted:
            whole = Thinking(self._thought, event.signature, event.redacted, event.vendor, event.id)
            delta["reasoning_details"] = details(whole, self._details)
            self._thought = ""
            self._details += len(delta["reasoning_details"])
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
        return frame(self._style.chunk(msgspec.json.encode(body)))


def usage_form(usage: TokenUsage) -> dict[str, Any]:
    """Usage in OpenAI's shape."""
    form: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
    if usage.cache_read_tokens or usage.cache_write_tokens:
        form["prompt_tokens_details"] = {"cached_tokens": usage.cache_read_tokens}
        if usage.cache_write_tokens:
            form["prompt_tokens_details"]["cache_write_tokens"] = usage.cache_write_tokens
    if usage.input_audio_tokens:
        form.setdefault("prompt_tokens_details", {})["audio_tokens"] = usage.input_audio_tokens
    after = {"reasoning_tokens": usage.reasoning_tokens, "audio_tokens": usage.output_audio_tokens}
    if any(after.values()):
        form["completion_tokens_details"] = {name: count for name, count in after.items() if count}
    if usage.searches:
        form["server_tool_use"] = {"web_search_requests": usage.searches}
    return form


def _message(answer: ChatAnswer) -> dict[str, Any]:
    texts = [p for p in answer.parts if isinstance(p, Text)]
    text = "".join(p.text for p in texts)
    calls = [p for p in answer.parts if isinstance(p, ToolCall)]
    message: dict[str, Any] = {
        "role": "assistant",
        "content": text if text or not calls else None,
        "refusal": None,
    }
    message |= _thoughts([p for p in answer.parts if isinstance(p, Thinking)])
    found: dict[str, list[Any]] = {
        "annotations": [annotation(c) for p in texts for c in p.citations],
        "images": [picture(p, i) for i, p in enumerate(p for p in answer.parts if isinstance(p, Image))],
        "tool_calls": [_call(c) for c in calls],
    }
    message |= {name: items for name, items in found.items() if items}
    sounds = [p for p in answer.parts if isinstance(p, Audio)]
    if sounds:
        message["audio"] = sound(sounds, f"audio_{answer.id}")
    return message


def _thoughts(thoughts: list[Thinking]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    text = "".join(p.text for p in thoughts)
    if text:
        found["reasoning_content"] = text
    if any(p.signature or p.redacted for p in thoughts):
        told: list[dict[str, Any]] = []
        for thought in thoughts:
            told += details(thought, len(told))
        found["reasoning_details"] = told
    return found


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function, **call_extra(call.signature)}


def _choice(delta: dict[str, Any], finish: str | None = None, logprobs: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
