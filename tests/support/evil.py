"""What a provider can do wrong on the wire, as a table: every ending at every phase, in every wire form.

A `Fault` says what its provider sends, and what that means for one attempt: `NEXT` (the attempt failed,
another target may answer), `STOP` (no target will do better) or `WHOLE` (odd, but a whole answer). What a
caller must see follows from that and from the phase, see `tests/support/matrix.py`; no row says it.

The table is made of
  cuts       `ENDINGS` x `Phase`: resets, silence, a slow drip, garbage, errors … at every phase
  statuses   error statuses with their bodies, and Retry-After in all its forms (`evil_statuses.py`)
  shapes     whole answers of odd shape: cut lengths, encodings, redirects, two finishes … (`evil_shapes.py`)
  hosts      what happens before there is a connection (`evil_hosts.py`)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum

from services.core.errors import Clock, FailureKind
from tests.support.cohere_server import cohere_answer, cohere_events
from tests.support.converse import converse_frame
from tests.support.converse_server import EVENT_STREAM_HEAD, converse_answer, converse_events
from tests.support.upstream import (
    STREAM_END,
    STREAM_HEAD,
    Close,
    Pause,
    Reset,
    Step,
    Trickle,
    anthropic_answer,
    anthropic_events,
    chunk,
    google_answer,
    google_events,
    openai_answer,
    openai_events,
    responses_answer,
    responses_events,
)

WIRES = ("openai", "anthropic", "google", "bedrock", "responses", "cohere")
FIRST = "first-piece "
"""The first content of an evil answer; a script that says `shown` goes on when the caller has it."""
TEXTS = (FIRST, "w\u00f6rld \U0001f642 ", "then more ", "at last.")
FULL = "".join(TEXTS)
DRIP_SECONDS = 0.03
DRIP_LASTS = 10.0
"""Longer than every clock of the matrix."""
PING_SECONDS = 0.05

K = FailureKind
TIMEOUTS = frozenset(kind for kind in K if kind.value.endswith("_TIMEOUT"))
BROKEN_OFF = frozenset({K.DISCONNECTED, K.CONNECT_FAILED})
NOT_WHOLE = frozenset({K.STREAM_TRUNCATED, K.BAD_RESPONSE})


class Phase(IntEnum):
    """How far an answer has come. From `CONTENT` on the caller of a stream has something of it."""

    CONNECT = 0
    REQUEST = 1
    HALF_HEADERS = 2
    HEADERS = 3
    PINGS = 4
    LIFECYCLE = 5
    CONTENT = 6
    MID_JSON = 7
    MID_UTF8 = 8
    LAST_CONTENT = 9
    FINISHED = 10
    """The finish reason was told; the terminal event was not."""
    TERMINAL = 11


class Fate(Enum):
    """What becomes of an attempt by itself."""

    NEXT = "next"
    STOP = "stop"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Scene:
    """One request at an evil provider. `shown` opens when the caller has the first content."""

    wire: str
    stream: bool
    shown: Pause


Script = Callable[[Scene], Sequence[Step]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One row.

    Attributes:
        phase: Where it strikes.
        kinds: The names that the failure may have in the record.
        status: What the caller of a stopped request gets.
        requests: How often the target sees the request; 2 after a short Retry-After.
        wait: Seconds between the two, at least.
        clock: The clock that has to trip, or that ends an answer which is whole; None: time has no part in it.
        host: Which of the hosts does it; see `evil_hosts.py`.
        text: What a whole answer says.
    """

    name: str
    phase: Phase
    fate: Fate
    kinds: frozenset[FailureKind]
    script: Script
    status: int = 400
    requests: int = 1
    wait: float = 0.0
    clock: Clock | None = None
    host: str = "evil"
    text: str = FULL


def mark(data: bytes) -> bytes:
    """`data` with the characters of `TEXTS` as UTF-8 instead of JSON escapes, so that they can be cut."""
    return data.replace(b"\\u00f6", "\u00f6".encode()).replace(b"\\ud83d\\ude42", "\U0001f642".encode())


_EVENTS = {
    "openai": openai_events,
    "anthropic": anthropic_events,
    "google": google_events,
    "bedrock": converse_events,
    "responses": responses_events,
    "cohere": cohere_events,
}
_ANSWERS = {
    "openai": openai_answer,
    "anthropic": anthropic_answer,
    "google": google_answer,
    "bedrock": converse_answer,
    "responses": responses_answer,
    "cohere": cohere_answer,
}


def stream_head(wire: str) -> bytes:
    """The head of a stream."""
    return EVENT_STREAM_HEAD if wire == "bedrock" else STREAM_HEAD


