"""Verdicts: every sentence, and when it is said."""

from __future__ import annotations

import pytest
from turnout.learning.v1 import learning_service_pb2 as pb

from services.controlplane.learning.verdict import NO_FEEDBACK, verdict_of


def way(name: str, low: float, high: float) -> pb.OffPolicy:
    return pb.OffPolicy(
        candidate=name, utility=(low + high) / 2, utility_low=low, utility_high=high, reward=0.9, low=0.9, high=0.9
    )


def report(greedy: pb.OffPolicy, *singles: pb.OffPolicy) -> pb.Learned:
    models = [pb.LearnedModel(model=single.candidate) for single in singles]
    return pb.Learned(metric="thumbs", logged_reward=0.5, greedy=greedy, singles=singles, models=models)


REFUSED = pb.OffPolicy(candidate="a", refusal="7 requests count as 3, fewer than 500")
A, B = way("a", 0.5, 0.6), way("b", 0.1, 0.2)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (
            report(way("greedy", 0.7, 0.8), A, B),
            "Choosing by kind of request pays: 0.750 (0.700 to 0.800) against 0.550",
        ),
        (
            report(way("greedy", 0.3, 0.4), A, B),
            "One model alone would do better: 0.350 (0.300 to 0.400) against 0.550",
        ),
        (report(way("greedy", 0.55, 0.7), A, B), "No difference can be told between choosing by kind"),
        (
            report(way("greedy", 0.4, 0.5), REFUSED, B),
            "Choosing by kind of request pays: 0.450 (0.400 to 0.500) against 0.150",
        ),
        (report(REFUSED, A), "No verdict: 7 requests count as 3, fewer than 500."),
        (report(A, REFUSED), "No verdict: no model was chosen often enough to stand for itself."),
    ],
)
def test_a_verdict_compares_choosing_with_the_best_single_model(found: pb.Learned, verdict: str) -> None:
    assert verdict_of(found, explored=True).startswith(verdict)


def test_a_verdict_says_what_it_goes_by_if_that_is_not_the_reward_alone() -> None:
    found = report(way("greedy", 0.7, 0.8), A)
    found.objective = "quality"
    assert verdict_of(found, explored=True).endswith("of a alone.")
    found.objective = "cost"
    assert verdict_of(found, explored=True).endswith(
        "of a alone, by the objective cost: reward less what cost and time are worth."
    )


def test_a_deployment_without_feedback_is_told_what_its_reward_is() -> None:
    found = report(way("greedy", 0.7, 0.8), A)
    found.metric = ""
    assert verdict_of(found, explored=True).startswith(f"{NO_FEEDBACK} Choosing by kind")


def test_without_a_reward_there_is_no_verdict() -> None:
    found = report(A, B)
    found.ClearField("logged_reward")
    assert verdict_of(found, explored=True) == (
        "No verdict: no reward by the metric 'thumbs' is known of any request, so priors decide."
    )


def test_without_exploring_nothing_is_known_of_the_others() -> None:
    assert verdict_of(report(A, B), explored=False).startswith("No verdict: nothing was explored")


def test_decisions_about_other_kinds_are_told_of() -> None:
    found = report(A, B)
    found.other_kinds = 1_200
    assert "1,200 decisions of another release are about other kinds and left out." in verdict_of(found, explored=True)
