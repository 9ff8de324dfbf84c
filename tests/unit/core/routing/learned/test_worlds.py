"""The loop in worlds whose truth is known: choices by a table that is learned anew every so many requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import pytest

from services.core.routing.learned.choice import FLOOR, choose
from services.core.routing.learned.clusters import Clusters, Weights
from services.core.routing.learned.decision import Decision
from services.core.routing.learned.learner import learned_table
from services.core.routing.learned.table import Table

MODELS = ("cheap", "good", "bad")
RATES = {"good": 0.8, "cheap": 0.6, "bad": 0.3}
SEEDS = range(8)
WORLDS = [(1, 100), (1, 300), (4, 200)]
"""Kinds of requests, and requests between two tables."""

Truth = Callable[[int, str], float]
World = tuple[int, int]


def soft(random: Random, kinds: int) -> Weights:
    """A request's kinds: one, or three of them."""
    first = random.randrange(kinds)
    return {0: 1.0} if kinds == 1 else {(first + i) % kinds: weight for i, weight in enumerate((0.7, 0.2, 0.1))}


def run(truth: Truth, turns: int, seed: int, world: World, newcomer: int = 0) -> tuple[list[Decision], list[float]]:
    """Decisions and regrets; the last of `MODELS` is there from turn `newcomer` on."""
    kinds, batch = world
    table, random, decisions, regrets = Table(Clusters(kinds)), Random(seed), list[Decision](), []
    for turn in range(turns):
        there = MODELS if turn >= newcomer else MODELS[:-1]
        phi = soft(random, kinds)
        choice = choose(table, phi, there, random.getrandbits(64))
        rates = {model: truth(turn, model) for model in there}
        model = choice.models[0]
        decisions.append(
            Decision(
                at=float(turn),
                phi=phi,
                models=tuple(one.model for one in choice.scored),
                propensities=choice.propensities,
                expected=tuple(one.reward for one in choice.scored),
                chosen=model,
                served=model,
                reward=float(random.random() < rates[model]),
            )
        )
        regrets.append(max(rates.values()) - rates[model])
        if (turn + 1) % batch == 0:
            table = learned_table(decisions, kinds)
    return decisions, regrets


def share(decisions: Sequence[Decision], model: str) -> float:
    return sum(one.chosen == model for one in decisions) / len(decisions)


@pytest.mark.parametrize("world", WORLDS)
def test_regret_grows_slower_than_time_and_no_probability_is_below_the_floor(world: World) -> None:
    for seed in SEEDS:
        decisions, regrets = run(lambda _, m: RATES[m], 4_000, seed, world)
        assert sum(regrets[2_000:]) < 0.7 * sum(regrets[:2_000])
        assert sum(regrets[3_000:]) / 1_000 < 0.02
        assert min(p for one in decisions for p in one.propensities) >= FLOOR - 1e-12
        assert share(decisions[3_000:], "good") > 0.9


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("other", [0.6, 0.7])
def test_a_model_that_gets_worse_loses_its_traffic_within_two_thousand_requests(world: World, other: float) -> None:
    def truth(turn: int, model: str) -> float:
        return {**RATES, "cheap": other}[model] - (0.3 if model == "good" and turn >= 2_000 else 0.0)

    for seed in SEEDS:
        decisions, _ = run(truth, 4_000, seed, world)
        assert share(decisions[1_500:2_000], "good") > 0.7
        assert share(decisions[3_500:], "good") < 0.1


@pytest.mark.parametrize("world", WORLDS)
def test_a_better_newcomer_is_found_within_fifteen_hundred_requests(world: World) -> None:
    rates = {"cheap": 0.6, "good": 0.3, "bad": 0.85}
    for seed in SEEDS:
        decisions, _ = run(lambda _, m: rates[m], 3_600, seed, world, newcomer=2_000)
        assert share(decisions[3_400:], "bad") > 0.8
