"""The fleet holds its bars: load in a brown-out, recovery, tails, overload, storms; and so does the page that tells of it.

What "settled" means here: seconds that begin ten seconds after a change. Fifty workers at ten or twenty requests a
second give some percent of chance from one second to the next, so swings are bounded above that.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import fields
from statistics import mean
from xml.etree import ElementTree as ET

import pytest

from services.core.errors import FailureKind
from services.core.policy import documents, rules
from services.core.policy.durations import parse_duration
from tests.simulation.fleet import (
    BEGIN,
    END,
    IMAGES,
    OVERLOADS,
    PAGE,
    back_after,
    error_share,
    lost,
    ours,
    per_second,
    seeded,
    served_share,
    twin,
)
from tests.simulation.plots import OURS, Axis, Line, chart
from tests.simulation.scenarios import BROWN_OUT, OUTAGE, SLOW, STORM, Run


def between(run: Run, since: float, until: float, *names: str) -> list[float]:
    """Attempts per request in each of those seconds."""
    return [value for second, value in per_second(run, *names) if since <= second < until]


def smooth(values: list[float], span: int = 5) -> list[float]:
    """Means over spans of seconds."""
    return [mean(values[i : i + span]) for i in range(0, len(values) - span + 1, span)]


# A brown-out: every target fails three times in ten


@pytest.mark.parametrize(("rate", "seed"), [(10.0, 7), (10.0, 11), (5.0, 7), (5.0, 11)])
def test_a_brown_out_is_not_made_worse(rate: float, seed: int) -> None:
    run = ours("brown_out", rate) if seed == 7 else seeded("brown_out", rate, seed=seed)
    assert run.load(*BROWN_OUT) <= 1.2
    assert run.success(*BROWN_OUT) >= 0.76, "seven in ten, and what the budget adds"


def test_naive_failover_makes_a_brown_out_worse() -> None:
    assert twin("brown_out").load(*BROWN_OUT) >= 1.4


def test_a_brown_out_is_over_when_the_targets_are_well_again() -> None:
    run, healed = ours("brown_out", 10.0), BROWN_OUT[1]
    assert run.success(healed + 1, healed + 10) >= 0.999
    assert max(between(run, healed + 1, 95)) <= 1.01
    assert back_after(run, healed + 10, 0.95) <= 10


def test_the_load_of_a_brown_out_does_not_swing() -> None:
    run = ours("brown_out", 10.0)
    load = between(run, BROWN_OUT[0] + 10, BROWN_OUT[1])
    assert max(load) - min(load) <= 0.15
    first = smooth(between(run, BROWN_OUT[0] + 10, BROWN_OUT[1], "a/m"))
    assert max(abs(a - b) for a, b in itertools.pairwise(first)) <= 0.15


# A blackout: every target fails whatever it gets


def test_a_blackout_gets_hardly_more_than_the_requests_that_there_are() -> None:
    assert ours("blackout").load(STORM[0] + 1, STORM[1]) <= 1.12
    assert twin("blackout").load(STORM[0] + 1, STORM[1]) >= 4.9


def test_after_a_blackout_requests_are_served_at_once() -> None:
    assert ours("blackout").success(STORM[1] + 1, STORM[1] + 3) >= 0.999


# One target fails


def test_nothing_is_lost_when_one_target_fails() -> None:
    run = ours("outage")
    assert lost(run) == 0
    assert run.load(*OUTAGE) <= 1.05


@pytest.mark.parametrize("seed", [7, 11, 23])
def test_a_failing_target_is_left_alone_but_for_probes(seed: int) -> None:
    run = ours("outage") if seed == 7 else seeded("outage", seed=seed)
    assert error_share(run, OUTAGE[0] + 5, OUTAGE[1]) < 0.01
    assert error_share(twin("outage"), OUTAGE[0] + 5, OUTAGE[1]) > 0.99


HEALS = [
    (*facts, seed)
    for seed in (7, 11)
    for facts in ((3.0, 10.0), (17.0, 10.0), (20.5, 5.0), (25.0, 20.0), (25.5, 20.0), (26.5, 5.0))
]
"""Seconds that the target fails, requests a second of each worker, chances. Just after the probes is the worst moment to heal."""


@pytest.mark.parametrize(("length", "rate", "seed"), HEALS)
def test_a_target_that_is_well_again_has_all_of_its_traffic_within_ten_seconds(
    length: float, rate: float, seed: int
) -> None:
    run, healed = seeded("outage", length, rate, 20.0, seed=seed), OUTAGE[0] + length
    full = back_after(run, healed, 0.95)
    assert full < 10
    assert lost(run) == 0
    growing = smooth(between(run, healed, healed + full, "a/m"), 2)
    assert all(b >= a - 0.05 for a, b in itertools.pairwise(growing)), "a ramp, not a swing"
    assert min(between(run, healed + full + 1, run.scenario.seconds, "a/m")) >= 0.95, "nor a swing later"


@pytest.mark.parametrize("seed", [7, 11])
def test_a_target_that_comes_back_weak_is_not_flooded(seed: int) -> None:
    run, healed = seeded("weak", seed=seed), OUTAGE[1]
    assert lost(run) == 0
    assert max(between(run, healed, run.scenario.seconds, "a/m")) <= 0.7, "it can take 0.4"
    assert error_share(run, healed, run.scenario.seconds) <= 0.04
    assert error_share(twin("weak"), healed, run.scenario.seconds) >= 0.5


# One target is slow


def test_a_slow_target_slows_nobody_for_longer_than_ten_seconds() -> None:
    run = ours("slow")
    healthy = run.ttft(0.99, 0, SLOW[0])
    assert run.ttft(0.99, SLOW[0] + 10, SLOW[1]) <= 2 * healthy
    assert twin("slow").ttft(0.99, SLOW[0] + 10, SLOW[1]) >= 8 * healthy
    assert lost(run) == 0


# One target has too much to do


@pytest.mark.parametrize(("share", "word"), OVERLOADS)
def test_the_share_of_an_overloaded_target_settles_near_what_it_can_take(share: float, word: str) -> None:
    run = ours("overload", share, word)
    assert lost(run) == 0
    traffic = mean(between(run, 25, 55, "a/m"))
    assert share <= traffic <= share + 0.08, "of all requests no more than these are refused there"
    assert served_share(run, 25, 55) >= 0.95 * share, "it is used as far as it goes"
    settled = smooth(between(run, 25, 55, "a/m"))
    assert max(settled) - min(settled) <= 0.25


# Every target asks for peace


def test_when_all_ask_for_peace_they_get_it() -> None:
    run = ours("storm")
    seconds = STORM[1] - STORM[0] - 1
    # Each worker asks each target once in five seconds, and again what was under way when the answer came.
    asked = len(run.workers) * len(run.upstreams) * seconds / 5.0
    assert run.calls(STORM[0] + 1, STORM[1]) <= 2 * asked
    assert run.load(STORM[0] + 1, STORM[1]) <= 0.1
    assert twin("storm").load(STORM[0] + 1, STORM[1]) >= 4.9


def test_callers_are_told_the_soonest_return() -> None:
    run = ours("storm")
    refused = [failure for _, failure in run.ledger.refused]
    assert {f.kind for f in refused} == {FailureKind.RATE_LIMITED}
    assert all(f.retry_after is not None and 0.0 < f.retry_after <= 5.0 for f in refused)
    assert run.success(STORM[1] + 5, STORM[1] + 14) >= 0.999


# Hedging


def test_a_hedge_hides_late_answers_for_little_more_load() -> None:
    run = ours("late")
    assert run.ttft(0.99, 10, 50) <= 0.150
    assert run.load(10, 50) <= 1.05
    assert twin("late").ttft(0.99, 10, 50) >= 2.0
    assert lost(run) == 0


# The page


def test_the_pages_plots_are_there_and_whole() -> None:
    text = PAGE.read_text(encoding="utf-8")
    files = {path.name: path for path in IMAGES.glob("*.svg")}
    assert set(re.findall(r"\(img/([a-z_]+\.svg)\)", text)) == set(files)
    for name, path in files.items():
        drawing = ET.fromstring(path.read_text(encoding="utf-8"))
        assert drawing.get("aria-label"), name
        assert len(list(drawing)) > 10, name


def test_the_page_has_its_numbers() -> None:
    measured = PAGE.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0]
    assert len(re.findall(r"^\| [^|]+ \| [^|]+ \| [^|]+ \|$", measured, re.MULTILINE)) > 10


def test_a_line_is_drawn_where_its_points_are() -> None:
    across, up = Axis("x", 0, 10, [0, 5, 10]), Axis("y", 1, 100, [1, 10, 100], log=True)
    text = chart("t & u", across, up, [Line("l", OURS, [(0, 1), (5, 10), (10, 100)])], (2, 4, "<bad>"))
    drawing = ET.fromstring(text)
    line = next(e for e in drawing.iter() if e.get("stroke") == OURS and e.get("fill") == "none")
    points = re.findall(r"([\d.]+) ([\d.]+)", line.get("d") or "")
    (x0, y0), (x1, y1), (x2, y2) = [(float(x), float(y)) for x, y in points]
    assert x0 < x1 < x2
    assert y0 > y1 > y2
    assert (x1 - x0, y0 - y1) == pytest.approx((x2 - x1, y1 - y2), abs=0.2)


def told(value: object) -> str:
    """A default as the page writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if value in (None, "", (), 0):
        return "–"
    return f"{value:g}" if isinstance(value, float) else str(value)