def frames_of(wire: str, *texts: str) -> list[bytes]:
    """The frames of an evil stream: lifecycle, one content each, finish and terminal."""
    return [mark(frame) for frame in _EVENTS[wire](*texts)]


def lifecycle(wire: str) -> int:
    """How many frames come before the first content."""
    return {"openai": 1, "anthropic": 2, "google": 1, "bedrock": 1, "responses": 4, "cohere": 2}[wire]


def terminal(wire: str) -> int:
    """How many frames come behind the finish reason: usage and [DONE], message_stop, a late count of tokens, or the
    response as a whole.
    """
    return 2 if wire == "openai" else 1


def has_terminal(wire: str) -> bool:
    """Whether the protocol has a terminal event; if not, a clean end behind the finish reason is one."""
    return wire != "google"


def whole_body(wire: str, text: str = FULL) -> bytes:
    """The body of an evil answer that is not streamed."""
    return mark(json.dumps(_ANSWERS[wire](text)).encode())


def ping(wire: str, *, stream: bool) -> bytes:
    """What keeps a connection alive and says nothing."""
    if not stream:
        return b"\n"
    if wire == "bedrock":
        return converse_frame({"ping": {}})
    return b'event: ping\ndata: {"type": "ping"}\n\n' if wire == "anthropic" else b": still here\n\n"


_GOOGLE = {
    "server_error": (500, "INTERNAL"),
    "api_error": (500, "INTERNAL"),
    "overloaded_error": (503, "UNAVAILABLE"),
    "invalid_request_error": (400, "INVALID_ARGUMENT"),
    "rate_limit_error": (429, "RESOURCE_EXHAUSTED"),
}
"""Google's codes and statuses for the words of the others."""


_BEDROCK = {
    "server_error": "InternalServerException",
    "api_error": "InternalServerException",
    "overloaded_error": "ServiceUnavailableException",
    "invalid_request_error": "ValidationException",
    "rate_limit_error": "ThrottlingException",
    "": "NewException",
}
"""Amazon's exceptions for the words of the others."""


def error_object(wire: str, kind: str, code: str | None = None) -> bytes:
    """An error body."""
    if wire == "google":
        told = dict(zip(("code", "status"), _GOOGLE[kind], strict=True)) if kind else {}
        return json.dumps({"error": {"message": "The upstream reports a problem.", **told}}).encode()
    if wire == "bedrock":
        told = {"__type": f"com.amazon.coral.service#{_BEDROCK[kind]}"}
        return json.dumps({**told, "message": "The upstream reports a problem."}).encode()
    if wire == "cohere":
        told = {"error_type": code or kind} if code or kind else {}
        return json.dumps({"id": "c-1", "message": "The upstream reports a problem.", **told}).encode()
    error = {"message": "The upstream reports a problem.", "type": kind}
    flat = {**error, "param": None, "code": code}
    body = {"type": "error", "error": error} if wire == "anthropic" else {"error": flat}
    return json.dumps(body).encode()


def error_event(wire: str, kind: str, code: str | None = None) -> bytes:
    """An error as an event of a stream."""
    if wire == "bedrock":
        name = _BEDROCK[kind][:1].lower() + _BEDROCK[kind][1:]
        return converse_frame({"exception": {name: {"message": "The upstream reports a problem."}}})
    told = b"event: error\n" if wire in {"anthropic", "responses"} else b""
    body = error_object(wire, kind, code)
    if wire == "responses":
        body = body.replace(b"{", b'{"type": "error", "sequence_number": 99, ', 1)
    return told + b"data: " + body + b"\n\n"


# Prefixes: what was sent until a phase.


