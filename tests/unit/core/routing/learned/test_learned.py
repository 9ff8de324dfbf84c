"""The learned choice: what it promises of its probabilities, and what it does in worlds whose truth is known."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.routing.learned.choice import choose, drawn, propensities
from services.core.routing.learned.clusters import ONE, trained, weights
from services.core.routing.learned.evaluate import Row, evaluated
from services.core.routing.learned.features import WIDTH, features
from services.core.routing.learned.table import Table

MODELS = ("cheap", "good", "bad")


@given(
    scores=st.lists(st.floats(-2, 2), min_size=1, max_size=12),
    seen=st.floats(0, 1e6),
    floor=st.floats(0, 0.5),
    budget=st.none() | st.floats(0, 1),
)
def test_probabilities_sum_to_one_and_none_is_below_the_floor(
    scores: list[float], seen: float, floor: float, budget: float | None
) -> None:
    ordered = sorted(scores, reverse=True)
    found = propensities(ordered, seen=seen, floor=floor, max_regret=budget)
    least = min(floor, 1 / len(scores))
    assert floor > 0.0 or found == (1.0, *(0.0 for _ in scores[1:]))
    assert sum(found) == pytest.approx(1.0)
    assert all(p >= least - 1e-12 for p in found)
    assert found[0] == pytest.approx(max(found))
    gaps = sum(p * (ordered[0] - s) for p, s in zip(found, ordered, strict=True))
    if budget is not None:
        assert gaps <= max(budget, least * sum(ordered[0] - s for s in ordered)) + 1e-9


def test_draws_come_as_often_as_they_are_probable() -> None:
    chances = {"a": 0.7, "b": 0.2, "c": 0.1, "never": 0.0}
    for counts in (
        Counter(drawn(chances, seed) for seed in range(20_000)),
        Counter(drawn(chances, f"session {number}") for number in range(20_000)),
    ):
        assert {model: counts[model] / 20_000 for model in chances} == pytest.approx(chances, abs=0.012)


def test_a_unit_keeps_its_model_as_far_as_the_probabilities_allow_in_whatever_order_they_come() -> None:
    before = {"a": 0.6, "b": 0.3, "c": 0.1}
    after = {"b": 0.32, "c": 0.1, "a": 0.58}
    units = [f"session {number}" for number in range(5_000)]
    was = [drawn(before, unit) for unit in units]
    moved = [(m, drawn(after, unit)) for m, unit in zip(was, units, strict=True)]
    # Two hundredths of the probability went to another model, so few sessions go, and none to the one that lost them.
    assert 0.01 < sum(m != n for m, n in moved) / 5_000 < 0.04
    assert "a" not in {n for m, n in moved if m != n}


def decide() -> str:
    table = Table()
    for turn in range(300):
        table.observe({0: 1.0}, MODELS[turn % 3], (0.4, 0.9, 0.1)[turn % 3], 0.001)
    found = choose(table, weights(ONE, features("What is 2 + 2?")), MODELS, 7, floor=0.0005)
    return (
        " ".join(f"{s.model} {p:.4f}" for s, p in zip(found.scored, found.propensities, strict=True)) + found.models[0]
    )


def test_equal_arguments_give_equal_choices_in_every_process() -> None:
    code = "from tests.unit.core.routing.learned.test_learned import decide; print(decide())"
    others = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert others == {decide()}


def test_features_are_short_bounded_and_of_length_one() -> None:
    for text in ("", "?", "def f(x): return x" * 500, "Ärger mit ΩΩ", "a\nb\n" * 40):
        found = features(text, turns=3, tools=True)
        assert all(0 <= place < WIDTH for place in found)
        assert sum(v * v for v in found.values()) == pytest.approx(1.0)


def test_kinds_of_requests_are_told_apart() -> None:
    texts = [f"Solve the equation {i} x + 3 = {i * 2}" for i in range(40)] + [
        f"Write a poem about love and tree {i}" for i in range(40)
    ]
    clusters = trained([features(t) for t in texts], 2)
    homes = [max(found, key=lambda c: found[c]) for found in (weights(clusters, features(t)) for t in texts)]
    assert len(set(homes[:40])) == len(set(homes[40:])) == 1
    assert homes[0] != homes[-1]
    assert sum(weights(clusters, {}).values()) == pytest.approx(1.0)


def test_a_segment_without_evidence_gets_the_choice_of_everybody_and_with_it_its_own() -> None:
    table = Table(discount=1.0)
    for _ in range(400):
        table.observe({0: 1.0}, "good", 0.9)
        table.observe({0: 1.0}, "cheap", 0.5)
    for model in ("good", "cheap"):
        assert table.estimate({0: 1.0}, model, "new plan") == table.estimate({0: 1.0}, model)
    for _ in range(60):
        table.observe({0: 1.0}, "good", 0.1, segment="free")
        table.observe({0: 1.0}, "cheap", 0.8, segment="free")
    assert table.estimate({0: 1.0}, "cheap", "free").reward > table.estimate({0: 1.0}, "good", "free").reward
    assert table.estimate({0: 1.0}, "good").reward > table.estimate({0: 1.0}, "cheap").reward


def test_where_kinds_differ_the_learned_choice_beats_every_single_model() -> None:
    random = Random(4)
    rows = []
    for i in range(600):
        maths = i % 2 == 0
        prompt = f"Solve the equation {i} x = {i * 3}" if maths else f"Write a short poem about the sea and storm {i}"
        rates = {"a": 0.9 if maths else 0.4, "b": 0.4 if maths else 0.9}
        rows.append(Row(prompt, {m: float(random.random() < p) for m, p in rates.items()}, {"a": 0.001, "b": 0.001}))
    found, single, chance, oracle = evaluated(rows, clusters=4).lines
    assert found.reward > single.reward + 0.15
    assert chance.reward < found.reward <= oracle.reward
    with pytest.raises(ValueError, match="ten rows"):
        evaluated(rows[:3])


def test_of_one_model_there_is_nothing_to_mix() -> None:
    found = evaluated([Row(f"prompt {n}", {"a": n % 2 / 1.0}) for n in range(20)], clusters=2)
    assert found.mixing is None
    assert found.lines[0].reward == found.lines[1].reward
