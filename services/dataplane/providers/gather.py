"""Stream events as a whole answer, for protocols whose whole answer is one long chunk."""

from __future__ import annotations

from collections.abc import Sequence

from services.core.errors import Failure
from services.core.values import changed
from services.dataplane.exchange import (
    EMPTY,
    AnswerPart,
    Audio,
    AudioDelta,
    ChatAnswer,
    CitationDelta,
    Failed,
    Finished,
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


def gathered(events: Sequence[StreamEvent]) -> ChatAnswer | Failure:
    """The answer that `events` tell, or why it is none. Content without a finish reason is a "stop"."""
    parts: list[AnswerPart] = []
    answer = ChatAnswer("", (), "")
    for event in events:
        if isinstance(event, Failed):
            return event.failure
        if isinstance(event, Started):
            answer = changed(answer, id=event.id, created=event.created, usage=event.usage)
        elif isinstance(event, UsageReported):
            answer = changed(answer, usage=event.usage)
        elif isinstance(event, Finished):
            answer = changed(answer, finish_reason=event.reason, stop_sequence=event.stop_sequence)
        else:
            _add(event, parts)
    spent = answer.usage.output_tokens if answer.usage is not None else 0
    if not parts and (not answer.finish_reason or (answer.finish_reason == "stop" and not spent)):
        return EMPTY
    return changed(answer, parts=tuple(parts), finish_reason=answer.finish_reason or _finish(parts))


def _finish(parts: Sequence[AnswerPart]) -> str:
    return "tool_calls" if any(isinstance(p, ToolCall) for p in parts) else "stop"


def _add(event: StreamEvent, parts: list[AnswerPart]) -> None:
    """Add a content event to the parts; what goes on with the last part becomes one with it."""
    last = parts[-1] if parts else None
    if isinstance(event, TextDelta):
        if isinstance(last, Text):
            parts[-1] = changed(last, text=last.text + event.text, logprobs=last.logprobs + event.logprobs)
        else:
            parts.append(Text(event.text, logprobs=event.logprobs))
    elif isinstance(event, ThinkingDelta):
        if isinstance(last, Thinking) and not (last.signature or last.redacted or event.redacted):
            parts[-1] = changed(last, text=last.text + event.text, signature=event.signature)
        else:
            parts.append(Thinking(event.text, event.signature, event.redacted, event.vendor, event.id))
    elif isinstance(event, ToolCallStarted):
        parts.append(ToolCall(event.id, event.name, "", event.signature))
    elif isinstance(event, ToolCallDelta) and isinstance(last, ToolCall):
        parts[-1] = changed(last, arguments=last.arguments + event.arguments)
    elif isinstance(event, ImageDelta):
        parts.append(event.image)
    elif isinstance(event, AudioDelta):
        parts.append(Audio(event.data, format=event.format, transcript=event.transcript, id=event.id))
    elif isinstance(event, CitationDelta):
        _cite(event, parts)


def _cite(event: CitationDelta, parts: list[AnswerPart]) -> None:
    """Put a citation to the last text; without any text there is nothing that it could belong to."""
    for index in range(len(parts) - 1, -1, -1):
        part = parts[index]
        if isinstance(part, Text):
            parts[index] = changed(part, citations=(*part.citations, event.citation))
            return
