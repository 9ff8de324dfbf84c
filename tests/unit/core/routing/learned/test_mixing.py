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
