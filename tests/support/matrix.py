"""The matrix: API x stream x wire x fault x topology, and what a caller must see in each cell.

No cell has an expectation of its own. It follows from the fault's row:
  the row's fate is WHOLE            whole: the caller has the evil target's whole answer, from one attempt
  a stream that has shown content    broken: the caller has that content and an error in the stream, no terminal
                                     event, and nobody else was asked; but where policy mends, and the row's fate
                                     is NEXT, mended: the caller has the whole answer, and no seam
  the row's fate is STOP             stop: the caller has an error with the row's status; nobody else was asked
  else                               failover: the caller has the good target's answer and no trace of the evil one
and in every cell the record, the caller's metadata and the upstreams' journals agree, the stream is what a
strict client reads, and the evil target's connection is over.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any
from urllib.parse import unquote

from turnout.record.v1.record_pb2 import RequestRecord

from services.core.errors import Clock, FailureKind
from tests.support.asking import question
from tests.support.cohere_server import cohere_answer, cohere_events
from tests.support.converse_server import converse_answer, converse_events
from tests.support.evil import FULL, WIRES, Fate, Fault, Phase, Scene, cuts, stream_head
from tests.support.evil_hosts import Host, hosts
from tests.support.evil_shapes import shapes
from tests.support.evil_statuses import MAX_WAIT, more_statuses, statuses
from tests.support.upstream import (
    Pause,
    Seen,
    Step,
    anthropic_answer,
    anthropic_events,
    google_answer,
    google_events,
    openai_answer,
    openai_events,
    responses_answer,
    responses_events,
    streamed,
    whole,
)

APIS = ("chat.completions", "messages", "openrouter.chat.completions", "responses", "generateContent", "typed")
POLICIES = {"honest": "honest_error", "mending": "verified_resume"}
"""What policy says of answers that break after their first content."""
GOOD = "Good answer."
PROVIDERS = {
    "openai": ("openai_compatible", "/v1"),
    "anthropic": ("anthropic", ""),
    "google": ("google", "/v1beta"),
    "bedrock": ("bedrock", ""),
    "responses": ("openai", "/v1"),
    "cohere": ("cohere", "/v2"),
}
"""Provider type of each wire form, and the path of its address."""
ANSWERS = {
    "openai": (openai_answer, openai_events),
    "anthropic": (anthropic_answer, anthropic_events),
    "google": (google_answer, google_events),
    "bedrock": (converse_answer, converse_events),
    "responses": (responses_answer, responses_events),
    "cohere": (cohere_answer, cohere_events),
}
CLOCKS = (Clock.CONNECT, Clock.HEADERS, Clock.FIRST_EVENT, Clock.FIRST_CONTENT, Clock.IDLE, Clock.TOTAL)
SHORT, LONG, PATIENT = "1500ms", "3s", "60s"
"""How long clocks run: the one that has to trip, the same if it measures a whole answer, and the others."""
END_SECONDS = 10.0
"""How long a connection to an evil target may outlive its request; a whole answer's may linger to be used again."""


