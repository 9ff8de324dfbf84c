"""Every fault at every phase for the APIs that are not chat, in both topologies: what the caller must see.

the answer broke before anything of it was shown   the good target's answer, and no trace of the evil one
the request is at fault                            an error with that status; nobody else was asked
a stream broke after content                       that content, and then: events say so by an error and no
                                                   last event; bytes by a connection that breaks, never ends
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.evil_operations import FORMS, TIMEOUTS, Fault, Form, chunk, faults, sound_of
from tests.support.followed import followed
from tests.support.gates import Gates
from tests.support.inprocess import TOPOLOGIES, running_suite
from tests.support.upstream import STREAM_END, Pause, Seen, Step, running_upstream

CLOCKS = {
    "connect": "2s", "headers": "1500ms", "first_event": "1700ms", "first_content": "1900ms", "idle": "2s",
    "total": "4s",
}  # fmt: skip
_NUMBER = re.compile(rb"(?:evil|good)\.(\d+)")


@dataclass(slots=True)
class Got:
    """What a caller has in the end; `cut`: its connection broke."""

    status: int
    body: bytes
    cut: bool


def model_of(name: str, form: Form, number: int) -> str:
    return f"{name}-{form.provider}/{name}.{number}"


async def ask(http: httpx.AsyncClient, form: Form, number: int, shown: Pause) -> Got:
    content, kind = form.ask(model_of("evil", form, number), model_of("good", form, number))
    body, cut, status = b"", False, 0
    try:
        async with http.stream("POST", form.path, content=content, headers={"content-type": kind}) as answer:
            status = answer.status_code
            async for piece in answer.aiter_raw():
                body += piece
                shown.go.set()
    except (httpx.RemoteProtocolError, httpx.ReadError):
        cut = True
    return Got(status, body, cut)


def verdict(form: Form, fault: Fault, got: Got, record: Any) -> list[str]:
    """Everything that is wrong with a cell."""
    found = []

    def check(right: bool, told: str) -> None:
        if not right:
            found.append(told)

    first = record.attempts[0]
    check(first.failure in {kind.value for kind in fault.kinds}, f"called {first.failure} ({first.error_message})")
    check((record.api, record.stream) == (form.api, form.streams), f"record of {record.api}, stream {record.stream}")
    if fault.fate == "next":
        check(got.status == 200 and not got.cut, f"status {got.status}, cut {got.cut}")
        shown = sound_of(got.body) if form.kind == "lines" else got.body
        check(form.whole in shown and b"evil" not in got.body.partition(b'"metadata"')[0], f"body {got.body[:80]!r}")
        check(form.kind not in {"bytes", "lines", "text"} or shown == form.whole, "bytes that nobody sent")
        check(
            record.outcome == "ok" and len(record.attempts) == 2, f"{record.outcome}, {len(record.attempts)} attempts"
        )
    elif fault.fate == "stop":
        name = b'"details"' if form.api == "inworld.speech" else b'"error"'
        check(got.status == fault.status and name in got.body, f"status {got.status}, {got.body[:80]!r}")
        check(record.outcome == "failed" and len(record.attempts) == 1, f"{record.outcome}")
    else:
        shown = sound_of(got.body) if form.kind == "lines" else got.body
        check(got.status == 200 and shown.startswith(form.shown), f"status {got.status}, body {got.body[:80]!r}")
        check(record.outcome == "broken" and len(record.attempts) == 1, f"{record.outcome}")
        check(record.HasField("time_to_first_token_ms"), "no time to the first content")
        if form.kind == "bytes":
            check(got.cut, "a broken answer ended as a whole one does")
        else:
            mark = b"\n" if form.kind == "lines" else b"data: "
            last = json.loads(got.body.rstrip().rpartition(mark)[2])
            check("error" in last and "metadata" in last and not got.cut, f"ends with {last}")
            # Lines have no last event but ours, and that was not it.
            check(form.kind == "lines" or form.pieces[-1] not in got.body, "a broken answer has its last event")
    return found


def documents(bad: str, well: str) -> list[dict[str, Any]]:
    """An evil and a good provider of every type."""
    kinds = {"openai": ("openai_compatible", "/v1")}
    found: list[dict[str, Any]] = []
    for (name, url, clocks), provider in product(
        (("evil", bad, CLOCKS), ("good", well, {})), sorted({form.provider for form in FORMS})
    ):
        kind, suffix = kinds.get(provider, (provider, ""))
        place = {"name": f"{name}-{provider}", "type": kind, "base_url": f"{url}{suffix}"}
        found.append({"kind": "Provider", **place, "clocks": clocks})
    retry = {"max_retries": 0, "budget": {"ratio": 1.0, "min_per_second": 10_000}}
    return [*found, {"kind": "Settings", "name": "default", "retry": retry}]


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_every_fault_ends_as_it_must(tmp_path: Path, topology: str) -> None:
    rows = [(form, fault) for form in FORMS for fault in faults(form)]
    shown: dict[int, Pause] = defaultdict(Pause)
    arrived: dict[int, asyncio.Event] = defaultdict(asyncio.Event)

    def number_of(seen: Seen) -> int:
        return int(_NUMBER.search(seen.body)[1])  # type: ignore[index]

    def evil(seen: Seen) -> Sequence[Step]:
        number = number_of(seen)
        arrived[number].set()
        return rows[number][1].script(shown[number])

    def good(seen: Seen) -> Sequence[Step]:
        form = rows[number_of(seen)][0]
        return [form.head, *(chunk(piece) for piece in form.good), STREAM_END]

    wrong: dict[str, list[str]] = {}
    async with (
        running_upstream(evil) as bad,
        running_upstream(good) as well,
        running_suite(tmp_path, topology, *documents(bad.url, well.url)) as suite,
        followed(suite) as records,
    ):
        gates = Gates()

        async def one(number: int, form: Form, fault: Fault) -> None:
            asking = ask(suite.http, form, number, shown[number])
            stands = shown[number].go if fault.fate == "broken" else arrived[number]
            got = await (gates.wait(asking, stands) if fault.kinds is TIMEOUTS else gates.move(asking))
            problems = verdict(form, fault, got, await records.get(model_of("evil", form, number)))
            if problems:
                wrong[f"{form.name} {fault.name}"] = problems

        await asyncio.gather(*(one(number, *row) for number, row in enumerate(rows)))
        assert not suite.worker.engine.in_flight
    assert not wrong, "\n".join(f"{name}: {'; '.join(why)}" for name, why in sorted(wrong.items()))
