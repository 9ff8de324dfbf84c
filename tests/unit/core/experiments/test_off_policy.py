"""Off-policy estimates: how often the interval holds the truth, and when a verdict is refused."""

from __future__ import annotations

from random import Random

import pytest

from services.core.experiments.off_policy import Logged, evaluated
from services.core.values import changed

RATES = {"a": 0.7, "b": 0.5, "c": 0.3}
LOGGING = {"a": 0.2, "b": 0.5, "c": 0.3}
CANDIDATE = {"a": 0.8, "b": 0.1, "c": 0.1}
TRUTH = sum(p * RATES[m] for m, p in CANDIDATE.items())
WRONG = {"a": 0.6, "b": 0.6, "c": 0.2}


def log(seed: int, n: int, logging: dict[str, float] = LOGGING) -> list[Logged]:
    random = Random(seed)
    chosen = random.choices(list(logging), list(logging.values()), k=n)
    return [Logged(m, logging[m], float(random.random() < RATES[m]), CANDIDATE, WRONG) for m in chosen]


def test_the_intervals_hold_the_truth_although_the_expectations_are_wrong() -> None:
    held = {"ips": 0, "snips": 0, "dr": 0}
    for seed in range(200):
        found = evaluated(log(seed, 2_000))
        assert not found.refusal
        for name in held:
            estimate = getattr(found, name)
            held[name] += estimate.low <= TRUTH <= estimate.high
    assert all(count >= 180 for count in held.values()), held


def sessions(seed: int, n: int, turns: int) -> list[Logged]:
    """Sessions that draw their model once, and are easy or hard as a whole."""
    random, found = Random(seed), list[Logged]()
    for number in range(n):
        model, easy = random.choices(list(LOGGING), list(LOGGING.values()))[0], random.choice((-0.25, 0.25))
        reward = [float(random.random() < RATES[model] + easy) for _ in range(turns)]
        found += [Logged(model, LOGGING[model], one, CANDIDATE, WRONG, f"s{number}") for one in reward]
    return found


def test_the_intervals_hold_the_truth_when_sessions_draw_once_and_would_not_if_their_requests_were_independent() -> (
    None
):
    clustered, alone = {"ips": 0, "snips": 0, "dr": 0}, {"ips": 0, "snips": 0, "dr": 0}
    for seed in range(80):
        log = sessions(seed, 800, 6)
        found, naive = evaluated(log), evaluated([changed(one, cluster="") for one in log])
        for name in clustered:
            clustered[name] += getattr(found, name).low <= TRUTH <= getattr(found, name).high
            alone[name] += getattr(naive, name).low <= TRUTH <= getattr(naive, name).high
    assert all(count >= 72 for count in clustered.values()), clustered
    assert all(count < 72 for count in alone.values()), alone


def test_requests_of_a_session_count_as_one() -> None:
    found = evaluated(sessions(1, 100, 40))
    assert found.n == 4_000
    assert found.ess <= 100
    assert "4,000 requests count as" in found.refusal


def test_a_better_candidate_is_told() -> None:
    assert "would do better" in evaluated(log(1, 4_000)).verdict


def test_too_little_evidence_is_no_verdict() -> None:
    found = evaluated(log(1, 300))
    assert found.ess < 500
    assert found.verdict.startswith("No verdict: 300 requests count as")
    assert evaluated([]).refusal


def test_one_request_that_carries_everything_is_no_verdict() -> None:
    even = [Logged("b", 1.0, 0.5, {"b": 1.0})] * 20_000
    heavy = Logged("a", 1e-9, 1.0, {"a": 1.0})
    found = evaluated([*even, heavy])
    assert (found.clipped, found.max_share < 0.05) == (1, True), "cut to the square root of n"
    light = [Logged("b", 1.0, 0.5, {"b": 0.05})] * 20_000
    assert evaluated([*light, heavy]).refusal


@pytest.mark.parametrize(
    "row", [Logged("a", 0.0, 1.0, {}), Logged("a", 1.5, 1.0, {}), Logged("a", 0.5, float("nan"), {})]
)
def test_what_cannot_be_is_refused(row: Logged) -> None:
    with pytest.raises(ValueError, match="must be"):
        evaluated([row])
