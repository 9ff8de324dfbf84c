"""The report on decisions that the choice itself logged, in a world whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import pytest

from services.core.experiments.off_policy import MIN_ESS, Estimated
from services.core.routing.learned.choice import choose
from services.core.routing.learned.clusters import Clusters
from services.core.routing.learned.decision import Decision
from services.core.routing.learned.learner import learned_table
from services.core.routing.learned.report import report_of
from services.core.routing.learned.table import Table
from services.core.values import changed

RATES = ({"cheap": 0.5, "good": 0.8}, {"cheap": 0.7, "good": 0.4})
"""By kind: no model is the best for both."""
EQUAL = ({"cheap": 0.6, "good": 0.6},) * 2
RUNS, BATCH = 200, 500
FEW = 30


def logged(
    rates: tuple[Mapping[str, float], ...], turns: int, seed: int, floor: float, session: int = 0
) -> list[Decision]:
    """Decisions; so many in turn are of one session, which is of one kind, and easy or hard as a whole. 0: there are none."""
    random, table, decisions = Random(seed), Table(Clusters(2)), list[Decision]()
    for turn in range(turns):
        if not session or turn % session == 0:
            kind, easy = random.randrange(2), random.choice((-0.2, 0.2)) if session else 0.0
        name = f"{seed}/{turn // session}" if session else ""
        choice = choose(table, {kind: 1.0}, ("cheap", "good"), name or random.getrandbits(64), floor=floor)
        chosen = choice.models[0]
        decisions.append(
            Decision(
                at=float(turn),
                phi={kind: 1.0},
                models=tuple(one.model for one in choice.scored),
                propensities=choice.propensities,
                expected=tuple(one.reward for one in choice.scored),
                chosen=chosen,
                served=chosen,
                reward=float(random.random() < rates[kind][chosen] + easy),
                session=name,
            )
        )
        if (turn + 1) % BATCH == 0:
            table = learned_table(decisions, 2)
    return decisions


def holds(estimated: Estimated, truth: float) -> bool:
    return estimated.low <= truth <= estimated.high


@pytest.mark.parametrize("runs", [FEW, pytest.param(RUNS, marks=pytest.mark.soak)])
def test_intervals_hold_the_truth_in_nine_of_ten_runs_at_least(runs: int) -> None:
    held = {"greedy": 0, "cheap": 0, "good": 0}
    for seed in range(runs):
        report = report_of(logged(RATES, 1_500, seed, 0.35), 2)
        assert not report.greedy.utility.refusal
        held["greedy"] += holds(report.greedy.utility.dr, 0.75)
        held["cheap"] += holds(report.singles["cheap"].utility.dr, 0.6)
        held["good"] += holds(report.singles["good"].utility.dr, 0.6)
    assert min(held.values()) >= 0.9 * runs, held


@pytest.mark.parametrize("runs", [15, pytest.param(60, marks=pytest.mark.soak)])
def test_intervals_hold_the_truth_when_sessions_draw_once_for_all_of_their_requests(runs: int) -> None:
    held = {"greedy": 0, "cheap": 0, "good": 0}
    for seed in range(runs):
        report = report_of(logged(RATES, 2_000, seed, 0.35, session=4), 2)
        assert report.greedy.utility.ess < 500
        held["greedy"] += holds(report.greedy.utility.dr, 0.75)
        held["cheap"] += holds(report.singles["cheap"].utility.dr, 0.6)
        held["good"] += holds(report.singles["good"].utility.dr, 0.6)
    assert min(held.values()) >= 0.85 * runs, held


def priced(decisions: list[Decision]) -> list[Decision]:
    """The same decisions; the better model is dear and slow, and of a tenth of the requests neither is known."""
    return [
        one
        if i % 10 == 0
        else changed(one, cost={"cheap": 0.002, "good": 0.01}[one.chosen], seconds=SECONDS[one.chosen])
        for i, one in enumerate(decisions)
    ]


SECONDS = {"cheap": 0.5, "good": 2.5}
BETTER = ({"cheap": 0.45, "good": 0.85},) * 2
MEANS = {"cheap": (0.45, 0.002, 0.5), "good": (0.85, 0.01, 2.5)}
"""Reward, cost and time of each."""


@pytest.mark.parametrize("runs", [10, pytest.param(60, marks=pytest.mark.soak)])
@pytest.mark.parametrize(
    ("objective", "best", "worth"),
    [
        ("quality", "good", {"cheap": 0.45, "good": 0.85}),
        # A third of the mean of the two, and five thirds of it.
        ("cost", "cheap", {"cheap": 0.45 - 0.4 / 3, "good": 0.85 - 0.4 * 5 / 3}),
        ("latency", "cheap", {"cheap": 0.45 - 0.4 / 3, "good": 0.85 - 0.4 * 5 / 3}),
        ("balanced", "good", {"cheap": 0.45 - 0.15 / 3, "good": 0.85 - 0.15 * 5 / 3}),
    ],
)
def test_what_is_judged_is_what_the_objective_counts_and_the_means_stand_beside_it(
    objective: str, best: str, worth: dict[str, float], runs: int
) -> None:
    held = {"greedy": 0, "cheap": 0, "good": 0}
    for seed in range(runs):
        report = report_of(priced(logged(BETTER, 1_000, seed, 0.35)), 2, objective)
        ways = {"greedy": report.greedy, **report.singles}
        for name, way in ways.items():
            held[name] += holds(way.utility.dr, worth[best if name == "greedy" else name])
        for name, (reward, cost, seconds) in MEANS.items():
            found = report.singles[name]
            assert found.reward.value == pytest.approx(reward, abs=0.12)
            assert found.cost is not None
            assert found.seconds is not None
            assert (found.cost.value, found.seconds.value) == (pytest.approx(cost), pytest.approx(seconds))
        if objective == "quality":
            assert report.greedy.utility.dr == report.greedy.reward
    assert min(held.values()) >= 0.9 * runs, held


def test_where_nothing_is_known_of_costs_nothing_is_told_of_them() -> None:
    report = report_of(logged(BETTER, 300, 1, 0.35), 2, "balanced")
    assert (report.greedy.cost, report.greedy.seconds) == (None, None)
    assert report.greedy.utility.dr == report.greedy.reward


@pytest.mark.parametrize("runs", [20, pytest.param(60, marks=pytest.mark.soak)])
def test_where_models_are_equal_a_difference_is_seldom_told(runs: int) -> None:
    told = 0
    for seed in range(runs):
        report = report_of(logged(EQUAL, 1_500, seed, 0.35), 2)
        told += "No difference" not in report.greedy.utility.verdict
    assert told <= runs // 20


def test_a_model_that_was_seldom_asked_gets_no_verdict() -> None:
    rates = ({"cheap": 0.2, "good": 0.9},) * 2
    report = report_of(logged(rates, 2_000, 1, 0.02), 2)
    assert report.singles["cheap"].utility.ess < MIN_ESS
    assert "rarely tried" in report.singles["cheap"].utility.refusal
    assert not report.singles["good"].utility.refusal
