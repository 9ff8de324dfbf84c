"""Reads Gemini's answers: chunk by chunk into stream events, and whole answers by the same way."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec

from services.core.errors import Failure, FailureKind
from services.dataplane.exchange import (
    AudioDelta,
    Citation,
    CitationDelta,
    Failed,
    Finished,
    Image,
    ImageDelta,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from services.dataplane.providers.google_errors import blocked, failed, in_stream
from services.dataplane.providers.google_sources import MAX_CITATIONS, sources_of
from services.dataplane.providers.google_wire import (
    FAILED_REASONS,
    WireAnswer,
    WireBlob,
    WireCandidate,
    WireFunctionCall,
    WireLogprob,
    WireLogprobs,
    WirePart,
    WirePartialArg,
    WireUsage,
    finish_of,
    finish_word,
    to_usage,
)

NOT_PROTOCOL = Failure(FailureKind.BAD_RESPONSE, "the provider's answer is not one of generateContent")
_VENDOR = "google"
_STEP = re.compile(r"\.([^.\[\]]+)|\['([^']*)'\]|\[([0-9]{1,9})\]")
_MAX_ITEMS = 10_000
"""The longest list that pieces of arguments may build; a place behind it is a hostile one."""


@dataclass(slots=True)
class _Open:
    """A tool call whose arguments come in pieces."""

    index: int
    args: dict[str, Any]
    going_on: bool = False
    """The last text goes on with the next piece."""


class GoogleReader:
    """Reads the chunks of one answer."""

    def __init__(self) -> None:
        self.finished = False
        self._id = ""
        self._started = False
        self._calls = 0
        self._open: _Open | None = None
        self._texts: list[str] = []
        self._cited: set[Citation] = set()
        self._searches = 0
        self._usage: WireUsage | None = None

    def read(self, chunk: WireAnswer) -> list[StreamEvent]:
        """The events of one chunk. A Failed is the last one; nothing may be read behind it."""
        if chunk.error:
            return [Failed(in_stream(chunk.error))]
        refusal = blocked(chunk.prompt_feedback)
        if refusal is not None:
            return [Failed(refusal)]
        if _is_nothing(chunk):
            return [Failed(NOT_PROTOCOL)]
        out: list[StreamEvent] = []
        if not self._started:
            self._started, self._id = True, chunk.response_id or ""
            out.append(Started(self._id, created=_seconds(chunk.create_time)))
        candidates = [c for c in chunk.candidates or () if not c.index]  # other dialects have one answer
        self._count(chunk.usage_metadata, candidates, out)
        for candidate in candidates:
            self._read_candidate(candidate, out)
            if out and isinstance(out[-1], Failed):
                break
        return out

    def _count(self, usage: WireUsage | None, candidates: Iterable[WireCandidate], out: list[StreamEvent]) -> None:
        queries = [len(g.web_search_queries or ()) for c in candidates if (g := c.grounding_metadata) is not None]
        searched = max([self._searches, *queries])
        if usage is not None and (usage.prompt_token_count or usage.candidates_token_count):
            self._usage = usage
        elif searched == self._searches:
            return
        self._searches = searched
        out.append(UsageReported(to_usage(self._usage or WireUsage(), searched)))

    def _read_candidate(self, candidate: WireCandidate, out: list[StreamEvent]) -> None:
        logprobs = _logprobs(candidate.logprobs_result)
        for part in (candidate.content.parts if candidate.content is not None else None) or ():
            if part.text and not part.thought:
                self._texts.append(part.text)
                out.append(TextDelta(part.text, logprobs))
                logprobs = ()
            self._read_part(part, out)
        for citation in sources_of(candidate, self._texts, MAX_CITATIONS - len(self._cited)):
            if citation not in self._cited:
                self._cited.add(citation)
                out.append(CitationDelta(citation))
        word = finish_word(candidate.finish_reason)
        if word in FAILED_REASONS:
            out.append(Failed(failed(word)))
        elif word:
            self._close(out)
            self.finished = True
            out.append(Finished(finish_of(word, called=bool(self._calls))))

    def _read_part(self, part: WirePart, out: list[StreamEvent]) -> None:
        """What a part holds beside text for the caller."""
        signature = part.thought_signature or ""
        if part.thought and (part.text or signature):
            out.append(ThinkingDelta(part.text or "", signature, vendor=_VENDOR))
        elif part.function_call is not None:
            self._read_call(part.function_call, signature, out)
        elif part.inline_data is not None and part.inline_data.data and not part.thought:
            out.append(_media(part.inline_data, part.inline_data.data))
            _add_signature(signature, out)
        elif not (part.executable_code or part.code_execution_result or part.tool_call or part.tool_response):
            # The signatures of what Google ran itself are of no use without it.
            _add_signature(signature, out)

    def _read_call(self, call: WireFunctionCall, signature: str, out: list[StreamEvent]) -> None:
        if call.name or self._open is None:
            self._close(out)
            if not call.name:
                return
            index, self._calls = self._calls, self._calls + 1
            out.append(ToolCallStarted(index, call.id or self._call_id(index, call.name), call.name, signature))
            self._open = _Open(index, dict(call.args or {}))
        else:
            self._open.args.update(call.args or {})
        for piece in call.partial_args or ():
            if not _place(self._open, piece):
                out.append(Failed(NOT_PROTOCOL))
                return
        if not call.will_continue:
            self._close(out)

    def _call_id(self, index: int, name: str) -> str:
        """An id for a call without one: the same whenever this answer is read, another one in every other answer."""
        told = f"{self._id}/{index}/{name}".encode("utf-8", "surrogatepass")
        return f"call_{blake2b(told, digest_size=12).hexdigest()}"

    def _close(self, out: list[StreamEvent]) -> None:
        """End the call that is open: its arguments are whole."""
        if self._open is not None:
            out.append(ToolCallDelta(self._open.index, msgspec.json.encode(self._open.args).decode()))
            self._open = None


def _is_nothing(chunk: WireAnswer) -> bool:
    return (
        chunk.candidates is None
        and chunk.prompt_feedback is None
        and chunk.usage_metadata is None
        and not chunk.model_version
        and not chunk.response_id
    )


def _add_signature(signature: str, out: list[StreamEvent]) -> None:
    if signature:
        out.append(ThinkingDelta(signature=signature, vendor=_VENDOR))


def _media(blob: WireBlob, data: str) -> ImageDelta | AudioDelta:
    media_type = blob.mime_type or "image/png"
    if media_type.startswith("audio/"):
        return AudioDelta(data, format=_format(media_type))
    return ImageDelta(Image(data=data, media_type=media_type))


def _format(media_type: str) -> str:
    """The name of a sound format. What Google calls L16 has the byte order of OpenAI's pcm16."""
    subtype = media_type.removeprefix("audio/").partition(";")[0].strip().lower()
    return "pcm16" if subtype in {"l16", "pcm"} else subtype


