"""Answers that are bytes, and streams of server-sent events that pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import msgspec

from services.core.errors import Failure, FailureKind, RouterError
from services.core.routing.plan import Candidate
from services.dataplane.dialects.openai_errors import error_object_of
from services.dataplane.exchange import EMPTY, TRUNCATED
from services.dataplane.members import Members, NotAnObject, join_members, raw, split_members
from services.dataplane.operations.call import StreamedEvents
from services.dataplane.operations.translations import OperationTranslation, Upstream, with_evidence
from services.dataplane.operations.usage import usage_of
from services.dataplane.providers.openai import DONE, NOT_JSON
from services.dataplane.providers.openai_errors import error_object, in_stream
from services.dataplane.sse import ERROR, SseEvent, SseOverflow, SseParser, frame
from services.dataplane.translation import Evidence, Progress, TokenUsage

_MAX_EVENT = 64 * 1024 * 1024
"""A picture is one event."""
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+(?:\s*;\s*[\w!#$&^.+-]+=(?:[\w!#$&^.+:-]+|\"[^\"\r\n]*\"))*\Z")
_NOT_BYTES = ("application/json", "application/problem+json", "text/html", "text/event-stream")

NOT_BYTES = Failure(FailureKind.BAD_RESPONSE, "the provider's answer is not of the kind that was asked for")


class BytesDecoder(Protocol):
    """Takes the bytes of an answer out of what a provider wraps them in. One per attempt."""

    usage: TokenUsage | None
    """What was used, as far as it was told by now."""

    def feed(self, data: bytes) -> bytes | Failure:
        """The bytes in `data`, which may be cut anywhere."""

    def end(self) -> bytes | Failure:
        """The upstream closed cleanly: what is left, or why the answer is not whole."""


class PlainBytes:
    """Bytes that nobody wrapped."""

    usage: TokenUsage | None = None

    def feed(self, data: bytes) -> bytes | Failure:
        return data

    def end(self) -> bytes | Failure:
        return b""


class BytesTranslation(OperationTranslation):
    """An answer that is bytes, streamed or whole: sound, or text that is no JSON.

    It is whole when the provider's answer ends cleanly. One that breaks has no place for an error.

    Args:
        kind: Content type of the answer, where the provider does not say a proper one.
        decoder: None: the bytes come as they are, under the provider's own content type.
        usage: What is known to be used before anything came.
    """

    def __init__(
        self,
        upstream: Upstream,
        candidate: Candidate,
        warnings: list[str],
        *,
        kind: str,
        decoder: BytesDecoder | None = None,
        usage: TokenUsage | None = None,
        may_be_empty: bool = False,
    ) -> None:
        super().__init__(upstream, candidate, warnings)
        self.answer_type = kind
        self._plain = decoder is None
        self._decoder = decoder or PlainBytes()
        self._may_be_empty = may_be_empty
        self._body = b""
        self._shown = False
        self.facts.usage = usage
        self.facts.frames_type = kind

    def answer(self, body: bytes) -> Failure | None:
        failure = self._typed(body)
        if failure is not None:
            return failure
        pieces: list[bytes] = []
        for step in (partial(self._decoder.feed, body), self._decoder.end):
            found = step()
            if isinstance(found, Failure):
                return found
            pieces.append(found)
        self._body = b"".join(pieces)
        self._learn()
        return EMPTY if not self._body and not self._may_be_empty else None

    def render(self, evidence: Evidence) -> bytes:
        return self._body

    def feed(self, data: bytes) -> Progress:
        failure = None if self._shown else self._typed(data)
        return self._progress(failure or self._decoder.feed(data))

    def end(self) -> Progress:
        progress = self._progress(self._decoder.end())
        if progress.failure is None:
            progress.done = self._shown or self._may_be_empty
            progress.failure = None if progress.done else EMPTY
        return progress

    def _progress(self, found: bytes | Failure) -> Progress:
        if isinstance(found, Failure):
            return Progress(failure=found)
        self._learn()
        self._shown = self._shown or bool(found)
        return Progress(frames=found, event=True, content=bool(found))

    def _learn(self) -> None:
        self.facts.usage = self._decoder.usage or self.facts.usage

    def _typed(self, data: bytes) -> Failure | None:
        """Take over the provider's content type; a failure if it says that this is something else."""
        if not self._plain:
            return None
        told = self.facts.headers.get("content-type", "")
        kind = told.partition(";")[0].strip().lower()
        if kind in _NOT_BYTES:
            error = error_object(data)
            return (
                in_stream(error) if isinstance(error, Mapping) and ("code" in error or "type" in error) else NOT_BYTES
            )
        if _MEDIA_TYPE.match(told) and kind != "application/octet-stream":
            self.answer_type = self.facts.frames_type = told
        return None


