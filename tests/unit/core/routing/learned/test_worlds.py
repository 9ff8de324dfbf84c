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
SEEDS = range(3)
MANY = range(100, 124)
WORLDS = [(1, 300), (4, 200)]
ALL_WORLDS = [(1, 100), *WORLDS]
"""Kinds of requests, and requests between two tables."""

Truth = Callable[[int, str, Weights], float]
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
        rates = {model: truth(turn, model, phi) for model in there}
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
        decisions, regrets = run(lambda _, m, __: RATES[m], 4_000, seed, world)
        assert sum(regrets[2_000:]) < 0.7 * sum(regrets[:2_000])
        assert sum(regrets[3_000:]) / 1_000 < 0.02
        assert min(p for one in decisions for p in one.propensities) >= FLOOR - 1e-12
        assert share(decisions[3_000:], "good") > 0.9


def after_a_fall(seed: int, world: World, other: float) -> tuple[float, float]:
    """Share of a model before it falls from 0.8 to 0.5, and 1,500 to 2,000 requests later."""

    def truth(turn: int, model: str, _: Weights) -> float:
        return {**RATES, "cheap": other}[model] - (0.3 if model == "good" and turn >= 2_000 else 0.0)

    decisions, _ = run(truth, 4_000, seed, world)
    return share(decisions[1_500:2_000], "good"), share(decisions[3_500:], "good")


@pytest.mark.parametrize("world", WORLDS)
def test_a_model_that_gets_worse_loses_its_traffic_within_two_thousand_requests(world: World) -> None:
    shares = [after_a_fall(seed, world, 0.6) for seed in SEEDS]
    assert min(before for before, _ in shares) > 0.7
    assert max(after for _, after in shares) < 0.15
    assert sum(after for _, after in shares) / len(shares) < 0.1


@pytest.mark.soak
@pytest.mark.parametrize("other", [0.6, 0.7])
def test_hardly_any_model_that_gets_worse_keeps_a_tenth_of_its_traffic(other: float) -> None:
    shares = [after_a_fall(seed, world, other) for world in ALL_WORLDS for seed in MANY]
    kept = [after for _, after in shares if after >= 0.1]
    assert len(kept) <= 0.03 * len(shares), kept
    assert sum(after for _, after in shares) / len(shares) < 0.06


def after_a_fall_in_one_kind(seed: int, fall: float) -> tuple[float, float]:
    """Share of a model that falls at the requests nearest to one kind of four, there 2,500 to 3,000 requests later, and elsewhere."""

    def home(phi: Weights) -> int:
        return max(phi, key=lambda kind: phi[kind])

    def truth(turn: int, model: str, phi: Weights) -> float:
        return RATES[model] - (fall if model == "good" and turn >= 2_000 and home(phi) == 0 else 0.0)

    decisions, _ = run(truth, 5_000, seed, (4, 200))
    there = [one for one in decisions[4_500:] if home(one.phi) == 0]
    elsewhere = [one for one in decisions[4_500:] if home(one.phi) != 0]
    return share(there, "good"), share(elsewhere, "good")


def test_a_fall_in_one_of_four_softly_shared_kinds_is_followed_there_and_nowhere_else() -> None:
    shares = [after_a_fall_in_one_kind(seed, 0.5) for seed in SEEDS]
    assert max(there for there, _ in shares) < 0.2
    assert min(elsewhere for _, elsewhere in shares) > 0.85


@pytest.mark.soak
def test_a_fall_in_one_kind_to_just_below_another_model_is_followed_in_most_runs() -> None:
    shares = [after_a_fall_in_one_kind(seed, 0.3) for seed in MANY]
    there = sorted(one for one, _ in shares)
    assert there[len(there) // 2] < 0.2
    assert there[int(0.9 * len(there))] < 0.6
    assert min(elsewhere for _, elsewhere in shares) > 0.8


@pytest.mark.parametrize("world", WORLDS)
def test_a_better_newcomer_is_found_within_fifteen_hundred_requests(world: World) -> None:
    rates = {"cheap": 0.6, "good": 0.3, "bad": 0.85}
    for seed in SEEDS:
        decisions, _ = run(lambda _, m, __: rates[m], 3_600, seed, world, newcomer=2_000)
        assert share(decisions[3_400:], "bad") > 0.8
