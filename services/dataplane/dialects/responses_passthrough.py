"""Responses caller, Responses provider: bytes pass through.

Answers keep their bytes but for `model`, `usage.cost` and the evidence. In a stream only the terminal
event waits, so that the evidence can ride on it; every other one goes on as it came.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from services.core.errors import Failure, FailureKind, RouterError
from services.dataplane.dialects.passthrough import TypedPassthrough
from services.dataplane.dialects.responses_form import METADATA, Seam
from services.dataplane.dialects.responses_write import broken_frames
from services.dataplane.exchange import EMPTY, TRUNCATED, Text
from services.dataplane.members import Members, NotAnObject, join_members, put_cost, raw, split_members
from services.dataplane.providers.openai_errors import error_object, in_stream
from services.dataplane.providers.responses import NOT_PROTOCOL, read_response
from services.dataplane.providers.responses_stream import DONE, NOT_JSON, TWO_STARTS
from services.dataplane.providers.responses_wire import (
    TERMINALS,
    Places,
    WireEvent,
    WireResponse,
    decode_event,
    finish_of,
    is_empty,
    is_refusal,
    items_of,
    parts_of,
    to_usage,
)
from services.dataplane.sse import ERROR, SseEvent, SseOverflow, frame
from services.dataplane.translation import Evidence, Progress


class ResponsesPassthrough(TypedPassthrough):
    """One attempt's passthrough."""

    def _begin(self) -> None:
        super()._begin()
        self._seam = Seam()
        self.facts.seam = self._seam
        self._response: Members = {}
        self._last: tuple[str, Members] | None = None
        self._began = False
        self._done: set[int] = set()
        self._places = Places()

    def answer(self, body: bytes) -> Failure | None:
        response = read_response(body)
        if isinstance(response, Failure):
            return response
        try:
            self._members = split_members(body)
        except NotAnObject:
            return NOT_PROTOCOL
        self._learn(response)
        self._keep_messages(response)
        return None

    def _keep_messages(self, response: WireResponse) -> None:
        """Keep the text of every message of a whole answer that is to be JSON."""
        if self.facts.json is None:
            return
        for place, item in enumerate(items_of(response)):
            if item.get("type") == "message":
                self.facts.json.add("".join(p.text for p in parts_of(item) if isinstance(p, Text)), place)

    def render(self, evidence: Evidence) -> bytes:
        return join_members(self._with_evidence(self._members, evidence))

    def feed(self, data: bytes) -> Progress:
        try:
            events = self._parser.feed(data)
        except SseOverflow as error:
            return Progress(failure=Failure(FailureKind.BAD_RESPONSE, str(error)))
        frames: list[bytes] = []
        progress = Progress()
        for event in events:
            if self._over:
                break
            if event.data.startswith(DONE):
                progress.failure = TRUNCATED
                break
            if event.event == ERROR:
                progress.event, progress.failure = True, in_stream(error_object(event.data))
                break
            try:
                decoded = decode_event(event.data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                progress.failure = NOT_JSON
                break
            progress.event = True
            if decoded.error or decoded.type == ERROR:
                progress.failure = in_stream(decoded.error or error_object(event.data))
                break
            self._read(decoded, event, frames, progress)
            if progress.failure is not None:
                break
        progress.frames = b"".join(frames)
        return progress

    def _read(self, decoded: WireEvent, event: SseEvent, frames: list[bytes], progress: Progress) -> None:
        """Forward or hold one event."""
        self._seam.sequence = (decoded.sequence_number or self._seam.sequence) + 1
        if decoded.response is None:
            self._began = True
            if decoded.type == "response.output_item.done" and not self._is_news(decoded):
                return
            self._note(decoded, progress)
            frames.append(event.raw + b"\n\n")
            return
        members = split_members(event.data)
        response = split_members(bytes(members["response"]))
        self._learn(decoded.response)
        if decoded.type in TERMINALS:
            self._over = True
            self._last = (decoded.type, members)
            self._response = response
            self._finish(decoded, decoded.response, progress)
            return
        if decoded.type == "response.created" and self._response:
            # Some gateways send it twice; a second one behind the first item is another answer.
            progress.failure = TWO_STARTS if self._began else None
            return
        self._response = response
        members["response"] = raw(self._named(response))
        frames.append(frame(join_members(members), decoded.type))

    def _finish(self, decoded: WireEvent, response: WireResponse, progress: Progress) -> None:
        if decoded.type == "response.failed" or response.error or response.status in {"failed", "cancelled"}:
            progress.failure = in_stream(response.error)
        elif not self._shown and is_empty(response):
            progress.failure = EMPTY
        else:
            progress.done = True

    def _note(self, event: WireEvent, progress: Progress) -> None:
        """Note what an event shows, and where it leaves the caller's stream."""
        if event.type == "response.output_text.delta" and isinstance(event.delta, str):
            of = self._places.of(event) if self.facts.json is not None else 0
            self.facts.note(event.delta, progress, keep=self._candidate.keeps_text, of=of)
            progress.reasoning = False
            if self._candidate.keeps_text:
                self._seam.texts.append(event.delta)
        elif is_content(event):
            told = event.delta if isinstance(event.delta, str) else ""
            self.facts.note_other(len(told), progress)
            thinks = event.type.startswith("response.reasoning")
            progress.reasoning = thinks and (progress.reasoning or not progress.content)
        else:
            self._move(event)
            return
        progress.content = self._shown = True

    def _is_news(self, event: WireEvent) -> bool:
        """Whether the end of an item was not told before."""
        place = self._places.of(event)
        known = place in self._done
        self._done.add(place)
        return not known

    def _move(self, event: WireEvent) -> None:
        """Keep where the stream stands: which message is open, what items are done."""
        seam, item = self._seam, event.item
        if event.type == "response.output_item.added" and isinstance(item, Mapping):
            seam.index = self._places.of(event)
            if item.get("type") == "message":
                seam.open, seam.part, seam.texts = str(item.get("id") or ""), True, []
        elif event.type == "response.content_part.added" and seam.texts:
            # A message of several parts is more than the text that an answer can be carried on with.
            self.facts.plain = False
        elif event.type == "response.output_text.done":
            seam.part = False
        elif event.type == "response.output_item.done":
            seam.index = self._places.of(event) + 1
            seam.open, seam.part, seam.texts = "", False, []
            if self._candidate.keeps_text and item is not None:
                seam.items.append(item)

    def _learn(self, response: WireResponse) -> None:
        facts = self.facts
        if response.id and not facts.response_id:
            facts.response_id = response.id
            facts.created = int(response.created_at or 0)
        items = items_of(response)
        if response.usage is not None:
            facts.usage = to_usage(response.usage, items, response.service_tier)
        if response.status not in {"in_progress", "queued"}:
            called = any(item.get("type") == "function_call" for item in items)
            facts.finish_reason = finish_of(response, called=called, refused=any(map(is_refusal, items)))

    def closing(self, evidence: Evidence) -> bytes:
        assert self._last is not None, "closing follows the terminal event"
        kind, members = self._last
        response = msgspec.Raw(join_members(self._with_evidence(self._response, evidence)))
        return frame(join_members({**members, "response": response}), kind)

    def broken(self, error: RouterError, evidence: Evidence) -> bytes:
        nothing = {"id": raw(f"resp_{evidence.generation_id}"), "object": raw("response"), "output": raw([])}
        return broken_frames(self._named(self._response or nothing), self._seam.sequence, error, evidence)

    def _named(self, response: Members) -> dict[str, Any]:
        return {**response, "model": self._model}

    def _with_evidence(self, members: Members, evidence: Evidence) -> Members:
        body = {**members, "model": self._model}
        put_cost(body, "usage", evidence.cost_usd)
        body[METADATA] = raw(evidence.metadata)
        return body


_SILENT_ITEMS = (None, "message", "reasoning")
"""No set: what a provider puts there may be no word at all."""


def is_content(event: WireEvent) -> bool:
    """Whether an event shows the caller something that the model made or did."""
    if event.type.endswith(".delta"):
        return bool(event.delta)
    if event.type == "response.output_item.added":
        return isinstance(event.item, Mapping) and event.item.get("type") not in _SILENT_ITEMS
    return event.type == "response.image_generation_call.partial_image"
