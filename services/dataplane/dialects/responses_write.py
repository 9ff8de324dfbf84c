"""Exchange answers in the wire format of the Responses API.

A stream is one response: created, in progress, items one after the other, each with its parts, and one
terminal event with the whole of it. Events are numbered without a gap. A stream that breaks ends in
`error` and `response.failed`, as OpenAI's do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from services.core.errors import RouterError
from services.core.values import changed
from services.dataplane.dialects.openai_errors import error_object_of
from services.dataplane.dialects.responses_form import (
    METADATA,
    Seam,
    annotation,
    call_item,
    ending,
    image_item,
    image_text,
    item_id,
    message_item,
    output_of,
    proof_of,
    reasoning_item,
    response_form,
    text_part,
    tier_form,
    usage_form,
)
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


class ResponsesWriter:
    """Writes one answer.

    Args:
        model: The model that answers, "provider/model".
        created: Seconds since the Unix epoch.
        echo: What an answer repeats of its request.
    """

    def __init__(self, model: str, created: int, echo: Mapping[str, Any]) -> None:
        self.seam = Seam()
        """Where the stream stands; a translation shares it, so that another answer can go on."""
        self._model = model
        self._created = created
        self._echo = echo
        self._id = ""
        self._started = False
        self._finish = "stop"
        self._usage: TokenUsage | None = None
        self._notes: list[Any] = []
        self._logprobs: list[Any] = []
        self._thinking: Thinking | None = None
        self._call: tuple[int, ToolCall] | None = None

    def answer(self, answer: ChatAnswer, evidence: Evidence) -> bytes:
        status, why = ending(answer.finish_reason)
        own_id = answer.id or f"resp_{evidence.generation_id}"
        output = output_of(answer.parts, own_id, status)
        created = answer.created or self._created
        form = response_form(own_id, created, self._model, status, output, self._echo)
        form |= {"incomplete_details": why, "usage": usage_form(answer.usage, evidence.cost_usd)}
        form |= tier_form(answer.usage)
        return msgspec.json.encode({**form, METADATA: evidence.metadata})

    def loss(self, item: AnswerPart | StreamEvent) -> str:
        if isinstance(item, (Audio, AudioDelta)):
            return "sound in the answer was dropped, and its transcript is shown: responses hold text and pictures only"
        return ""

    def carry_on(self, emitted: Emitted) -> None:
        self._started = True
        self._id = emitted.response_id
        self._created = emitted.created or self._created
        if isinstance(emitted.seam, Seam):
            seam = self.seam
            known = emitted.seam
            seam.sequence, seam.items, seam.open = known.sequence, list(known.items), known.open
            seam.index, seam.part, seam.texts = known.index, known.part, list(known.texts)

    def frames(self, events: Sequence[StreamEvent]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if isinstance(event, Started):
                self._id = self._id or event.id
                self._created = event.created or self._created
                self._usage = event.usage or self._usage
            elif isinstance(event, Finished):
                self._finish = event.reason
            elif isinstance(event, UsageReported):
                self._usage = event.usage
            else:
                self._begin(out)
                self._content(event, out)
        return b"".join(out)

    def _begin(self, out: list[bytes]) -> None:
        if self._started:
            return
        self._started = True
        form = self._form("in_progress", [])
        self._event(out, "response.created", response=form)
        self._event(out, "response.in_progress", response=form)

    def _form(self, status: str, output: list[Any]) -> dict[str, Any]:
        return response_form(self._id or "resp_turnout", self._created, self._model, status, output, self._echo)

    def _event(self, out: list[bytes], kind: str, **body: Any) -> None:
        numbered = {"type": kind, "sequence_number": self.seam.sequence, **body}
        self.seam.sequence += 1
        out.append(frame(msgspec.json.encode(numbered), kind))

    def _content(self, event: StreamEvent, out: list[bytes]) -> None:
        if isinstance(event, TextDelta):
            self._text(event, out)
        elif isinstance(event, AudioDelta):
            if event.transcript:
                self._text(TextDelta(event.transcript), out)
        elif isinstance(event, CitationDelta):
            self._cite(event, out)
        elif isinstance(event, ThinkingDelta):
            self._think(event, out)
        elif isinstance(event, ToolCallStarted):
            self._begin_call(event, out)
        elif isinstance(event, ToolCallDelta):
            self._argue(event, out)
        elif isinstance(event, ImageDelta):
            self._picture(event.image, out)

    # Messages

    def _text(self, event: TextDelta, out: list[bytes]) -> None:
        at = self._open_part(out)
        self.seam.texts.append(event.text)
        self._logprobs += event.logprobs
        self._event(out, "response.output_text.delta", **at, delta=event.text, logprobs=list(event.logprobs))

    def _open_part(self, out: list[bytes]) -> dict[str, Any]:
        """Make sure that a message with an open part of text is there; where it is."""
        seam = self.seam
        if not seam.part:
            self._close(out)
            seam.open, seam.part = self._item_id("msg"), True
            self._event(
                out,
                "response.output_item.added",
                output_index=seam.index,
                item=message_item(seam.open, [], "in_progress"),
            )
            self._event(out, "response.content_part.added", **self._place(), part=text_part(""))
        return self._place()

    def _place(self) -> dict[str, Any]:
        return {"item_id": self.seam.open, "output_index": self.seam.index, "content_index": 0}

    def _cite(self, event: CitationDelta, out: list[bytes]) -> None:
        at = self._open_part(out)
        note = annotation(event.citation, len("".join(self.seam.texts)))
        number = len(self._notes)
        self._notes.append(note)
        self._event(out, "response.output_text.annotation.added", **at, annotation_index=number, annotation=note)

    def _close_message(self, out: list[bytes], status: str) -> None:
        seam = self.seam
        text = "".join(seam.texts)
        part = text_part(text, self._notes, self._logprobs)
        if seam.part:
            self._event(out, "response.output_text.done", **self._place(), text=text, logprobs=self._logprobs)
            self._event(out, "response.content_part.done", **self._place(), part=part)
        self._done(message_item(seam.open, [part], status), out)
        seam.open, seam.part, seam.texts = "", False, []
        self._notes, self._logprobs = [], []

    # Reasoning: its summary as it comes; its proof ends it.

    def _think(self, event: ThinkingDelta, out: list[bytes]) -> None:
        if event.redacted:
            self._close(out)
            redacted = Thinking(redacted=event.redacted, vendor=event.vendor, id=event.id)
            self._whole_item(reasoning_item(self._item_id("rs"), redacted), out)
            return
        if self._thinking is None:
            self._close(out)
            self._thinking = Thinking()
            item = reasoning_item(self._item_id("rs"), Thinking(), "in_progress")
            self._event(out, "response.output_item.added", output_index=self.seam.index, item=item)
        known = self._thinking
        at = {"item_id": self._item_id("rs"), "output_index": self.seam.index, "summary_index": 0}
        if event.text:
            if not known.text:
                part = {"type": "summary_text", "text": ""}
                self._event(out, "response.reasoning_summary_part.added", **at, part=part)
            self._event(out, "response.reasoning_summary_text.delta", **at, delta=event.text)
        self._thinking = changed(known, text=known.text + event.text, vendor=event.vendor or known.vendor)
        if event.signature:
            self._thinking = changed(self._thinking, signature=event.signature)
            self._close(out)

    def _close_thinking(self, thinking: Thinking, out: list[bytes]) -> None:
        at = {"item_id": self._item_id("rs"), "output_index": self.seam.index, "summary_index": 0}
        if thinking.text:
            part = {"type": "summary_text", "text": thinking.text}
            self._event(out, "response.reasoning_summary_text.done", **at, text=thinking.text)
            self._event(out, "response.reasoning_summary_part.done", **at, part=part)
        self._thinking = None
        self._done(reasoning_item(self._item_id("rs"), thinking), out)

    # Calls and pictures

    def _begin_call(self, event: ToolCallStarted, out: list[bytes]) -> None:
        self._close(out)
        call = ToolCall(event.id, event.name, "", event.signature)
        if call.signature:
            self._whole_item(reasoning_item(self._item_id("rs"), proof_of(call)), out)
        self._call = (event.index, call)
        item = call_item(self._item_id("fc"), call, "in_progress")
        self._event(out, "response.output_item.added", output_index=self.seam.index, item=item)

    def _argue(self, event: ToolCallDelta, out: list[bytes]) -> None:
        if self._call is None or self._call[0] != event.index:
            return
        number, call = self._call
        self._call = (number, changed(call, arguments=call.arguments + event.arguments))
        at = {"item_id": self._item_id("fc"), "output_index": self.seam.index}
        self._event(out, "response.function_call_arguments.delta", **at, delta=event.arguments)

    def _close_call(self, call: ToolCall, out: list[bytes], status: str) -> None:
        at = {"item_id": self._item_id("fc"), "output_index": self.seam.index}
        self._call = None
        body = {"name": call.name, "arguments": call.arguments}
        self._event(out, "response.function_call_arguments.done", **at, **body)
        self._done(call_item(self._item_id("fc"), call, status), out)

    def _picture(self, image: Image, out: list[bytes]) -> None:
        if not image.data:
            self._text(TextDelta(image_text(image)), out)
            return
        self._close(out)
        own_id = self._item_id("ig")
        at = {"item_id": own_id, "output_index": self.seam.index}
        item = image_item(own_id, image)
        begun = {**item, "status": "in_progress", "result": None}
        self._event(out, "response.output_item.added", output_index=self.seam.index, item=begun)
        self._event(out, "response.image_generation_call.completed", **at)
        self._done(item, out)

    # Items

    def _item_id(self, kind: str) -> str:
        return item_id(kind, self._id or "resp_turnout", self.seam.index)

    def _whole_item(self, item: dict[str, Any], out: list[bytes]) -> None:
        begun = {**item, "status": "in_progress"}
        self._event(out, "response.output_item.added", output_index=self.seam.index, item=begun)
        self._done(item, out)

    def _done(self, item: dict[str, Any], out: list[bytes]) -> None:
        self._event(out, "response.output_item.done", output_index=self.seam.index, item=item)
        self.seam.items.append(item)
        self.seam.index += 1

    def _close(self, out: list[bytes], status: str = "completed") -> None:
        """End the item that is open, if one is."""
        if self._call is not None:
            self._close_call(self._call[1], out, status)
        elif self._thinking is not None:
            self._close_thinking(self._thinking, out)
        elif self.seam.open:
            self._close_message(out, status)

    def closing(self, evidence: Evidence) -> bytes:
        out: list[bytes] = []
        self._begin(out)
        status, why = ending(self._finish)
        self._close(out, status)
        form = self._form(status, self.seam.items)
        form |= {"incomplete_details": why, "usage": usage_form(self._usage, evidence.cost_usd)}
        form |= tier_form(self._usage)
        self._event(out, f"response.{status}", response={**form, METADATA: evidence.metadata})
        return b"".join(out)

    def broken(self, error: RouterError, evidence: Evidence) -> bytes:
        return broken_frames(self._form("failed", self.seam.items), self.seam.sequence, error, evidence)


def broken_frames(response: Mapping[str, Any], sequence: int, error: RouterError, evidence: Evidence) -> bytes:
    """The two events that end a stream which broke.

    Args:
        response: The answer so far.
        sequence: Number of the next event.
    """
    told = error_object_of(error)
    flat = {name: told[name] for name in ("code", "message", "param")}
    first = {"type": "error", "sequence_number": sequence, **flat, "error": told, METADATA: evidence.metadata}
    failed = {**response, "status": "failed", "error": {"code": told["code"], "message": told["message"]}}
    failed[METADATA] = evidence.metadata
    second = {"type": "response.failed", "sequence_number": sequence + 1, "response": failed}
    return frame(msgspec.json.encode(first), "error") + frame(msgspec.json.encode(second), "response.failed")