FIELDS = {
    "clocks": (documents.Clocks, rules.ClockRule()),
    "clocks.ttft": (documents.AdaptiveTtft, rules.TtftRule()),
    "retry": (documents.Retry, rules.RetryRule()),
    "retry.budget": (documents.RetryBudget, rules.BudgetRule()),
    "breaker": (documents.Breaker, rules.BreakerRule()),
    "hedge": (documents.Hedge, rules.HedgeRule()),
    "commit_after": (documents.CommitAfter, rules.CommitRule()),
    "on_exhausted": (documents.OnExhausted, rules.ExhaustedRule()),
    "fault": (documents.Fault, rules.FaultRule("")),
    "endpoints[]": (documents.Endpoint, documents.Endpoint()),
}
SAID_OTHERWISE = {"clocks.ttft", "retry.budget", "hedge.after", "fault.kind"}
"""Fields without a plain default: groups, and what the page says in words."""


@pytest.mark.parametrize("group", FIELDS)
def test_the_page_names_every_field_with_its_default(group: str) -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z_.\[\]]+)` \| ([^|]+) \|", text, re.MULTILINE))
    document, rule = FIELDS[group]
    for field in fields(document):
        name = f"{group}.{field.name}"
        assert name in rows, f"docs/failover.md does not name {name}"
        if name in SAID_OTHERWISE:
            continue
        shown = rows[name].strip().removesuffix("%")
        seconds = parse_duration(shown)
        assert (f"{seconds:g}" if seconds is not None else shown) == told(getattr(rule, field.name)), name


def test_the_page_names_what_has_no_group() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert "| `recovery` | `honest_error` |" in text
    assert all(f"`{word}`" in text for word in rules.Recovery)
