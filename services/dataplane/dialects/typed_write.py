"""Exchange answers as messages of the typed API.

A stream's frames are ChatEvents, each after its length; `split_events` takes them apart again.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from turnout.inference.v1 import chat_pb2

from services.core.errors import RouterError
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
)
from services.dataplane.translation import Emitted, Evidence


class TypedWriter:
    """Writes one answer as messages; the record is filled in by the service, once the request has ended."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._id = ""
        self._finish = "stop"

    def answer(self, answer: ChatAnswer, evidence: Evidence) -> bytes:
        message = chat_pb2.Message(role="assistant")
        thoughts = [p for p in answer.parts if isinstance(p, Thinking)]
        for part in answer.parts:
            if isinstance(part, ToolCall):
                message.tool_calls.add(id=part.id, name=part.name, arguments=part.arguments, signature=part.signature)
            elif not isinstance(part, Thinking):
                message.parts.append(_part(part))
        response = chat_pb2.ChatResponse(
            id=answer.id or evidence.generation_id,
            model=self._model,
            message=message,
            reasoning="".join(p.text for p in thoughts),
            finish_reason=answer.finish_reason,
            thinking=[_thinking(p) for p in thoughts if p.signature or p.redacted],
        )
        return response.SerializeToString()

    def loss(self, item: AnswerPart | StreamEvent) -> str:
        del item
        return ""

    def carry_on(self, emitted: Emitted) -> None:
        self._id = emitted.response_id

    def frames(self, events: Sequence[StreamEvent]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if isinstance(event, Started):
                self._id = self._id or event.id
            elif isinstance(event, Finished):
                self._finish = event.reason
            else:
                out.extend(_framed(told) for told in _told(event))
        return b"".join(out)

    def closing(self, evidence: Evidence) -> bytes:
        end = chat_pb2.ChatEnd(id=self._id or evidence.generation_id, model=self._model, finish_reason=self._finish)
        return _framed(chat_pb2.ChatEvent(end=end))

    def broken(self, error: RouterError, evidence: Evidence) -> bytes:
        del error, evidence
        return b""


def split_events(data: bytes) -> Iterator[chat_pb2.ChatEvent]:
    """The events of whole frames."""
    at = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        yield chat_pb2.ChatEvent.FromString(data[at + 4 : end])
        at = end


def _framed(event: chat_pb2.ChatEvent) -> bytes:
    body = event.SerializeToString()
    return len(body).to_bytes(4, "big") + body


def _told(event: StreamEvent) -> list[chat_pb2.ChatEvent]:
    """An event of the exchange model as events of the API; none where it has nothing to tell."""
    told = chat_pb2.ChatEvent
    if isinstance(event, TextDelta):
        return [told(text=event.text, logprobs=[_struct(token) for token in event.logprobs])]
    if isinstance(event, ThinkingDelta):
        return _told_thinking(event)
    if isinstance(event, ToolCallStarted):
        call = chat_pb2.ToolCallDelta(index=event.index, id=event.id, name=event.name, signature=event.signature)
        return [told(tool_call=call)]
    if isinstance(event, ToolCallDelta):
        return [told(tool_call=chat_pb2.ToolCallDelta(index=event.index, arguments=event.arguments))]
    if isinstance(event, CitationDelta):
        return [told(citation=_citation(event.citation))]
    if isinstance(event, ImageDelta):
        return [told(image=_image(event.image))]
    if isinstance(event, AudioDelta):
        return [told(audio=_audio(event.data, event.transcript, event.id))]
    return []


def _told_thinking(event: ThinkingDelta) -> list[chat_pb2.ChatEvent]:
    told = [chat_pb2.ChatEvent(reasoning=event.text)] if event.text else []
    if event.signature or event.redacted:
        proof = Thinking("", event.signature, event.redacted, event.vendor, event.id)
        told.append(chat_pb2.ChatEvent(proof=_thinking(proof)))
    return told


def _part(part: Text | Image | Audio) -> chat_pb2.Part:
    if isinstance(part, Image):
        return chat_pb2.Part(image=_image(part))
    if isinstance(part, Audio):
        return chat_pb2.Part(audio=_audio(part.data, part.transcript, part.id, part.format))
    return chat_pb2.Part(
        text=part.text,
        citations=[_citation(c) for c in part.citations],
        logprobs=[_struct(token) for token in part.logprobs],
    )


def _thinking(part: Thinking) -> chat_pb2.Thinking:
    return chat_pb2.Thinking(
        text=part.text, signature=part.signature, redacted=part.redacted, vendor=part.vendor, id=part.id
    )


def _image(image: Image) -> chat_pb2.Image:
    if image.url:
        return chat_pb2.Image(url=image.url)
    return chat_pb2.Image(data=_bytes(image.data), media_type=image.media_type)


def _audio(data: str, transcript: str, named: str, kind: str = "") -> chat_pb2.Audio:
    audio = chat_pb2.Audio(format=kind, transcript=transcript, id=named)
    if data:
        audio.data = _bytes(data)
    return audio


def _bytes(data: str) -> bytes:
    """What base64 text holds; of broken text, what can be read."""
    try:
        return base64.b64decode(data)
    except (binascii.Error, ValueError):
        return b""


def _citation(citation: Citation) -> chat_pb2.Citation:
    unit, first, last = citation.place or ("", 0, 0)
    return chat_pb2.Citation(
        url=citation.url,
        title=citation.title,
        quote=citation.quote,
        start=_count(citation.start),
        end=_count(citation.end),
        document=_count(citation.document),
        place_unit=unit,
        place_start=_count(first) or 0,
        place_end=_count(last) or 0,
    )


def _count(value: int | None) -> int | None:
    """A number that the message has room for; None: it is not told, or makes no sense."""
    return value if value is not None and 0 <= value < 2**31 else None


def _struct(value: Mapping[str, Any]) -> Struct:
    """A JSON object as a message; empty when it holds a number that no message has room for."""
    try:
        return json_format.ParseDict(dict(value), Struct())
    except (json_format.ParseError, OverflowError):
        return Struct()
