"""The fleet simulation as a program: prints what it measured; `--write` also renews the page's plots and numbers.

Run as `python -m tests.simulation.fleet [--write]`.
"""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path

from services.core.errors import FailureKind
from tests.simulation.plots import NAIVE, OTHER, OURS, Axis, Line, chart
from tests.simulation.scenarios import (
    BROWN_OUT,
    OUTAGE,
    OVERLOAD,
    SLOW,
    STORM,
    WORKERS,
    Run,
    Scenario,
    blackout,
    brown_out,
    late,
    naive,
    outage,
    overload,
    simulate,
    slow,
    storm,
    weak,
)

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "failover.md"
IMAGES = ROOT / "docs" / "img"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
OVERLOADS = ((0.2, "503"), (0.4, "503"), (0.7, "429"))
BAD = {"429": FailureKind.RATE_LIMITED, "503": FailureKind.OVERLOADED}


@cache
def ours(name: str, *facts: float | str) -> Run:
    """A scenario as we are; run once."""
    return simulate(scenario(name, *facts))


@cache
def seeded(name: str, *facts: float | str, seed: int) -> Run:
    """As `ours`, with other chances; run once."""
    return simulate(scenario(name, *facts), seed=seed)


@cache
def twin(name: str, *facts: float | str) -> Run:
    """The same with naive workers; run once."""
    return naive(scenario(name, *facts))


def scenario(name: str, *facts: float | str) -> Scenario:
    """The scenario of that name."""
    if name == "overload":
        return overload(float(facts[0]), BAD[str(facts[1])])
    if name == "brown_out":
        return brown_out(*map(float, facts))
    if name == "outage":
        return outage(*map(float, facts))
    return {"slow": slow, "storm": storm, "blackout": blackout, "late": late, "weak": weak}[name]()


def lost(run: Run) -> int:
    """Requests that were not served."""
    return sum(run.ledger.lost.values())


def back_after(run: Run, since: float, share: float) -> int:
    """Whole seconds after `since` until the first target has at least that share of traffic; 999: it never has."""
    seconds = range(int(since), int(run.scenario.seconds))
    return next((s - int(since) for s in seconds if run.share("a/m", s) >= share), 999)


def error_share(run: Run, since: float, until: float) -> float:
    """Failed attempts at the first target, per request."""
    failed = sum(run.upstreams["a/m"].failed[s] for s in range(int(since), int(until)))
    return failed / run.offered(since, until)


def served_share(run: Run, since: float, until: float) -> float:
    """Attempts that the first target took, per request."""
    served = sum(run.upstreams["a/m"].served[s] for s in range(int(since), int(until)))
    return served / run.offered(since, until)


def rows() -> list[tuple[str, str, str]]:
    """What was measured, here and with naive failover."""
    brown, brown_twin, dark, dark_twin = ours("brown_out"), twin("brown_out"), ours("blackout"), twin("blackout")
    out, out_twin, slowed, slowed_twin = ours("outage"), twin("outage"), ours("slow"), twin("slow")
    hedged, direct, rain, rain_twin = ours("late"), twin("late"), ours("storm"), twin("storm")
    found = [
        (
            "All targets fail 30 % for a minute: attempts per request",
            f"{brown.load(*BROWN_OUT):.2f}",
            f"{brown_twin.load(*BROWN_OUT):.2f}",
        ),
        (
            "… share of requests served meanwhile",
            f"{brown.success(*BROWN_OUT):.1%}",
            f"{brown_twin.success(*BROWN_OUT):.1%}",
        ),
        (
            "All targets fail 100 %: attempts per request",
            f"{dark.load(STORM[0] + 1, STORM[1]):.2f}",
            f"{dark_twin.load(STORM[0] + 1, STORM[1]):.2f}",
        ),
        (
            "… share served in the second after they are well again",
            f"{dark.success(STORM[1] + 1, STORM[1] + 2):.0%}",
            f"{dark_twin.success(STORM[1] + 1, STORM[1] + 2):.0%}",
        ),
        ("The first target fails 100 %: requests lost", f"{lost(out)}", f"{lost(out_twin)}"),
        (
            "… failed attempts per request, from 5 s on",
            f"{error_share(out, 15, 35):.2%}",
            f"{error_share(out_twin, 15, 35):.0%}",
        ),
        (
            "… seconds until it has traffic again, and all of it",
            f"{back_after(out, OUTAGE[1], 0.09)}, {back_after(out, OUTAGE[1], 0.95)}",
            "0, 0",
        ),
        (
            "The first target is ten times slower: p99 to first content after 10 s",
            f"{slowed.ttft(0.99, SLOW[0] + 10, SLOW[1]):.2f} s",
            f"{slowed_twin.ttft(0.99, SLOW[0] + 10, SLOW[1]):.2f} s",
        ),
        (
            "All targets ask for peace (Retry-After: 5): attempts per request",
            f"{rain.load(STORM[0] + 1, STORM[1]):.2f}",
            f"{rain_twin.load(STORM[0] + 1, STORM[1]):.2f}",
        ),
        (
            "2 % of first contents are 2 s late, `hedge: {enabled: true}`: p99 to first content",
            f"{1000 * hedged.ttft(0.99, 10, 50):.0f} ms",
            f"{1000 * direct.ttft(0.99, 10, 50):.0f} ms",
        ),
        ("… more attempts for it", f"{hedged.load(10, 50) - 1:.1%}", "–"),
    ]
    for share, word in OVERLOADS:
        run, other = ours("overload", share, word), twin("overload", share, word)
        told = f"The first target takes {share:.0%} of the load, and says {word}: its traffic, of it refused"
        found.append((told, _traffic(run), _traffic(other)))
    return found


