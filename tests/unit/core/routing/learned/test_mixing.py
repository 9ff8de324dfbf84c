"""What an order of requests is worth, in cases that can be worked out by hand."""

from __future__ import annotations

import random

import pytest

from services.core.routing.learned.mixing import mixing

GAINS = (1.0, 0.0, 0.0, 1.0, -1.0, 1.0, 0.0, 0.0)


def test_the_best_order_needs_only_the_requests_that_gain() -> None:
    found = mixing("w", "s", GAINS, GAINS)
    assert found is not None
    # Closed by thirds of the gap of 2: 1, 2, 3, 3, 3, 3, 3, 2 of 2.
    assert found.apgr == pytest.approx((0.5 + 1.5 + 2.5 + 3 + 3 + 3 + 3 + 2.5) / 8 / 2)
    assert found.needed == (2 / 8, 2 / 8, 2 / 8)


def test_the_worst_order_needs_them_all() -> None:
    found = mixing("w", "s", GAINS, [-gain for gain in GAINS])
    assert found is not None
    assert found.apgr < 0.2
    assert found.needed[-1] == 1.0


def test_chance_is_a_half() -> None:
    draw = random.Random(1)
    gains = [draw.choice((-1.0, 0.0, 0.0, 1.0, 1.0)) for _ in range(4_000)]
    areas = []
    for _ in range(20):
        found = mixing("w", "s", gains, [draw.random() for _ in gains])
        assert found is not None
        areas.append(found.apgr)
    assert sum(areas) / 20 == pytest.approx(0.5, abs=0.01)


def test_a_model_that_is_not_stronger_has_no_gap_to_close() -> None:
    assert mixing("w", "s", (1.0, -1.0), (1.0, 0.0)) is None


def test_a_share_that_is_spent_by_a_threshold_from_training_is_beside_chance_and_the_weak_model() -> None:
    found = mixing("w", "s", GAINS, GAINS, alone=0.25, training=GAINS)
    assert found is not None
    half = found.spent[1]
    # The median of training is 0: only the three gains of 1 are above it.
    assert half.share == 3 / 8
    assert half.reward == pytest.approx(0.25 + 3 / 8)
    assert half.chance == pytest.approx(0.25 + 3 / 8 * sum(GAINS) / 8)
    assert found.alone == 0.25


def test_without_training_nothing_is_said_of_shares() -> None:
    found = mixing("w", "s", GAINS, GAINS)
    assert found is not None
    assert found.spent == ()
