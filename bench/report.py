"""A run as Markdown, and its place in README.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.payloads import CHUNKS
from bench.results import Figures, Measure, Run
from bench.suite import DIRECT
from bench.upstream import BURST

README = Path(__file__).with_name("README.md")
BEGIN = "<!-- begin: written by `python -m bench --write` -->"
BEGIN_IN_PROCESS = "<!-- begin: written by `python -m bench --only engine --only codecs --write` -->"
END = "<!-- end -->"

QUIET = 0.05
"""Share of the machine that others may take in a run whose numbers count."""


def markdown(run: Run) -> str:
    """The whole report."""
    return "\n\n".join(part for part in (_loads(run), _in_process(run)) if part)


def _loads(run: Run) -> str:
    """What was measured with the suite; empty: nothing."""
    if not run.took_seconds:
        return ""
    parts = [
        _head(run),
        _section("Bars", _bars(run)),
        _section("Added latency at a steady rate", _steady(run)),
        _section("CPU and throughput at saturation", _saturated(run)),
        _section("Chunks that come together", _coalescing(run)),
        _section("Failover", _failovers(run)),
        _section("Late first tokens", _tail(run)),
        _section("Memory", _memory(run)),
        _section("Traces", _traces(run)),
    ]
    return "\n\n".join(part for part in parts if part)


def write_readme(run: Run, path: Path = README) -> None:
    """Put the report between the markers of README.md; what was not measured stays as it was.

    Raises:
        ValueError: The markers are not there.
    """
    text = path.read_text(encoding="utf-8")
    for marker, report in ((BEGIN, _loads(run)), (BEGIN_IN_PROCESS, _in_process(run))):
        head, begin, rest = text.partition(marker)
        _, end, tail = rest.partition(END)
        if not begin or not end:
            raise ValueError(f"{path.name} has no markers to write between")
        if report:
            text = f"{head}{marker}\n\n{report}\n\n{END}{tail}"
    path.write_text(text, encoding="utf-8")


def _head(run: Run) -> str:
    machine = run.machine
    told = (
        f"Measured on {run.date}, {machine.cores} cores ({machine.cpu}), {machine.system}, Python {machine.python}. "
        f"Each figure: {run.seconds:g} s on each way in {run.rounds} alternating rounds; {run.sampling:.0%} of traces "
        f"exported. The run took {run.took_seconds:.0f} s; other programs took {machine.others:.0%} of the machine."
    )
    if machine.others <= QUIET:
        return told
    return f"{told}\n\n**Provisional: the machine was not quiet.** Latencies and throughput suffer most, CPU less."


def _section(title: str, body: str) -> str:
    return f"### {title}\n\n{body}" if body else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with its first column to the left and the others to the right; empty without rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return ""
    rule = "|".join(["---", *["---:"] * (len(head) - 1)])
    return "\n".join([f"| {' | '.join(head)} |", f"|{rule}|", *lines])


def _bars(run: Run) -> str:
    rows = [(bar.name, bar.limit, bar.measured, "met" if bar.met else "**missed**") for bar in run.bars]
    return _table(("bar", "limit", "measured", ""), rows)


def _steady(run: Run) -> str:
    head = ("load", "way", "p50 ms", "p99 ms", "added p50", "added p99", "added TTFT p50", "added TTFT p99", "CPU µs")
    rows = []
    for measure in _of_mode(run, "open"):
        for name, way in measure.ways.items():
            figures = (_ms(way.p50), _ms(way.p99), _added(way), _plus(way.added_p99))
            firsts = (_plus(way.added_first_p50), _plus(way.added_first_p99)) if measure.stream else ("", "")
            rows.append((_load(measure, name), name, *figures, *firsts, _cpu(way)))
    note = "CPU is per request, and in brackets per chunk. The range after an added p50 is its best and worst round."
    return f"{_table(head, rows)}\n\n{note}" if rows else ""


def _saturated(run: Run) -> str:
    head = ("load", "way", "requests/s", "CPU µs", "of which", "generator + upstream µs")
    rows = []
    for measure in _of_mode(run, "closed"):
        for name, way in measure.ways.items():
            parts = ", ".join(f"{part} {cpu:,.0f}" for part, cpu in way.cpu_parts.items()) if name != "fused" else ""
            own = f"{way.generator_cpu:,.0f} + {way.upstream_cpu:,.0f}"
            rows.append((_load(measure, name), name, f"{way.per_second:,.0f}", _cpu(way), parts, own))
    return _table(head, rows)


def _coalescing(run: Run) -> str:
    rows = []
    for measure in run.measures:
        if measure.name in {"burst", "stream-max"}:
            for name, way in measure.ways.items():
                if name != DIRECT:
                    row = (
                        f"{way.writes:.1f}",
                        f"{CHUNKS / max(1.0, way.writes - 1):.1f}",
                        f"{way.bytes_per_write:,.0f}",
                    )
                    rows.append((measure.title, name, *row))
    if not rows:
        return ""
    note = (
        f"How often the router wrote per stream of {CHUNKS} chunks. When {BURST} chunks come in one write, the upstream "
        f"wrote {CHUNKS // BURST + 1} times: once for each {BURST}, and once for the end."
    )
    return f"{_table(('load', 'way', 'writes/stream', 'chunks/write', 'bytes/write'), rows)}\n\n{note}"


def _failovers(run: Run) -> str:
    head = ("first attempt", "way", "by hand, p50 ms", "routed, p50 ms", "added", "of which the failover")
    told = {"refused": "connection refused", "e500": "status 500", "e429": "status 429"}
    rows = [
        (told[f.fault], way, _ms(f.direct), _ms(routed), _plus(f.added[way]), _plus(f.own[way]))
        for f in run.failovers
        for way, routed in f.routed.items()
    ]
    return _table(head, rows)


def _tail(run: Run) -> str:
    head = ("way", "streams", "TTFT p50 ms", "p95", "p99", "extra upstream requests")
    rows = [
        (way, str(t.requests), f"{t.first_p50:.0f}", f"{t.first_p95:.0f}", f"{t.first_p99:.0f}", f"{t.extra:.1%}")
        for way, t in run.tail.items()
    ]
    note = "2 % of the first provider's streams begin after 2 s, all others after 50 ms. The router has a second provider and `hedge: {enabled: true}`, nothing else."
    return f"{_table(head, rows)}\n\n{note}" if rows else ""


def _memory(run: Run) -> str:
    rows = [(m.process, f"{m.start:.0f}", f"{m.after:.0f}") for m in run.memory]
    return _table(("process", "RSS at start, MiB", "after the run"), rows)


def _traces(run: Run) -> str:
    lines = []
    if run.sampling_cpu:
        shares = ", ".join(f"{float(share):.0%}: {cpu:,.0f} µs" for share, cpu in run.sampling_cpu.items())
        lines.append(f"CPU per fused unary request at saturation by share of traces exported: {shares}.")
    if run.spans:
        counted = ", ".join(f"{count:,} {what}" for what, count in sorted(run.spans.items()))
        lines.append(f"Spans of the run: {counted}.")
    return "\n".join(lines)


def _in_process(run: Run) -> str:
    """What was measured in one process; empty: nothing."""
    if not (run.in_process or run.codecs):
        return ""
    machine = run.machine
    told = (
        f"Measured on {run.date}, {machine.cores} cores ({machine.cpu}), {machine.system}, Python {machine.python}. "
        "CPU time of one thread in microseconds."
    )
    bars = "" if run.took_seconds else _section("Bars", _bars(run))
    parts = [told, bars, _section("In one process", _costs(run)), _section("Translations", _translations(run))]
    return "\n\n".join(part for part in parts if part)


def _costs(run: Run) -> str:
    if all(cost.against_best is None for cost in run.in_process):
        rows = [(cost.load, f"{cost.best:,.1f}", f"{cost.median:,.1f}") for cost in run.in_process]
        return _table(("µs per request", "best round", "median round"), rows)
    head = ("µs per request", "best round", "median round", "the other's best", "the other's median", "best to best")
    rows = []
    for cost in run.in_process:
        best, median = cost.against_best or 0.0, cost.against_median or 0.0
        figures = (cost.best, cost.median, best, median)
        rows.append((cost.load, *(f"{figure:,.1f}" for figure in figures), f"{cost.best / best - 1.0:+.1%}"))
    return _table(head, rows)


def _translations(run: Run) -> str:
    head = ("caller", "provider", "µs per request", "µs per answer", "µs per event", "over the caller's own protocol")
    rows = []
    for pair in run.codecs:
        figures = (f"{pair.request:.1f}", f"{pair.answer:.1f}", f"{pair.event:.1f}")
        added = "same" if pair.same else "" if pair.added is None else f"{pair.added:+.1f}"
        rows.append((pair.dialect, pair.codec, *figures, added))
    return _table(head, rows)


def _of_mode(run: Run, mode: str) -> list[Measure]:
    return [m for m in run.measures if m.mode == mode]


def _load(measure: Measure, way: str) -> str:
    return f"{measure.title}, {measure.load}" if way == next(iter(measure.ways)) else ""


def _cpu(way: Figures) -> str:
    if way.cpu is None:
        return ""
    return f"{way.cpu:,.0f}" if way.cpu_chunk is None else f"{way.cpu:,.0f} ({way.cpu_chunk:.1f})"


def _added(way: Figures) -> str:
    if way.added_p50 is None:
        return ""
    return f"{_plus(way.added_p50)} ({way.added_p50_low:.2f} … {way.added_p50_high:.2f})"


def _ms(value: float) -> str:
    return f"{value:.2f}"


def _plus(value: float | None) -> str:
    return "" if value is None else f"{value:+.2f}"
