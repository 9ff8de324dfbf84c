"""What decisions teach: whose reward counts, what fades, and where a model is seen to have changed."""

from __future__ import annotations

import time
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.routing.learned.changes import ALL, changes
from services.core.routing.learned.clusters import Clusters
from services.core.routing.learned.decision import Decision
from services.core.routing.learned.learner import learned_table
from services.core.routing.learned.table import Table


def decision(
    chosen: str = "a",
    served: str | None = None,
    reward: float | None = 1.0,
    kind: int = 0,
    segment: str = "",
    at: float = 0.0,
) -> Decision:
    return Decision(
        at=at,
        phi={kind: 1.0},
        models=("a", "b"),
        propensities=(0.5, 0.5),
        expected=(0.5, 0.5),
        chosen=chosen,
        served=chosen if served is None else served,
        segment=segment,
        reward=reward,
        cost=0.002,
        seconds=1.5,
    )


def test_after_a_failover_the_reward_counts_for_nobody_and_cost_and_time_for_the_one_that_served() -> None:
    table = learned_table([decision("a", served="b", reward=0.0)], 1)
    assert ("a", "") not in table.cells
    (cell,) = table.cells["b", ""]
    assert (cell.rewarded, cell.reward) == (0.0, 0.0)
    assert (cell.priced, cell.cost, cell.timed, cell.seconds) == (1.0, 0.002, 1.0, 1.5)


def test_a_request_that_nobody_served_teaches_nothing() -> None:
    assert learned_table([decision("a", served="", reward=0.0)], 1).cells == {}


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.booleans(), st.integers(0, 2), st.sampled_from(["", "x"])), max_size=40
    )
)
def test_the_table_is_that_of_one_observation_after_the_other(rows: list[tuple[str, bool, int, str]]) -> None:
    decisions = [decision(model, reward=float(good), kind=kind, segment=segment) for model, good, kind, segment in rows]
    found, slow = learned_table(decisions, 3, discount=0.9), Table(Clusters(3), discount=0.9)
    for one in decisions:
        slow.observe(one.phi, one.served, one.reward, one.cost, one.seconds, one.segment)
    assert found.cells.keys() == slow.cells.keys()
    for key, cells in found.cells.items():
        for cell, other in zip(cells, slow.cells[key], strict=True):
            assert cell.rewarded == pytest.approx(other.rewarded)
            # Everybody's are held together as far as they differ by chance; see `pooled`.
            assert not key[1] or cell.reward == pytest.approx(other.reward)
            assert (cell.priced, cell.seconds) == pytest.approx((other.priced, other.seconds))


def test_rewards_fade_by_rewards_so_that_rare_feedback_is_not_forgotten() -> None:
    decisions = [decision(reward=1.0 if turn % 50 == 0 else None) for turn in range(10_000)]
    (cell,) = learned_table(decisions, 1).cells["a", ""]
    assert 190 < cell.rewarded < 200
    assert 3_000 < cell.priced < 3_400


def test_a_model_that_changed_is_known_by_what_came_since() -> None:
    random = Random(3)
    rewards = [float(random.random() < (0.8 if turn < 3_000 else 0.5)) for turn in range(3_200)]
    decisions = [decision(reward=reward) for reward in rewards]
    since = changes(({0: 1.0}, "a", reward) for reward in rewards)["a", ALL]
    assert 2_940 <= since <= 3_060
    assert learned_table(decisions, 1).estimate({0: 1.0}, "a").reward == pytest.approx(0.5, abs=0.1)
    assert learned_table(decisions[:3_000], 1).estimate({0: 1.0}, "a").reward == pytest.approx(0.8, abs=0.03)


def test_a_change_in_one_kind_leaves_the_others_what_they_know() -> None:
    random = Random(5)
    rows = [
        (kind := turn % 6, float(random.random() < (0.3 if kind == 2 and turn >= 6_000 else 0.8)))
        for turn in range(8_000)
    ]
    found = changes(({kind: 1.0}, "a", reward) for kind, reward in rows)
    assert found.keys() == {("a", 2)}
    table = learned_table([decision(reward=reward, kind=kind) for kind, reward in rows], 6)
    assert table.estimate({2: 1.0}, "a").reward < 0.45
    assert table.estimate({1: 1.0}, "a").reward > 0.74


def test_a_model_that_stays_the_same_is_rarely_held_for_another() -> None:
    alarms = 0
    for seed in range(10):
        random = Random(seed)
        alarms += len(changes(({0: 1.0}, "a", float(random.random() < 0.5)) for _ in range(5_000)))
    assert alarms <= 2


def test_fifty_thousand_decisions_of_eight_models_are_learned_in_seconds() -> None:
    random, models = Random(1), tuple("abcdefgh")
    decisions = [
        Decision(
            float(i),
            {i % 32: 0.6, (i + 1) % 32: 0.3, (i + 2) % 32: 0.1},
            models,
            (0.125,) * 8,
            (0.5,) * 8,
            m,
            m,
            reward=r,
        )
        for i in range(50_000)
        for m, r in [(random.choice(models), float(random.random() < 0.5))]
    ]
    began = time.process_time()
    table = learned_table(decisions, 32)
    assert time.process_time() - began < 5.0
    assert len(table.cells) == 8
