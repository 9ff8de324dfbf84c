"""Google-style caller, Google's protocol at the provider: bytes pass through.

Requests keep their bytes but for routing fields; answers but for `modelVersion`, `usageMetadata.cost` and `metadata`.
In a stream the finish reason waits for the end, so that it, usage and evidence come in one last chunk, and a stream
that breaks never looks whole; content never waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import msgspec

from services.core.errors import Failure, FailureKind, RouterError
from services.core.values import changed
from services.dataplane.dialects.gemini_errors import error_form
from services.dataplane.dialects.gemini_write import GeminiWriter
from services.dataplane.dialects.passthrough import Passthrough
from services.dataplane.exchange import (
    EMPTY,
    AudioDelta,
    ChatAnswer,
    Failed,
    Finished,
    ImageDelta,
    Started,
    StreamEvent,
    Terminal,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from services.dataplane.json_text import JsonText
from services.dataplane.members import Members, NotAnObject, join_members, put_cost, raw, split_members
from services.dataplane.providers.google import Chunk, GoogleStreamDecoder
from services.dataplane.providers.google_read import GoogleReader
from services.dataplane.providers.google_wire import decode_answer
from services.dataplane.sse import frame
from services.dataplane.translation import JSON, Evidence, Progress, tokens_of

_candidate_list = msgspec.json.Decoder(list[Members] | None).decode
_members_of = msgspec.json.Decoder(Members | None).decode
_whole = msgspec.json.Decoder(int | None, strict=False).decode
_flag = msgspec.json.Decoder(bool | None, strict=False).decode
_NO_TEXT = raw("")
_EMPTY_TEXT = {"text": bytes(_NO_TEXT)}
_PROOF = "thoughtSignature"
_NOTHING = raw({"parts": [{"text": ""}], "role": "model"})
_END = ("finishReason", "finishMessage")
"""What of a candidate waits for the end of the stream."""


class GeminiPassthrough(Passthrough):
    """One attempt's passthrough."""

    def _begin(self) -> None:
        super()._begin()
        self._decoder = GoogleStreamDecoder()
        self._gathered: ChatAnswer | None = None
        self._ends: dict[int, Members] = {}
        self._others: dict[int, GoogleReader] = {}
        self._last: Members = {}

    def answer(self, body: bytes) -> Failure | None:
        found = self._codec.decode(body)
        if isinstance(found, Failure):
            return _with_body(found, body)
        try:
            self._members = split_members(body)
        except NotAnObject:
            # Some gateways answer with the chunks of a stream in a list; here they become the one answer asked for.
            kept = (p for p in found.parts if not (self._hides_reasoning and isinstance(p, Thinking)))
            self._gathered = changed(found, parts=tuple(kept))
        if self._hides_reasoning and "candidates" in self._members:
            self._members["candidates"] = _listed(map(_without_thoughts, _candidates(self._members)))
        facts = self.facts
        facts.response_id, facts.created, facts.usage = found.id, found.created, found.usage
        facts.finish_reason, facts.native_finish_reason = found.finish_reason, found.native_finish_reason
        if facts.json is not None:
            facts.json.add_answer(found)
            self._keep_others(self._members, facts.json)
        return None

    def _keep_others(self, members: Members, json: JsonText) -> None:
        """Keep the text of the candidates behind the first one, each read as an answer of its own."""
        for candidate in _candidates(members):
            number = _index(candidate)
            if not number:
                continue
            alone = {name: value for name, value in candidate.items() if name != "index"}
            chunk = decode_answer(join_members({"candidates": _listed([alone])}))
            for event in self._others.setdefault(number, GoogleReader()).read(chunk):
                if isinstance(event, TextDelta):
                    json.add(event.text, number)
                elif isinstance(event, (Finished, Failed)):
                    json.finished(event.reason if isinstance(event, Finished) else "", number)

    def render(self, evidence: Evidence) -> bytes:
        if self._gathered is not None:
            return GeminiWriter(self._candidate.target.model).answer(self._gathered, evidence)
        return join_members(self._with_evidence(dict(self._members), evidence))

    def feed(self, data: bytes) -> Progress:
        return self._progress(self._decoder.chunks(data))

    def end(self) -> Progress:
        return self._progress(self._decoder.last_chunks())

    def _progress(self, chunks: Sequence[Chunk]) -> Progress:
        progress = Progress(event=any(data for data, _ in chunks))
        frames: list[bytes] = []
        for data, events in chunks:
            failed = next((event for event in events if isinstance(event, Failed)), None)
            if failed is not None:
                progress.failure = _with_body(failed.failure, data)
                break
            for event in events:
                self._note(event, progress)
            if data:
                members = split_members(data)
                if self.facts.json is not None:
                    self._keep_others(members, self.facts.json)
                frames += self._shown_of(members)
        if progress.done and not self._shown and self._is_empty():
            progress.done, progress.failure = False, EMPTY
        progress.frames = b"".join(frames)
        return progress

    def _note(self, event: StreamEvent, progress: Progress) -> None:
        """Note what an event says of the answer."""
        facts = self.facts
        if isinstance(event, Started):
            facts.response_id, facts.created = event.id or facts.request_id, event.created
        elif isinstance(event, UsageReported):
            facts.usage = event.usage
        elif isinstance(event, Finished):
            facts.finish_reason, facts.native_finish_reason = event.reason, event.native
            progress.finished = True
        elif isinstance(event, Terminal):
            progress.done = True
        else:
            self._note_content(event, progress)

    def _note_content(self, event: StreamEvent, progress: Progress) -> None:
        facts = self.facts
        if isinstance(event, TextDelta):
            facts.note(event.text, progress, keep=self._candidate.keeps_text)
        elif isinstance(event, ThinkingDelta):
            if self._hides_reasoning and event.text:
                progress.tokens += tokens_of(len(event.text))
                return
            facts.note_other(len(event.text), progress)
        elif isinstance(event, ToolCallDelta):
            facts.note_other(len(event.arguments), progress)
        elif isinstance(event, (ToolCallStarted, ImageDelta, AudioDelta)):
            facts.note_other(0, progress)
        else:
            return
        progress.reasoning = isinstance(event, ThinkingDelta) and (progress.reasoning or not progress.content)
        progress.content = self._shown = True

    def _shown_of(self, members: Members) -> list[bytes]:
        """The frame of a chunk, as far as it does not wait for the end."""
        candidates = _candidates(members)
        if self._hides_reasoning and candidates:
            candidates = [_without_thoughts(candidate) for candidate in candidates]
            members["candidates"] = _listed(candidates)
        ended = any(name in candidate for candidate in candidates for name in _END)
        says = [_says(candidate) for candidate in candidates]
        if not ended and (any(says) or not self._ends):
            return [self._frame(members)]
        # What comes with the finish reason or behind it, and shows nothing, is of the last chunk.
        self._last |= {name: value for name, value in members.items() if name != "candidates"}
        shown: list[Members] = []
        for candidate, has in zip(candidates, says, strict=True):
            waits = {name: v for name, v in candidate.items() if name in (*_END, "index")} if has else candidate
            self._ends[_index(candidate)] = self._ends.get(_index(candidate), {}) | waits
            shown += [{name: v for name, v in candidate.items() if name not in _END}] if has else []
        if not shown:
            return []
        rest = {name: value for name, value in members.items() if name != "usageMetadata"}
        return [self._frame({**rest, "candidates": _listed(shown)})]

    def _frame(self, members: Members) -> bytes:
        if "modelVersion" in members or "candidates" in members:
            members["modelVersion"] = self._model
        # A chunk may have come in several lines, whose ends are none in a frame.
        return frame(join_members(members).replace(b"\n", b" "))

    def _is_empty(self) -> bool:
        usage = self.facts.usage
        return self.facts.finish_reason == "stop" and (usage is None or usage.output_tokens == 0)

    def closing(self, evidence: Evidence) -> bytes:
        ends = [_with_content(end) for _, end in sorted(self._ends.items())]
        last = {"candidates": _listed(ends), **self._last}
        return frame(join_members(self._with_evidence(last, evidence)).replace(b"\n", b" "))

    def broken(self, error: RouterError, evidence: Evidence) -> bytes:
        return frame(msgspec.json.encode(error_form(error, evidence)))

    def _with_evidence(self, members: Members, evidence: Evidence) -> Members:
        members["modelVersion"] = self._model
        put_cost(members, "usageMetadata", evidence.cost_usd)
        members["metadata"] = raw(evidence.metadata)
        return members