def _seconds(created: str | None) -> int:
    """Seconds since the Unix epoch; 0: not told."""
    try:
        return int(datetime.fromisoformat(created or "").timestamp())
    except (ValueError, OverflowError):
        return 0


def _logprobs(found: WireLogprobs | None) -> tuple[dict[str, Any], ...]:
    """OpenAI's token objects."""
    if found is None:
        return ()
    tops = [top.candidates or [] for top in found.top_candidates or ()]
    chosen = found.chosen_candidates or ()
    return tuple(
        {**_token(token), "top_logprobs": [_token(t) for t in (tops[index] if index < len(tops) else ())]}
        for index, token in enumerate(chosen)
    )


def _token(token: WireLogprob) -> dict[str, Any]:
    text = token.token or ""
    data = list(text.encode("utf-8", "surrogatepass"))
    return {"token": text, "logprob": token.log_probability or 0.0, "bytes": data}


def _place(call: _Open, piece: WirePartialArg) -> bool:
    """Put a piece of arguments at its place; whether the place is one."""
    path = piece.json_path or ""
    steps = [int(number) if number else name or quoted for name, quoted, number in _STEP.findall(path)]
    if not path.startswith("$") or not steps or "".join(m[0] for m in _STEP.finditer(path)) != path[1:]:
        return False
    at: Any = call.args
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        last = following is None
        fresh: Any = None if last else [] if isinstance(following, int) else {}
        if not _reach(at, step, fresh):
            return False
        if last:
            old = at[step] if call.going_on else None
            at[step] = _value(piece, old)
        at = at[step]
    call.going_on = piece.will_continue is True
    return True


def _reach(at: Any, step: str | int, fresh: Any) -> bool:
    """Make sure that `at` has something at `step`; whether it can."""
    if isinstance(at, dict) and isinstance(step, str):
        at.setdefault(step, fresh)
    elif isinstance(at, list) and isinstance(step, int) and step <= len(at) < _MAX_ITEMS:
        if step == len(at):
            at.append(fresh)
    else:
        return False
    return True


def _value(piece: WirePartialArg, old: Any) -> Any:
    if piece.string_value is not None:
        return old + piece.string_value if isinstance(old, str) else piece.string_value
    if piece.bool_value is not None:
        return piece.bool_value
    number = piece.number_value
    return int(number) if number is not None and number.is_integer() else number
