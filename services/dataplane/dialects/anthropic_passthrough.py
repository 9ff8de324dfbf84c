"""Anthropic-style caller, Anthropic-style provider: bytes pass through.

Requests keep their bytes but for `model` and routing fields, answers but for
`model`, `usage.cost` and `metadata`. In a stream `message_delta` waits for
`message_stop`, so that the evidence can ride on it; content never waits.
"""

from __future__ import annotations

import msgspec

from services.core.errors import Failure, FailureKind, RouterError
from services.dataplane.dialects.anthropic_errors import error_form
from services.dataplane.dialects.passthrough import TypedPassthrough
from services.dataplane.exchange import EMPTY, TRUNCATED
from services.dataplane.members import Members, NotAnObject, join_members, put_cost, raw, split_members
from services.dataplane.providers.anthropic import NOT_JSON, NOT_PROTOCOL, TWO_STARTS, read_message
from services.dataplane.providers.anthropic_errors import in_stream
from services.dataplane.providers.anthropic_wire import (
    FINISH_REASONS,
    WireEvent,
    WireUsage,
    decode_event,
    merged,
    shows,
    to_usage,
)
from services.dataplane.providers.openai_errors import error_object
from services.dataplane.sse import ERROR, SseEvent, SseOverflow, frame
from services.dataplane.translation import Evidence, Progress, tokens_of


class AnthropicPassthrough(TypedPassthrough):
    """One attempt's passthrough."""

    def _begin(self) -> None:
        super()._begin()
        self._usage: WireUsage | None = None
        self._delta: bytes | None = None
        self._started = False
        self._began = False

    def answer(self, body: bytes) -> Failure | None:
        message = read_message(body)
        if isinstance(message, Failure):
            return message
        try:
            self._members = split_members(body)
            if self._hides_reasoning:
                self._members["content"] = _without_thoughts(self._members["content"])
        except NotAnObject:
            return NOT_PROTOCOL
        self.facts.response_id = message.id
        self.facts.finish_reason = FINISH_REASONS.get(message.stop_reason or "", "")
        if message.usage is not None:
            self.facts.usage = to_usage(message.usage)
        self._keep_json(body)
        return None

    def render(self, evidence: Evidence) -> bytes:
        body = dict(self._members)
        body["model"] = self._model
        return join_members(_with_evidence(body, evidence))

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
            if event.event == ERROR:
                progress.event, progress.failure = True, in_stream(error_object(event.data))
                break
            try:
                decoded = decode_event(event.data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                progress.failure = NOT_JSON
                break
            if decoded.type == "ping":
                if self._shown:
                    frames.append(event.raw + b"\n\n")
                continue
            progress.event = True
            if decoded.type == "error":
                progress.failure = in_stream(decoded.error)
                break
            if self._read(decoded, event, frames, progress):
                progress.content = self._shown = True
        progress.frames = b"".join(frames)
        return progress

    def _read(self, decoded: WireEvent, event: SseEvent, frames: list[bytes], progress: Progress) -> bool:
        """Forward or hold one event; whether it carries content."""
        if decoded.type == "message_stop":
            self._over = True
            if not self.facts.finish_reason:
                progress.failure = TRUNCATED
            elif not self._shown and not self._spent():
                progress.failure = EMPTY
            else:
                progress.done = True
            return False
        if decoded.type == "message_delta":
            if decoded.usage is not None:
                self._learn(decoded.usage)
            if decoded.delta is not None and decoded.delta.stop_reason:
                self.facts.finish_reason = FINISH_REASONS.get(decoded.delta.stop_reason, "stop")
            self._delta = event.data
            return False
        if decoded.type == "message_start" and self._started:
            # Some gateways send it twice; a second one among the blocks is another message.
            if self._began:
                self._over = True
                progress.failure = TWO_STARTS
            return False
        if decoded.type == "message_start" and decoded.message is not None:
            self._started = True
            self.facts.response_id = decoded.message.id
            if decoded.message.usage is not None:
                self._learn(decoded.message.usage)
            frames.append(frame(self._named(event.data), "message_start"))
            return False
        if self._hides_reasoning and (size := _thought_size(decoded)):
            # The block and its signature stay, as where Anthropic itself leaves its reasoning out.
            progress.tokens += tokens_of(size)
            return False
        self._began = self._began or decoded.type == "content_block_start"
        frames.append(event.raw + b"\n\n")
        return self._note(decoded, progress)

    def _note(self, decoded: WireEvent, progress: Progress) -> bool:
        """Note what an event shows; whether it shows anything."""
        facts, block = self.facts, decoded.content_block or decoded.delta
        if decoded.type == "content_block_start":
            facts.block, facts.block_open = decoded.index, True
            facts.plain = facts.plain and decoded.content_block is not None and decoded.content_block.type == "text"
        elif decoded.type == "content_block_stop":
            facts.block_open = False
        if block is None or not shows(block):
            return False
        if block.text:
            facts.note(block.text, progress, keep=self._candidate.keeps_text)
            progress.reasoning = False
        else:
            facts.note_other(len(block.thinking or block.partial_json or ""), progress)
            progress.reasoning = bool(block.thinking) and (progress.reasoning or not progress.content)
        return True

    def _learn(self, usage: WireUsage) -> None:
        self._usage = merged(self._usage, usage)
        self.facts.usage = to_usage(self._usage)

    def _spent(self) -> bool:
        usage, finish = self.facts.usage, self.facts.finish_reason
        return finish not in {"", "stop"} or (finish == "stop" and usage is not None and usage.output_tokens > 0)

    def closing(self, evidence: Evidence) -> bytes:
        members = split_members(self._delta) if self._delta is not None else {"type": raw("message_delta")}
        last = frame(join_members(_with_evidence(dict(members), evidence)), "message_delta")
        return last + frame(b'{"type":"message_stop"}', "message_stop")

    def broken(self, error: RouterError, evidence: Evidence) -> bytes:
        return frame(msgspec.json.encode(error_form(error, evidence)), "error")

    def _named(self, data: bytes) -> bytes:
        """`message_start` with the model that really answers."""
        members = split_members(data)
        message = split_members(bytes(members["message"]))
        message["model"] = self._model
        members["message"] = msgspec.Raw(join_members(message))
        return join_members(members)


def _thought_size(event: WireEvent) -> int:
    """Characters of reasoning in a delta."""
    return len(event.delta.thinking or "") if event.delta is not None else 0


def _without_thoughts(content: msgspec.Raw) -> msgspec.Raw:
    """The blocks of an answer, reasoning without its text but with its signature."""
    blocks = msgspec.json.decode(content)
    for block in blocks:
        if isinstance(block, dict) and block.get("type") == "thinking":
            block["thinking"] = ""
    return raw(blocks)


def _with_evidence(members: Members, evidence: Evidence) -> Members:
    put_cost(members, "usage", evidence.cost_usd)
    members["metadata"] = raw(evidence.metadata)
    return members