Reword = Callable[[str, Members], Members | None]
"""An event of a provider by its type, as the caller's dialect has it; None: it has none."""


class EventTranslation(OperationTranslation):
    """A stream of server-sent events in OpenAI's words.

    The last event waits for the stream's end, so that the evidence can ride on it.

    Args:
        answers: How many times the last event has to come: once for every picture.
        reword: Set when the provider's events are spelled differently.
        characters: Text that is spoken.
    """

    stream_type = "event-stream"

    def __init__(
        self,
        upstream: Upstream,
        candidate: Candidate,
        warnings: list[str],
        events: StreamedEvents,
        *,
        answers: int = 1,
        reword: Reword | None = None,
        characters: int = 0,
    ) -> None:
        super().__init__(upstream, candidate, warnings)
        self._events = events
        self._left = answers
        self._reword = reword
        self._characters = characters
        self._parser = SseParser(_MAX_EVENT)
        self._last: SseEvent | None = None
        self._images = 0
        self._shown = False
        self._closed = False

    def feed(self, data: bytes) -> Progress:
        progress = Progress()
        try:
            events = self._parser.feed(data)
        except SseOverflow as error:
            return Progress(failure=Failure(FailureKind.BAD_RESPONSE, str(error)))
        frames: list[bytes] = []
        for event in events:
            progress.event = True
            if event.data.startswith(DONE):
                self._closed = True
                self._finish(progress)
                break
            progress.failure = self._read(event, frames, progress)
            if progress.failure is not None:
                break
        progress.frames = b"".join(frames)
        return progress

    def _read(self, event: SseEvent, frames: list[bytes], progress: Progress) -> Failure | None:
        """Forward or hold one event; the failure that it is or tells of."""
        if event.event == ERROR:
            return in_stream(error_object(event.data))
        try:
            members = split_members(event.data)
            kind = _text(members.get("type")) or event.event
        except (NotAnObject, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return NOT_JSON
        if kind == "error" or bytes(members.get("error", b"null")) != b"null":
            return in_stream(error_object(event.data))
        name = event.event
        if self._reword is not None:
            reworded = self._reword(kind, members)
            if reworded is None:
                return None
            members, name, kind = reworded, "", _text(reworded["type"])
        if kind == self._events.last:
            if not self._count(members):
                return NOT_JSON
            self._left -= 1
            if self._left <= 0:
                self._last = SseEvent(name, join_members(members), b"")
                progress.finished = True
                if self._events.last_shows and not self._shown:
                    progress.content = self._shown = True
                return None
        if kind in self._events.content or (kind == self._events.last and self._events.last_shows):
            progress.content = self._shown = True
        data = event.data if self._reword is None and b"\n" not in event.data else join_members(members)
        frames.append(frame(data.replace(b"\n", b""), name))
        return None

    def _count(self, members: Members) -> bool:
        """Note what a last event says was used; False: it cannot be read."""
        self._images += "b64_json" in members or "url" in members
        try:
            told = msgspec.json.decode(members["usage"]) if "usage" in members else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return False
        found = usage_of(told, images=self._images, characters=self._characters)
        self.facts.usage = found or self.facts.usage
        return True

    def _finish(self, progress: Progress) -> None:
        if self._last is None:
            progress.failure = TRUNCATED
        elif not self._shown:
            progress.failure = EMPTY
        else:
            progress.done = True

    def end(self) -> Progress:
        progress = self.feed(b"\n\n") if self._parser.rest().strip() else Progress()
        if self._last is not None and progress.failure is NOT_JSON:
            # Half an event behind the last one, such as a piece of [DONE]: it is dropped, as SSE says.
            progress.failure = None
        if progress.failure is None and not progress.done:
            self._finish(progress)
        return progress

    def closing(self, evidence: Evidence) -> bytes:
        assert self._last is not None, "closing follows a whole stream"
        members = with_evidence(split_members(self._last.data), evidence)
        return frame(join_members(members), self._last.event) + (frame(DONE) if self._closed else b"")

    def broken(self, error: RouterError, evidence: Evidence) -> bytes | None:
        return frame(bytes(raw({"error": error_object_of(error), "metadata": evidence.metadata})))


def _text(value: Any) -> str:
    found = msgspec.json.decode(value) if value is not None else ""
    return found if isinstance(found, str) else ""
