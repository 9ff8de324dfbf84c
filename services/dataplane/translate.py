"""The generic translation: a caller's dialect on one side, another protocol on the other.

Exchange model in the middle: the dialect's reader made the `ChatRequest`, the
provider's codec encodes it and decodes the answer, the dialect's writer renders it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from services.core.errors import Failure, FailureKind, RouterError
from services.core.policy.documents import TextGenerationConfig
from services.core.routing.plan import Candidate
from services.core.values import changed
from services.dataplane.codec import AnswerWriter, ProviderCodec
from services.dataplane.dialects.templates import fill
from services.dataplane.exchange import (
    EMPTY,
    AnswerPart,
    AudioDelta,
    ChatAnswer,
    ChatRequest,
    Dropped,
    Failed,
    Finished,
    ImageDelta,
    Message,
    Started,
    StreamEvent,
    Terminal,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from services.dataplane.limits import within
from services.dataplane.splice import Diverged, Splice
from services.dataplane.translation import CALLERS_FAULT, JSON, Evidence, Facts, Progress, tokens_of
from services.dataplane.transport.port import UpstreamRequest

_CONTENT = (TextDelta, ThinkingDelta, ToolCallStarted, ToolCallDelta, ImageDelta, AudioDelta)
DIVERGED = Failure(FailureKind.DIVERGED, "the second answer does not repeat what the caller has")


class CrossTranslation:
    """One attempt between different protocols."""

    def __init__(
        self,
        codec: ProviderCodec,
        candidate: Candidate,
        request: ChatRequest,
        writer: AnswerWriter,
        inbound: Mapping[str, str],
        splice: Splice | None = None,
    ) -> None:
        self.facts = Facts(warnings=list(request.warnings))
        self.stream_type = codec.stream_type
        self.answer_type = JSON
        self._splice = splice
        self._codec = codec
        self._candidate = candidate
        self._request = request
        self._writer = writer
        self._inbound = inbound
        self._decoder = codec.decoder()
        self._answer: ChatAnswer | None = None
        self._hides_reasoning = request.shows_reasoning is False
        self._shown = False
        self._spent = False

    def request(self, credential: str) -> UpstreamRequest:
        target = self._candidate.target
        body, dropped = self._codec.encode(self._request, target)
        self.facts.warnings.extend(dropped)
        return self._codec.request(target, credential, body, self._inbound, stream=self._request.stream)

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> Failure:
        failure = self._codec.classify(status, headers, body)
        # The caller's dialect puts the words that are the caller's to read into its own form; the others go nowhere.
        return failure if failure.kind in CALLERS_FAULT else replace(failure, body=b"", content_type="")

    def answer(self, body: bytes) -> Failure | None:
        decoded = self._codec.decode(body)
        if isinstance(decoded, Failure):
            return decoded
        if self._hides_reasoning:
            decoded = changed(decoded, parts=tuple(p for p in decoded.parts if not isinstance(p, Thinking)))
        if not decoded.id:
            decoded = changed(decoded, id=self.facts.request_id)
        self._answer = decoded
        self._tell_losses(decoded.parts)
        self.facts.usage = decoded.usage
        self.facts.finish_reason = decoded.finish_reason
        self.facts.native_finish_reason = decoded.native_finish_reason
        self.facts.response_id = decoded.id
        self.facts.warnings.extend(decoded.warnings)
        if self.facts.json is not None:
            self.facts.json.add_answer(decoded)
        return None

    def render(self, evidence: Evidence) -> bytes:
        assert self._answer is not None, "render follows a good answer"
        return self._writer.answer(self._answer, evidence)

    def feed(self, data: bytes) -> Progress:
        return self._progress(self._decoder.feed(data))

    def end(self) -> Progress:
        return self._progress(self._decoder.end())

    def _progress(self, events: Sequence[StreamEvent]) -> Progress:
        progress = Progress(event=bool(events))
        shown: list[StreamEvent] = []
        try:
            for event in events if self._splice is None else self._spliced(events, self._splice):
                if self._hides_reasoning and isinstance(event, ThinkingDelta):
                    # It was made and is paid for, but the caller sees nothing of it.
                    progress.tokens += tokens_of(len(event.text))
                elif isinstance(event, _CONTENT):
                    progress.reasoning = isinstance(event, ThinkingDelta) and (
                        progress.reasoning or not progress.content
                    )
                    progress.content = self._shown = True
                    self._note(event, progress)
                    shown.append(event)
                elif isinstance(event, Failed):
                    progress.failure = event.failure
                    break
                elif isinstance(event, Terminal):
                    progress.done = True
                elif isinstance(event, Dropped):
                    self.facts.warnings.append(event.told)
                else:
                    shown.append(self._learn(event))
                    progress.finished |= isinstance(event, Finished) and self._codec.finish_ends
        except Diverged:
            progress.failure = DIVERGED
        if progress.done and not self._shown and self._splice is None and self._is_empty():
            progress.done, progress.failure = False, EMPTY
        self._tell_losses(shown)
        progress.frames = self._writer.frames(shown)
        return progress

    def _tell_losses(self, items: Iterable[AnswerPart | StreamEvent]) -> None:
        """Warn of what the caller's dialect has no place for, once each."""
        warnings = self.facts.warnings
        warnings.extend(dict.fromkeys(w for item in items if (w := self._writer.loss(item)) and w not in warnings))

    def _spliced(self, events: Sequence[StreamEvent], splice: Splice) -> Iterator[StreamEvent]:
        """The events of a second answer behind a first one: only what the caller does not have."""
        for event in events:
            if isinstance(event, TextDelta):
                text = splice.feed(event.text)
                if text:
                    yield TextDelta(text)
            elif isinstance(event, (ToolCallStarted, ToolCallDelta)):
                raise Diverged
            elif isinstance(event, Terminal):
                rest = splice.end()
                if rest:
                    yield TextDelta(rest)
                yield event
            elif not isinstance(event, ThinkingDelta):
                # Reasoning of the second answer would come behind text; the first one showed none.
                yield event

    def _note(self, event: StreamEvent, progress: Progress) -> None:
        facts = self.facts
        if isinstance(event, TextDelta):
            facts.note(event.text, progress, keep=self._candidate.keeps_text)
        elif isinstance(event, ToolCallDelta):
            facts.note_other(len(event.arguments), progress)
        elif isinstance(event, ThinkingDelta):
            facts.note_other(len(event.text), progress)
        elif isinstance(event, AudioDelta):
            facts.note_other(len(event.transcript), progress)
        else:
            facts.note_other(0, progress)

    def _learn(self, event: StreamEvent) -> StreamEvent:
        """Note what `event` says of the answer; the event as the caller is to see it."""
        facts = self.facts
        if isinstance(event, Started):
            facts.response_id = event.id or facts.request_id
            # Behind a splice the caller keeps the id that it has, even if that is none.
            event = changed(event, id=facts.response_id if self._splice is None else "")
            facts.created = event.created
            facts.usage = event.usage or facts.usage
        elif isinstance(event, UsageReported):
            facts.usage = event.usage
            # What a stream begins with is a guess; only what it reports later was spent.
            self._spent = event.usage.output_tokens > 0
        elif isinstance(event, Finished):
            facts.finish_reason, facts.native_finish_reason = event.reason, event.native
        return event

    def _is_empty(self) -> bool:
        finish, usage = self.facts.finish_reason, self.facts.usage
        if finish == "stop":
            return usage is None or usage.output_tokens == 0
        return not finish and not self._spent

    def closing(self, evidence: Evidence) -> bytes:
        return self._writer.closing(evidence)

    def broken(self, error: RouterError, evidence: Evidence) -> bytes:
        return self._writer.broken(error, evidence)