def faults(wire: str, *, stream: bool, every: bool = False) -> list[Fault]:
    """The rows for one wire form; `every` adds what only long runs need."""
    found = [*hosts(), *cuts(wire, stream=stream), *statuses(wire), *shapes(wire, stream=stream)]
    return found + (more_statuses(wire) if every else [])


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell; `number` is its own in a run."""

    number: int
    api: str
    stream: bool
    wire: str
    fallback: str
    """Wire form of the good target."""
    fault: Fault
    policy: str = "honest"

    @property
    def model(self) -> str:
        return f"{self.fault.host}-{self.fault.clock or 'untimed'}-{self.wire}/{self.fault.name}.{self.number}"

    @property
    def fallback_model(self) -> str:
        return f"good-untimed-{self.fallback}/m.{self.number}"

    @property
    def ends(self) -> str:
        """What the caller must see: whole, broken, mended, stop or failover."""
        fault = self.fault
        if fault.fate is Fate.WHOLE:
            return "whole"
        if self.stream and fault.phase >= Phase.CONTENT:
            return "mended" if self.policy == "mending" and fault.fate is Fate.NEXT else "broken"
        return "stop" if fault.fate is Fate.STOP else "failover"

    def __str__(self) -> str:
        return f"{self.api} {'stream' if self.stream else 'whole'} {self.wire} {self.fault.name}"


def cells(wire: str, fallback: str, *, apis: Sequence[str] = APIS, every: bool = False) -> list[Cell]:
    """All cells of one wire form."""
    rows = [(stream, fault) for stream in (False, True) for fault in faults(wire, stream=stream, every=every)]
    found = enumerate(product(apis, rows))
    return [Cell(number, api, stream, wire, fallback, fault) for number, (api, (stream, fault)) in found]


def broken_cells(wire: str, fallback: str) -> list[Cell]:
    """The cells of every API whose answers break after the first content, under a policy that mends them."""
    rows = [(api, f) for api in APIS for f in faults(wire, stream=True) if f.phase >= Phase.CONTENT]
    return [Cell(number, api, True, wire, fallback, fault, "mending") for number, (api, fault) in enumerate(rows)]


@dataclass(slots=True)
class Answer:
    """What a caller has in the end.

    Attributes:
        text: The content.
        whole: It ended with its terminal event, or as a whole answer.
        status: HTTP status, or the one that a gRPC status names; 0: a stream broke.
        attempts: (model, success) of the metadata; None: the answer has no metadata.
        problem: What a strict client trips over.
    """

    text: str = ""
    whole: bool = False
    status: int = 200
    error: Any = None
    attempts: list[tuple[str, bool]] | None = None
    problem: str = ""


@dataclass(slots=True)
class Stage:
    """The two targets of a run: what arrived, and whether callers have seen content."""

    cells: Sequence[Cell] = ()
    evil: dict[int, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    good: dict[int, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    shown: dict[int, Pause] = field(default_factory=lambda: defaultdict(Pause))
    arrived: dict[int, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    strays: list[str] = field(default_factory=list)
    """Requests that nobody should have made, such as for the end of a redirect."""

    def play_evil(self, seen: Seen) -> Sequence[Step]:
        if not seen.body:
            self.strays.append(f"{seen.method} {seen.path}")
            return [whole(404, {})]
        _, model, stream = asked(seen)
        name, _, number = model.rpartition(".")
        cell = self.cells[int(number)]
        assert cell.fault.name == name, model
        self.evil[cell.number].append(seen)
        self.arrived[cell.number].set()
        return cell.fault.script(Scene(cell.wire, stream, self.shown[cell.number]))

    def stands(self, cell: Cell) -> asyncio.Event:
        """Set when the cell has come to its fault, and nothing but a clock will move it."""
        if cell.stream and cell.fault.phase >= Phase.CONTENT:
            return self.shown[cell.number].go
        if cell.fault.host != "evil":
            self.arrived[cell.number].set()  # such a host tells nothing
        return self.arrived[cell.number]

    def play_good(self, seen: Seen) -> Sequence[Step]:
        wire, model, stream = asked(seen)
        self.good[int(model.rpartition(".")[2])].append(seen)
        answer, events = ANSWERS[wire]
        mends = any(cell.policy == "mending" for cell in self.cells)
        # Where it is to mend an answer it says the same, in other pieces.
        texts = (FULL[:5], FULL[5:]) if mends else ("Good ", "answer.")
        return [stream_head(wire), *streamed(events(*texts))[1:]] if stream else [whole(200, answer(GOOD))]


def asked(seen: Seen) -> tuple[str, str, bool]:
    """Wire form, model and streaming of a request."""
    if seen.path.startswith("/model/"):
        model, _, operation = seen.path.removeprefix("/model/").partition("/")
        return "bedrock", unquote(model), operation == "converse-stream"
    place, _, verb = seen.path.rpartition(":")
    if place and verb.partition("?")[0] in {"generateContent", "streamGenerateContent"}:
        return "google", place.rpartition("/")[2], verb == "streamGenerateContent?alt=sse"
    ends = {"/chat/completions": "openai", "/responses": "responses", "/chat": "cohere"}
    wire = next((wire for end, wire in ends.items() if seen.path.endswith(end)), "anthropic")
    return wire, seen.json["model"], bool(seen.json.get("stream"))


def clocks(ending: Clock | None) -> dict[str, str]:
    """The clocks of a target whose answers end by `ending`: no other one has a say, however slow the machine is."""
    found = dict.fromkeys(map(str, Clock), PATIENT)
    if ending is not None:
        found[ending] = LONG if ending is Clock.TOTAL else SHORT
    return {str(clock): found[clock] for clock in CLOCKS}


def documents(found: dict[str, Host], good: str, policy: str, cells: Sequence[Cell] = ()) -> list[dict[str, Any]]:
    """Providers for every host in every wire form. Breakers stay out of it: every cell has targets of its own."""
    forms: list[dict[str, Any]] = []
    urls = {**{name: host.url for name, host in found.items()}, "good": good}
    used = {(cell.fault.host, cell.fault.clock) for cell in cells} | {(name, None) for name in urls}
    for (name, clock), wire in product(sorted(used, key=str), WIRES):
        kind, suffix = PROVIDERS[wire]
        provider = {"name": f"{name}-{clock or 'untimed'}-{wire}", "type": kind, "base_url": f"{urls[name]}{suffix}"}
        forms.append({"kind": "Provider", **provider, "clocks": clocks(clock)})
    budget = {"ratio": 1.0, "min_per_second": 10_000}
    retry = {"max_retries": 1, "max_attempts": 5, "max_wait": f"{int(MAX_WAIT * 1000)}ms", "budget": budget}
    # A provider that speaks several APIs is called by the caller's own, unless its model says otherwise.
    models = [cell.model for cell in cells if cell.wire == "responses"]
    models += [cell.fallback_model for cell in cells if cell.fallback == "responses"]
    forms += [{"kind": "Model", "name": model, "api": "responses"} for model in models]
    return [*forms, {"kind": "Settings", "name": "default", "retry": retry, "recovery": POLICIES[policy]}]


def body_of(cell: Cell) -> dict[str, Any]:
    """A caller's request."""
    return question(cell.api, cell.model, "Say it.", models=[cell.fallback_model], stream=cell.stream)


