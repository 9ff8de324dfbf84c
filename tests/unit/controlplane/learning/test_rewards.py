"""Rewards: by how answers ended, and by feedback."""

from __future__ import annotations

import pytest

from services.controlplane.learning.rewards import USER_SECONDS, Observation, RewardRule, implicit, observed, rule_of
from services.core.policy.preferences import LearnedRule
from tests.unit.controlplane.learning.made import kept


@pytest.mark.parametrize(
    ("more", "reward"),
    [
        ({}, 1.0),
        ({"whole": False}, 0.0),
        ({"repeated": True}, 0.0),
        ({"served": "b/m"}, None),
        ({"served": ""}, None),
    ],
)
def test_an_answer_of_the_chosen_model_is_worth_one_if_it_came_whole_and_did(
    more: dict[str, object], reward: float | None
) -> None:
    assert implicit(kept(1, 0.0, **more), "a/m") == reward  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "value", "reward"),
    [
        (RewardRule("x"), 0.25, 0.25),
        (RewardRule("x"), 7.0, 1.0),
        (RewardRule("x"), -7.0, 0.0),
        (RewardRule("stars", 1.0, 5.0), 4.0, 0.75),
        (RewardRule("edits", 10.0, 0.0), 2.0, 0.8),
        (RewardRule("edits", 10.0, 0.0), 20.0, 0.0),
        (RewardRule("odd", 1.0, 1.0), 1.0, 1.0),
        (RewardRule("odd", 1.0, 1.0), 0.5, 0.0),
    ],
)
def test_a_value_is_mapped_from_worst_to_best_and_cut(rule: RewardRule, value: float, reward: float) -> None:
    assert rule.of(value) == pytest.approx(reward)


def test_a_rule_is_the_part_of_policy_that_rewards_come_from() -> None:
    assert rule_of(LearnedRule(metric="thumbs", explore=0.1)) == RewardRule("thumbs", 0.0, 1.0)
    assert rule_of(LearnedRule(metric="edits", worst=10.0, best=0.0)) == RewardRule("edits", 10.0, 0.0)


def test_of_several_observations_of_a_request_the_latest_counts() -> None:
    feedback = [
        Observation(5.0, 0.0, request="g1"),
        Observation(4.0, 1.0, request="g1"),
        Observation(4.0, 1.0, request="x"),
    ]
    assert observed([kept(1, 0.0)], feedback) == {"g1": 0.0}


def test_feedback_about_a_user_is_about_the_latest_request_before_it() -> None:
    requests = [kept(1, 100.0, "u"), kept(2, 200.0, "u"), kept(3, 250.0, "other"), kept(4, 400.0, "u")]
    assert observed(requests, [Observation(300.0, 1.0, user="u")]) == {"g2": 1.0}


def test_feedback_about_a_user_is_about_no_request_that_came_later_or_is_older_than_a_day() -> None:
    requests = [kept(1, 100.0, "u")]
    assert observed(requests, [Observation(99.0, 1.0, user="u")]) == {}
    assert observed(requests, [Observation(100.0 + USER_SECONDS, 1.0, user="u")]) == {"g1": 1.0}
    assert observed(requests, [Observation(101.0 + USER_SECONDS, 1.0, user="u")]) == {}


def test_requests_without_a_user_get_nothing_from_feedback_about_nobody() -> None:
    assert observed([kept(1, 100.0)], [Observation(200.0, 1.0, user="")]) == {}