def laid_over(request: ChatRequest, candidate: Candidate, metadata: Mapping[str, Any]) -> ChatRequest:
    """`request` with the policy's parameters and templates, within what the target can answer."""
    if candidate.templates:
        placed = tuple(Message(t.role, (Text(fill(t, metadata)),)) for t in candidate.templates)
        request = changed(request, messages=placed + request.messages)
    if candidate.generation is not None:
        request = _generation(request, candidate.generation)
    limit, warning = within(request.max_tokens, candidate.target)
    return changed(request, max_tokens=limit, warnings=(*request.warnings, warning)) if warning else request


def _generation(request: ChatRequest, config: TextGenerationConfig) -> ChatRequest:
    names = ("max_tokens", "temperature", "top_p", "frequency_penalty", "presence_penalty", "seed")
    changes: dict[str, Any] = {n: v for n in names if (v := getattr(config, n)) is not None}
    if config.stop_sequences:
        changes["stop"] = config.stop_sequences
    reasoning = config.reasoning
    named = reasoning is not None and reasoning.effort not in {"", "unspecified"}
    if reasoning is not None and (named or reasoning.max_tokens is not None):
        # The two say the same thing in different words, so what the caller said of either no longer counts.
        changes["reasoning_effort"] = reasoning.effort if named else ""
        changes["reasoning_budget"] = reasoning.max_tokens
    if reasoning is not None and reasoning.exclude is not None:
        changes["shows_reasoning"] = not reasoning.exclude
    return changed(request, **changes)