async def verdict(cell: Cell, answer: Answer, record: RequestRecord, stage: Stage) -> list[str]:
    """Everything that is wrong with a cell."""
    found = [answer.problem] if answer.problem else []

    def check(right: bool, told: str) -> None:
        if not right:
            found.append(told)

    attempts = record.attempts
    at_evil = [a for a in attempts if a.model == cell.model]
    at_good = [a for a in attempts if a.model == cell.fallback_model]
    _check_caller(cell, answer, check)
    _check_record(cell, record, check)
    reached = cell.fault.host == "evil"
    seen = stage.evil[cell.number]
    check(len(at_evil) + len(at_good) == len(attempts), "an attempt went elsewhere")
    check(len(at_evil) == cell.fault.requests, f"{len(at_evil)} attempts at the evil target")
    check(len(seen) == (len(at_evil) if reached else 0), f"the evil target saw {len(seen)} requests")
    check(len(stage.good[cell.number]) == len(at_good), f"the good one saw {len(stage.good[cell.number])} requests")
    if answer.attempts is not None:
        check(answer.attempts == [(a.model, a.success) for a in attempts], f"metadata says {answer.attempts}")
    if cell.fault.requests == 2 and len(seen) == 2:
        waited = seen[1].at - seen[0].answered
        check(waited >= cell.fault.wait - 0.001, f"came back after {waited:.3f} s")
    try:
        async with asyncio.timeout(END_SECONDS):
            for request in seen:
                await request.ended.wait()
    except TimeoutError:
        found.append("the evil target's connection is still open")
    return found


def _check_caller(cell: Cell, answer: Answer, check: Any) -> None:
    ends, fault = cell.ends, cell.fault
    if ends in {"whole", "failover", "mended"}:
        check(answer.whole and answer.error is None, f"not whole: {answer.status} {answer.error}")
        check(answer.text == (GOOD if ends == "failover" else fault.text), f"text {answer.text[:80]!r}")
    elif ends == "stop":
        # Google tells a refused prompt with a success.
        refused = cell.api == "generateContent" and fault.kinds == {FailureKind.CONTENT_REFUSED}
        wanted = 200 if refused else fault.status
        check(answer.status == wanted, f"status {answer.status}, wanted {wanted}")
        check(bool(answer.error) and not answer.text, f"error {answer.error}, text {answer.text!r}")
    else:
        check(not answer.whole and bool(answer.error), f"a broken stream ended with {answer.error!r}")
        check(bool(answer.text) and fault.text.startswith(answer.text), f"text {answer.text[:80]!r}")


def _check_record(cell: Cell, record: RequestRecord, check: Any) -> None:
    ends, fault = cell.ends, cell.fault
    outcome = {"whole": "ok", "failover": "ok", "mended": "ok", "stop": "failed", "broken": "broken"}[ends]
    check(record.outcome == outcome, f"outcome {record.outcome!r}")
    check(record.api == cell.api and record.stream == cell.stream, f"record of {record.api}")
    last = record.attempts[-1] if record.attempts else None
    served = cell.fallback_model if ends in {"failover", "mended"} else cell.model
    check(last is not None and last.model == served, f"served by {last.model if last is not None else None}")
    check(last is not None and last.success == (outcome == "ok"), "the last attempt's success")
    names = {kind.value for kind in fault.kinds}
    for attempt in record.attempts:
        if attempt.model == cell.model and ends != "whole":
            check(attempt.failure in names, f"called {attempt.failure}, wanted one of {sorted(names)}")
    if fault.clock is not None and ends != "whole":
        check(record.attempts[0].clock == fault.clock.value, f"the {record.attempts[0].clock!r} clock tripped")


def shown_attempts(metadata: Any) -> list[tuple[str, bool]]:
    """(model, success) of a caller's metadata."""
    return [(attempt["model"], attempt["success"]) for attempt in metadata["attempts"]]


def error_body(text: str) -> Any:
    """A JSON error body; the text itself when it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return {"error": {"message": text, "type": ""}}