def before(scene: Scene, phase: Phase, head: bytes = b"", wrap: Callable[[bytes], bytes] = chunk) -> list[Step]:
    """The steps that bring an answer to `phase`; `wrap` frames the body on the wire."""
    head = head or stream_head(scene.wire)
    if phase <= Phase.REQUEST:
        return []
    if phase is Phase.HALF_HEADERS:
        return [head[: len(head) // 2]]
    if not scene.stream:
        return [head, *(wrap(part) for part in [_whole_until(scene.wire, phase)] if part)]
    parts = _stream_until(scene.wire, phase)
    steps: list[Step] = [head, *(wrap(part) for part in parts)]
    if phase >= Phase.CONTENT:
        steps.insert(2 + lifecycle(scene.wire), scene.shown)
    return steps


def rest(scene: Scene, phase: Phase) -> bytes:
    """What would have come behind `phase`, on the wire."""
    head, done = stream_head(scene.wire), b""
    if not scene.stream:
        done = whole_body(scene.wire)[len(_whole_until(scene.wire, phase)) :]
    else:
        sent = [] if phase is Phase.PINGS else _stream_until(scene.wire, phase)
        done = b"".join(frames_of(scene.wire, *TEXTS))[len(b"".join(sent)) :]
    body = (chunk(done) if done else b"") + STREAM_END
    if phase <= Phase.REQUEST:
        return head + body
    return head[len(head) // 2 :] + body if phase is Phase.HALF_HEADERS else body


def _stream_until(wire: str, phase: Phase) -> list[bytes]:
    """The pieces of a stream until `phase`; the first content is a piece of its own."""
    frames, head = frames_of(wire, *TEXTS), lifecycle(wire)
    if phase in {Phase.REQUEST, Phase.HALF_HEADERS, Phase.HEADERS}:
        return []
    if phase is Phase.PINGS:
        return [ping(wire, stream=True)] * 2
    if phase is Phase.LIFECYCLE:
        return frames[:head]
    shown, following = frames[: head + 1], frames[head + 1]
    cuts = {
        Phase.CONTENT: shown,
        Phase.MID_JSON: [*shown, following[: len(following) // 2]],
        Phase.MID_UTF8: [*shown, following[: following.index("\u00f6".encode()) + 1]],
        Phase.LAST_CONTENT: frames[: head + len(TEXTS)],
        Phase.FINISHED: frames[: -terminal(wire)],
        Phase.TERMINAL: frames,
    }
    return cuts[phase]


def _whole_until(wire: str, phase: Phase) -> bytes:
    """The part of a whole answer that corresponds to `phase` of a stream."""
    body = whole_body(wire)
    first = body.index(FIRST.encode())
    ends = {
        Phase.REQUEST: 0,
        Phase.HALF_HEADERS: 0,
        Phase.HEADERS: 0,
        Phase.LIFECYCLE: first,
        Phase.CONTENT: first + len(FIRST),
        Phase.MID_JSON: (first + len(body)) // 2,
        Phase.MID_UTF8: body.index("\u00f6".encode()) + 1,
        Phase.LAST_CONTENT: body.index(TEXTS[-1].encode()) + len(TEXTS[-1]),
        Phase.FINISHED: len(body) - 1,
        Phase.TERMINAL: len(body),
    }
    return ping(wire, stream=False) * 3 if phase is Phase.PINGS else body[: ends[phase]]


# Endings: what happens then.


@dataclass(frozen=True, slots=True)
class Ending:
    """How an answer goes on from a phase.

    Attributes:
        kinds: What the attempt's failure may be called.
        phases: The phases at which it can happen.
        clean: The body ends as HTTP says, so what came before decides.
        slow: It ends by a clock. `moves`: bytes keep coming, and say nothing.
        fate: What it means where the answer is not whole yet.
    """

    name: str
    steps: Callable[[Scene, Phase], list[Step]]
    kinds: frozenset[FailureKind]
    phases: tuple[Phase, ...]
    clean: bool = False
    slow: bool = False
    moves: bool = False
    fate: Fate = Fate.NEXT


ANYWHERE = tuple(phase for phase in Phase if phase is not Phase.CONNECT)
IN_BODY = tuple(phase for phase in ANYWHERE if phase >= Phase.HEADERS)
BETWEEN_EVENTS = tuple(phase for phase in IN_BODY if phase not in {Phase.MID_JSON, Phase.MID_UTF8})
BIG_LINE = b"data: " + b"x" * (8 * 1024 * 1024)


def _event(data: bytes, body: bytes | None = None) -> Callable[[Scene, Phase], list[Step]]:
    """An event, or something else in a whole body, and silence: closing is up to the client."""

    def steps(scene: Scene, phase: Phase) -> list[Step]:
        del phase
        if scene.stream:
            return [chunk(data), Pause()]
        return [chunk(data if body is None else body), STREAM_END]

    return steps


def _error(kind: str, code: str | None = None) -> Callable[[Scene, Phase], list[Step]]:
    def steps(scene: Scene, phase: Phase) -> list[Step]:
        del phase
        told = error_event(scene.wire, kind, code) if scene.stream else error_object(scene.wire, kind, code)
        return [chunk(told), STREAM_END]

    return steps


def _drip(scene: Scene, phase: Phase) -> list[Step]:
    left = rest(scene, phase)
    every = DRIP_LASTS / len(STREAM_HEAD) * 2 if phase <= Phase.HALF_HEADERS else DRIP_LASTS / len(left)
    return [Trickle(left, 1, max(DRIP_SECONDS, every)), Pause()]


def _pings(scene: Scene, phase: Phase) -> list[Step]:
    del phase
    return [Trickle(chunk(ping(scene.wire, stream=scene.stream)), 10_000, PING_SECONDS, forever=True)]


ENDINGS = (
    Ending("reset", lambda scene, phase: [Reset], BROKEN_OFF, ANYWHERE),
    Ending("close", lambda scene, phase: [Close], BROKEN_OFF | NOT_WHOLE, ANYWHERE),
    Ending("hang", lambda scene, phase: [Pause()], TIMEOUTS, ANYWHERE, slow=True),
    Ending("drip", _drip, TIMEOUTS, ANYWHERE, slow=True, moves=True),
    Ending("pings", _pings, TIMEOUTS, BETWEEN_EVENTS, slow=True, moves=True),
    Ending("end", lambda scene, phase: [STREAM_END], NOT_WHOLE, IN_BODY, clean=True),
    Ending("half-chunk", lambda scene, phase: [b"ff\r\ndata", Close], BROKEN_OFF | NOT_WHOLE, IN_BODY),
    Ending("bad-chunk", lambda scene, phase: [b"zz\r\nwhat\r\n", Pause()], BROKEN_OFF | NOT_WHOLE, IN_BODY),
    Ending("garbage", _event(b"data: {oops\n\n"), NOT_WHOLE, BETWEEN_EVENTS),
    Ending("bad-utf8", _event(b'data: {"type":"x\xff\xfe","id":"\xff"}\n\n'), NOT_WHOLE, BETWEEN_EVENTS),
    Ending("big-line", _event(BIG_LINE), NOT_WHOLE, BETWEEN_EVENTS),
    Ending("error", _error("server_error"), frozenset({K.SERVER_ERROR, K.STREAM_ERROR}), BETWEEN_EVENTS),
    Ending("overloaded", _error("overloaded_error"), frozenset({K.OVERLOADED}), BETWEEN_EVENTS),
    Ending("no-code", _error(""), frozenset({K.STREAM_ERROR}), BETWEEN_EVENTS),
    Ending("refusal", _error("invalid_request_error"), frozenset({K.INVALID_REQUEST}), BETWEEN_EVENTS, fate=Fate.STOP),
)


def _is_whole(wire: str, *, stream: bool, phase: Phase, ending: Ending) -> bool:
    """Whether the answer was whole before its odd end.

    A stream ends with its terminal event, whatever the connection does behind it. OpenAI's and Bedrock's may leave the
    terminal out, and Gemini's has none: they are whole if HTTP ends cleanly behind the finish reason, or nothing
    comes any more. A whole answer ends where HTTP says so.
    """
    if not stream:
        return phase is Phase.TERMINAL and ending.clean
    if not has_terminal(wire):
        return phase >= Phase.FINISHED and (ending.clean or ending.slow)
    return phase is Phase.TERMINAL or (
        phase is Phase.FINISHED and wire in {"openai", "bedrock"} and (ending.clean or ending.slow)
    )


def _clock(phase: Phase, ending: Ending, *, stream: bool) -> Clock:
    """The clock that ends an answer which stops moving, or keeps moving and says nothing, at `phase`."""
    if phase <= Phase.HALF_HEADERS:
        return Clock.HEADERS
    if not stream:
        return Clock.TOTAL
    if phase in {Phase.HEADERS, Phase.PINGS}:
        return Clock.FIRST_EVENT
    if phase is Phase.LIFECYCLE:
        return Clock.FIRST_CONTENT
    return Clock.TOTAL if ending.moves else Clock.IDLE


def cuts(wire: str, *, stream: bool) -> list[Fault]:
    """Every ending at every phase at which it can happen."""
    return [_cut(wire, ending, phase, stream=stream) for ending in ENDINGS for phase in ending.phases]


def _cut(wire: str, ending: Ending, phase: Phase, *, stream: bool) -> Fault:
    whole = _is_whole(wire, stream=stream, phase=phase, ending=ending)
    kinds, fate = ending.kinds, Fate.WHOLE if whole else ending.fate
    if not stream and ending.steps.__qualname__.startswith("_error") and phase not in {Phase.HEADERS, Phase.PINGS}:
        # An error object behind a part of an answer is neither.
        kinds, fate = NOT_WHOLE, Fate.NEXT
    return Fault(
        name=f"{ending.name}-{phase.name.lower().replace('_', '-')}",
        phase=phase,
        fate=fate,
        kinds=kinds,
        script=lambda scene: [*before(scene, phase), *ending.steps(scene, phase)],
        clock=_clock(phase, ending, stream=stream) if ending.slow else None,
    )
