"""The bars that a run is held against: libraries on the hot path, telemetry and metrics on."""

from __future__ import annotations

from bench.payloads import CHUNKS
from bench.results import Bar, Run
from bench.suite import FUSED, GRPC
from bench.upstream import BURST

CPU_MICROSECONDS = {FUSED: 450.0, GRPC: 1_500.0}
ADDED_MILLISECONDS = 2.0
TAIL_MILLISECONDS = 150.0
TAIL_EXTRA = 0.05
EVENT_MICROSECONDS = 5.0
WRITES = CHUNKS // BURST + 2
"""Writes per answer when the upstream writes once per `BURST` chunks and once for the end; one more is allowed."""


def judged(run: Run) -> list[Bar]:
    """Every bar that this run measured."""
    bars: list[Bar] = []
    for way, limit in CPU_MICROSECONDS.items():
        found = run.figures("unary-max", way)
        if found is not None and found.cpu is not None:
            name = f"{way}: CPU per unary request at saturation"
            bars.append(Bar(name, f"≤ {limit:,.0f} µs", f"{found.cpu:,.0f} µs", met=found.cpu <= limit))
    for way in CPU_MICROSECONDS:
        found = run.figures("unary", way)
        if found is not None and found.added_p50 is not None:
            name = f"{way}: added p50, unary at 100 requests/s"
            met = found.added_p50 < ADDED_MILLISECONDS
            bars.append(Bar(name, f"< {ADDED_MILLISECONDS:g} ms", f"{found.added_p50:.2f} ms", met=met))
    for way in CPU_MICROSECONDS:
        found = run.figures("burst", way)
        if found is not None:
            name = f"{way}: writes per stream of {CHUNKS} chunks that come {BURST} at a time"
            bars.append(Bar(name, f"≤ {WRITES}", f"{found.writes:.1f}", met=found.writes <= WRITES))
    for way in CPU_MICROSECONDS:
        tail = run.tail.get(way)
        if tail is not None:
            name = f"{way}: p99 TTFT with 2 % of streams 2 s late, hedged"
            met = tail.first_p99 <= TAIL_MILLISECONDS
            bars.append(Bar(name, f"≤ {TAIL_MILLISECONDS:g} ms", f"{tail.first_p99:.0f} ms", met=met))
            name = f"{way}: extra upstream requests for that"
            bars.append(Bar(name, f"≤ {TAIL_EXTRA:.0%}", f"{tail.extra:.1%}", met=tail.extra <= TAIL_EXTRA))
    return bars + _of_codecs(run)


def _of_codecs(run: Run) -> list[Bar]:
    """What an event of another protocol costs beyond one of the caller's own, at its worst."""
    added = [pair.added for pair in run.codecs if pair.added is not None]
    if not added:
        return []
    name = "codecs: an event of another protocol, over one of the caller's own, at most"
    return [Bar(name, f"< {EVENT_MICROSECONDS:g} µs", f"{max(added):.1f} µs", met=max(added) < EVENT_MICROSECONDS)]