def _with_body(failure: Failure, body: bytes) -> Failure:
    """`failure` with what Google said of a prompt that it blocked, which is the caller's to read."""
    return replace(failure, body=body, content_type=JSON) if failure.kind is FailureKind.CONTENT_REFUSED else failure


def _candidates(members: Members) -> list[Members]:
    """The candidates of a chunk that was read already, each by its members."""
    found = members.get("candidates")
    return (_candidate_list(found) if found is not None else None) or []


def _listed(candidates: Iterable[Members]) -> msgspec.Raw:
    return msgspec.Raw(b"[" + b",".join(map(join_members, candidates)) + b"]")


def _index(candidate: Members) -> int:
    found = candidate.get("index")
    return (_whole(found) if found is not None else None) or 0


def _content(candidate: Members) -> Members:
    found = candidate.get("content")
    return (_members_of(found) if found is not None else None) or {}


def _parts(content: Members) -> list[Members]:
    """The parts of a content, each by its members; nothing in them is decoded, so that nothing in them can fail."""
    found = content.get("parts")
    return (_candidate_list(found) if found is not None else None) or []


def _says(candidate: Members) -> bool:
    """Whether a candidate holds anything but an empty text."""
    return any(part and {n: bytes(v) for n, v in part.items()} != _EMPTY_TEXT for part in _parts(_content(candidate)))


def _with_content(candidate: Members) -> Members:
    """A last candidate, with an empty text, because callers add up the texts of all chunks."""
    return candidate if _parts(_content(candidate)) else {**candidate, "content": _NOTHING}


def _without_thoughts(candidate: Members) -> Members:
    """A candidate without the text of its reasoning; what proves it stays."""
    content = _content(candidate)
    parts = _parts(content)
    if not any(_is_thought(part) for part in parts):
        return candidate
    kept = [{**p, "text": _NO_TEXT} if _is_thought(p) else p for p in parts if not _is_thought(p) or _PROOF in p]
    return {**candidate, "content": msgspec.Raw(join_members({**content, "parts": _listed(kept)}))}


def _is_thought(part: Members) -> bool:
    found = part.get("thought")
    return found is not None and _flag(found) is True