def _traffic(run: Run) -> str:
    calls, served = run.calls(25, 55, "a/m") / run.offered(25, 55), served_share(run, 25, 55)
    return f"{calls:.0%}, {1 - served / calls:.0%}"


def per_second(run: Run, *names: str) -> list[tuple[float, float]]:
    """Attempts per request, by second; each stands at the second's middle."""
    seconds = range(1, int(run.scenario.seconds) - 1)
    return [(s + 0.5, run.calls(s, s + 1, *names) / run.offered(s, s + 1)) for s in seconds]


def p99s(run: Run) -> list[tuple[float, float]]:
    """p99 of the time to first content, by span of two seconds."""
    return [(s + 1, run.ttft(0.99, s, s + 2)) for s in range(0, int(run.scenario.seconds), 2)]


def _seconds(run: Run) -> Axis:
    return Axis("seconds", 0, run.scenario.seconds, range(0, int(run.scenario.seconds) + 1, 10))


def _per_request(high: float, step: float) -> Axis:
    return Axis("attempts per request", 0, high, [step * i for i in range(int(high / step) + 1)])


def plots() -> dict[str, str]:
    """Every plot of the page, by file name."""
    brown, out, full, rain = ours("brown_out"), ours("outage"), ours("overload", 0.4, "503"), ours("storm")
    bound = [(0.0, 0.4), (OVERLOAD[1], 0.4)]
    slowed = ours("slow")
    return {
        "brown_out.svg": chart(
            f"All targets fail 30 % of the time; {WORKERS} workers",
            _seconds(brown),
            _per_request(1.5, 0.25),
            [
                Line("Turnout", OURS, per_second(brown)),
                Line("naive failover", NAIVE, per_second(twin("brown_out"))),
                Line("bar: 1.2", "#999", [(0, 1.2), (brown.scenario.seconds, 1.2)], dashed=True),
            ],
            (*BROWN_OUT, "30 % errors"),
        ),
        "outage.svg": chart(
            "The first target fails everything, then is well again",
            _seconds(out),
            _per_request(1.25, 0.25),
            [
                Line("first target", OURS, per_second(out, "a/m")),
                Line("second target", OTHER, per_second(out, "b/m")),
                Line("naive: first target", NAIVE, per_second(twin("outage"), "a/m"), dashed=True),
            ],
            (*OUTAGE, "first target: 100 % errors"),
        ),
        "overload.svg": chart(
            "The first target takes only 40 % of the load and refuses the rest with 503",
            _seconds(full),
            _per_request(1.25, 0.25),
            [
                Line("first target", OURS, per_second(full, "a/m")),
                Line("second target", OTHER, per_second(full, "b/m")),
                Line("what it can take", "#999", bound, dashed=True),
                Line("naive: first target", NAIVE, per_second(twin("overload", 0.4, "503"), "a/m"), dashed=True),
            ],
            (*OVERLOAD, ""),
        ),
        "storm.svg": chart(
            "All targets answer 429 with Retry-After: 5",
            _seconds(rain),
            _per_request(5.5, 1.0),
            [Line("Turnout", OURS, per_second(rain)), Line("naive failover", NAIVE, per_second(twin("storm")))],
            (*STORM, "429"),
        ),
        "slow.svg": chart(
            "The first target becomes ten times slower",
            _seconds(slowed),
            Axis("p99 to first content, s", 0, 6, range(7)),
            [
                Line("Turnout, adaptive ttft", OURS, p99s(slowed)),
                Line("naive failover", NAIVE, p99s(twin("slow"))),
            ],
            (*SLOW, "ten times slower"),
        ),
        "hedging.svg": _tail_chart(),
    }


TAIL = (0.5, 0.9, 0.95, 0.97, 0.98, 0.985, 0.99, 0.995, 0.999)


def _tail_chart() -> str:
    def line(label: str, color: str, run: Run) -> Line:
        return Line(label, color, [(1 / (1 - p), 1000 * run.ttft(p, 10, 50)) for p in TAIL])

    across = Axis(
        "percentile",
        2,
        1000,
        [1 / (1 - p) for p in (0.5, 0.9, 0.95, 0.98, 0.99, 0.999)],
        _percentile,
        log=True,
    )
    up = Axis("time to first content, ms", 30, 3000, [50, 100, 150, 500, 1000, 2000], log=True)
    lines = [line("hedge: {enabled: true}", OURS, ours("late")), line("called directly", NAIVE, twin("late"))]
    return chart("2 % of the first target's answers are two seconds late", across, up, lines)


def _percentile(nines: float) -> str:
    return f"p{100 * (1 - 1 / nines):.4g}"


def table() -> str:
    """The measured numbers as a table for the page."""
    lines = ["| measured | here | naive failover |", "|---|---|---|"]
    lines += [f"| {what} | {here} | {there} |" for what, here, there in rows()]
    return "\n".join(lines)


def write() -> None:
    """Renew the page's plots and its table of numbers."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    for name, text in plots().items():
        (IMAGES / name).write_text(text, encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    head, rest = page.split(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="renew docs/img and the numbers in docs/failover.md")
    if parser.parse_args().write:
        write()
    for what, here, there in rows():
        print(f"{what:<80} {here:>12} {there:>12}")


if __name__ == "__main__":
    main()
