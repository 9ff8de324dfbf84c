"""OpenAI-style caller, OpenAI-style provider: bytes pass through.

Requests keep their bytes but for what `openai_overrides` names. Answers keep
theirs but for `model` (the one that answered), `usage.cost` and `metadata`. In
a stream the chunk with the finish reason is held until the end, so that the
evidence can ride on the last chunk that carries something; content never waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from services.core.errors import Failure, FailureKind, RouterError
from services.core.routing.plan import Candidate
from services.core.values import Value
from services.dataplane.codec import ProviderCodec
from services.dataplane.dialects.openai_hiding import hidden, says_nothing, thought_size
from services.dataplane.dialects.openai_style import OPENAI, OpenAiStyle
from services.dataplane.dialects.passthrough import Passthrough
from services.dataplane.exchange import EMPTY, TRUNCATED
from services.dataplane.members import Members, NotAnObject, join_members, raw, split_members
from services.dataplane.providers.openai import BROKE_OFF, DONE, NOT_JSON, NOT_PROTOCOL, broke_off, read_answer
from services.dataplane.providers.openai_errors import error_object, in_stream
from services.dataplane.providers.openai_wire import (
    WireAnswer,
    WireChoice,
    arguments_size,
    decode_answer,
    shows,
    shows_more_than_text,
    to_usage,
)
from services.dataplane.providers.service_tiers import tier_told
from services.dataplane.sse import ERROR, SseOverflow, SseParser, frame
from services.dataplane.translation import Evidence, Progress, tokens_of

_CHOICES = b'"choices"'
_each = msgspec.json.Decoder(list[msgspec.Raw]).decode
_NO_NEWS = {"index": 0, "delta": {}, "finish_reason": None}


class Asked(Value, frozen=True):
    """How the caller wants its answer.

    Attributes:
        stream: In pieces.
        show_usage: With a usage chunk.
        answers: How many of them (`n`); all of them must say that they are done.
        hides_reasoning: Without its reasoning.
        style: How it is written.
    """

    stream: bool
    show_usage: bool = False
    answers: int = 1
    hides_reasoning: bool = False
    style: OpenAiStyle = OPENAI


class OpenAiPassthrough(Passthrough):
    """One attempt's passthrough."""

    def __init__(
        self,
        codec: ProviderCodec,
        candidate: Candidate,
        body: bytes,
        inbound: Mapping[str, str],
        asked: Asked,
        warnings: list[str],
    ) -> None:
        super().__init__(
            codec, candidate, body, inbound, warnings, stream=asked.stream, hides_reasoning=asked.hides_reasoning
        )
        self._show_usage = asked.show_usage
        self._answers = asked.answers
        self._style = asked.style
        self._parser = SseParser()
        self._last: bytes | None = None
        self._usage_chunk: bytes | None = None
        self._usage: bytes | None = None
        self._finished = False
        self._finishes: set[int] = set()
        self._seen = {0}
        self._starts: set[int] = set()
        self._over = False
        self._tier: Any = None

    def answer(self, body: bytes) -> Failure | None:
        answer = read_answer(body)
        if isinstance(answer, Failure):
            return answer
        try:
            self._members = split_members((hidden(body) if self._hides_reasoning else None) or body)
        except NotAnObject:
            return NOT_PROTOCOL
        self._learn(answer)
        self._keep_choices(answer, body)
        return None

    def _keep_choices(self, answer: WireAnswer, body: bytes) -> None:
        """Keep the text of every choice that is to be JSON, each read as an answer of its own."""
        json, choices = self.facts.json, answer.choices or ()
        if json is None or len(choices) < 2:
            self._keep_json(body)
            return
        members = split_members(body)
        for number, choice in enumerate(_each(members["choices"])):
            found = self._codec.decode(join_members({**members, "choices": raw([choice])}))
            if isinstance(found, Failure):
                json.finished("", number)
            else:
                json.add_answer(found, number)

    def render(self, evidence: Evidence) -> bytes:
        if self._style is OPENAI:
            return self._with_evidence(self._members, evidence)
        more = {name: raw(value) for name, value in self._style.body().items()}
        return self._evident({**more, **self._members, "choices": self._finished_choices(self._members)}, evidence)

    def _finished_choices(self, members: Members) -> msgspec.Raw:
        """The choices of an answer, or of its last chunk, as the style completes them."""
        choices = msgspec.json.decode(members.get("choices", b"[]"))
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._style.finish(choice, "")
                for name in ("message", "delta"):
                    if isinstance(choice.get(name), dict):
                        self._style.message(choice[name])
        return raw(choices)

    def feed(self, data: bytes) -> Progress:
        try:
            events = self._parser.feed(data)
        except SseOverflow as error:
            return Progress(failure=Failure(FailureKind.BAD_RESPONSE, str(error)))
        frames: list[bytes] = []
        progress = Progress()
        for event in events:
            progress.event = True
            if event.data.startswith(DONE):
                # A server that gives no finish reason has counted the tokens when it is done.
                self._finish(progress, whole=self._finished or self._usage_chunk is not None)
                break
            if event.event == ERROR:
                progress.failure = in_stream(error_object(event.data))
                break
            try:
                chunk = decode_answer(event.data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                progress.failure = NOT_JSON
                break
            if chunk.error:
                progress.failure = in_stream(chunk.error)
                break
            if broke_off(chunk):
                progress.failure = BROKE_OFF
                break
            data = event.data
            if self._hides_reasoning and (rest := hidden(data)) is not None:
                progress.tokens += tokens_of(thought_size(chunk))
                data, chunk = rest, decode_answer(rest)
                if says_nothing(chunk):
                    continue
            if self._read(chunk, data, frames, progress):
                progress.content = self._shown = True
        progress.frames = b"".join(frames)
        return progress

    def _note(self, choice: WireChoice, progress: Progress) -> bool:
        """Note what one delta shows; whether it shows anything."""
        delta = choice.delta
        if choice.finish_reason and self.facts.json is not None:
            self.facts.json.finished(choice.finish_reason, choice.index or 0)
        if choice.index and choice.index not in self._finishes:
            self._seen.add(choice.index)
            self._finished = False
        if delta is None or not shows(delta):
            return False
        facts, text = self.facts, delta.content
        thought = delta.reasoning_content or delta.reasoning
        if isinstance(text, str) and text and not choice.index:
            facts.note(text, progress, keep=self._candidate.keeps_text)
            progress.reasoning = False
        elif isinstance(text, str) and text and facts.json is not None:
            facts.json.add(text, choice.index or 0)
        if thought or choice.index or shows_more_than_text(delta):
            facts.note_other(len(thought or "") + arguments_size(delta), progress)
            progress.reasoning = bool(thought) and not text and (progress.reasoning or not progress.content)
        return True

    def _read(self, chunk: WireAnswer, data: bytes, frames: list[bytes], progress: Progress) -> bool:
        """Forward or hold one chunk; whether it carries content."""
        self._learn(chunk)
        choices = chunk.choices or ()
        shows_content = [self._note(c, progress) for c in choices]
        content = any(shows_content)
        if chunk.usage is not None:
            self._usage = bytes(split_members(data).get("usage", b"null"))
            if not choices:
                self._usage_chunk = data
                return False
        finishing = {c.index or 0 for c in choices if c.finish_reason}
        if finishing and finishing <= self._finishes:
            # Told again, as some gateways do, and then with more beside it; callers hear the last one.
            frames += [frame(self._named(_without_finish(data)))] if content else []
            self._last = _without_content(data) if content else data
            return content
        if finishing:
            self._finishes |= finishing
            self._finished = self._finishes >= self._seen
            progress.finished = self._finished and len(self._finishes) >= self._answers
            if self._last is not None:
                frames.append(frame(self._named(self._last)))
            self._last = data
            if not content:
                return False
            # Content rides on the finish chunk: show it now, and finish with an empty delta later.
            frames.append(frame(self._named(_without_finish(data))))
            self._last = _without_content(data)
            return True
        if not content and self._begun(choices) and _is_start(data):
            return False
        if choices or not self._shown:
            frames.append(frame(self._named(data)))
        return content

    def _begun(self, choices: Sequence[WireChoice]) -> bool:
        """Whether all of these choices have begun before; now they have."""
        indexes = {c.index or 0 for c in choices}
        begun = indexes <= self._starts or (self._shown and indexes == {0})
        self._starts |= indexes
        return begun

    def _learn(self, answer: WireAnswer) -> None:
        facts = self.facts
        if answer.service_tier is not None:
            self._tier = answer.service_tier
        if answer.usage is not None:
            facts.usage = to_usage(answer.usage, tier_told(self._tier))
        if answer.id and not facts.response_id:
            facts.response_id = answer.id
            facts.created = int(answer.created or 0)
        for choice in answer.choices or ():
            if choice.finish_reason:
                facts.finish_reason = choice.finish_reason

    def _finish(self, progress: Progress, *, whole: bool) -> None:
        self._over = True
        if not whole:
            progress.failure = TRUNCATED
        elif not self._shown and not self._spent():
            progress.failure = EMPTY
        else:
            progress.done = True

    def _spent(self) -> bool:
        usage = self.facts.usage
        return (usage is not None and usage.output_tokens > 0) or self.facts.finish_reason not in {"", "stop", "eos"}

    def end(self) -> Progress:
        progress = Progress()
        if self._over:
            return progress
        whole = self._finished and len(self._finishes) >= self._answers
        if self._parser.rest().strip():
            progress = self.feed(b"\n\n")
            if whole and progress.failure is NOT_JSON:
                # Half an event behind the finish reason, such as a piece of [DONE]: it is dropped, as SSE says.
                progress.failure = None
        if not self._over and progress.failure is None:
            self._finish(progress, whole=self._finished and len(self._finishes) >= self._answers)
        return progress

    def closing(self, evidence: Evidence) -> bytes:
        frames = []
        last = self._last_chunk()
        if self._show_usage and self._usage_chunk is not None:
            if last is not None:
                frames.append(frame(self._named(last)))
            frames.append(frame(self._evident(split_members(self._usage_chunk), evidence)))
        elif last is not None:
            members = split_members(last)
            if self._usage is not None:
                members["usage"] = msgspec.Raw(self._usage)
            frames.append(frame(self._evident(members, evidence)))
        elif self._usage_chunk is not None:
            # Callers that did not ask for usage may not expect a chunk without choices.
            members = {**split_members(self._usage_chunk), "choices": raw([_NO_NEWS])}
            frames.append(frame(self._evident(members, evidence)))
        frames.append(frame(DONE))
        return b"".join(frames)

    def _last_chunk(self) -> bytes | None:
        """The chunk with the finish reason, as the style completes it."""
        if self._last is None or self._style is OPENAI:
            return self._last
        members = split_members(self._last)
        return join_members({**members, "choices": self._finished_choices(members)})

    def _evident(self, members: Members, evidence: Evidence) -> bytes:
        return self._style.chunk(self._with_evidence(members, evidence))

    def broken(self, error: RouterError, evidence: Evidence) -> bytes:
        return frame(self._style.broken(error, evidence, self.facts))

    def _with_evidence(self, members: Members, evidence: Evidence) -> bytes:
        body = dict(members)
        body["model"] = msgspec.Raw(self._model)
        usage = body.get("usage")
        more = self._style.usage(evidence.cost_usd) if usage is not None and bytes(usage).startswith(b"{") else {}
        if usage is not None and more:
            told = {name: raw(value) for name, value in more.items()}
            body["usage"] = msgspec.Raw(join_members({**split_members(bytes(usage)), **told}))
        body |= {name: raw(value) for name, value in self._style.evidence(evidence).items()}
        return join_members(body)

    def _named(self, data: bytes) -> bytes:
        """`data` with the model that really answers; by replacement where that is surely right, else by members."""
        at = data.find(b'"model":')
        choices = data.find(_CHOICES)
        if at >= 0 and (choices < 0 or at < choices):
            start = data.find(b'"', at + 8)
            stop = data.find(b'"', start + 1)
            if start >= 0 and stop > start and data[at + 8 : start].strip() == b"" and b"\\" not in data[start:stop]:
                return self._style.chunk(data[:start].lstrip() + self._model + data[stop + 1 :])
        members = split_members(data)
        members["model"] = msgspec.Raw(self._model)
        return self._style.chunk(join_members(members))


_STARTS = ({"role": "assistant"}, {"role": "assistant", "content": ""}, {"role": "assistant", "content": None})


def _is_start(data: bytes) -> bool:
    """Whether a chunk says that an answer begins, and nothing else."""
    choices = msgspec.json.decode(split_members(data).get("choices", b"null")) or []
    return bool(choices) and all(choice.get("delta") in _STARTS for choice in choices)


def _without_finish(data: bytes) -> bytes:
    """A chunk with nothing but its content."""
    members = split_members(data)
    choices = msgspec.json.decode(members["choices"])
    kept = [{name: c[name] for name in ("index", "delta", "logprobs") if name in c} for c in choices]
    members["choices"] = raw([{**choice, "finish_reason": None} for choice in kept])
    members.pop("usage", None)
    return join_members(members)


def _without_content(data: bytes) -> bytes:
    """A chunk without its content: finish reasons, and what providers add to them."""
    members = split_members(data)
    choices = msgspec.json.decode(members["choices"])
    for choice in choices:
        choice["delta"] = {}
        if "logprobs" in choice:
            choice["logprobs"] = None
    members["choices"] = raw(choices)
    return join_members(members)
