"""Which kinds a reward is told to, and how far kinds are held together."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from services.core.routing.learned.credit import Told, credited, pooled

RATES = (0.2, 0.8, 0.8, 0.8)
SHARES = (0.7, 0.2, 0.1)


def means(sums: Sequence[float], counts: Sequence[float]) -> list[float]:
    return [total / count for total, count in zip(sums, counts, strict=True)]


def soft(seed: int, turns: int) -> tuple[list[Told], list[float]]:
    """Rewards of requests that belong to three kinds each, as good as the kind that they are nearest to."""
    random, told, counts = Random(seed), list[Told](), [0.0] * 4
    for _ in range(turns):
        first = random.randrange(4)
        parts = [((first + i) % 4, share, share) for i, share in enumerate(SHARES)]
        told.append((float(random.random() < RATES[first]), parts))
        for kind, _, weight in parts:
            counts[kind] += weight
    return told, counts


def test_a_kind_is_told_what_the_others_leave_so_that_requests_are_expected_as_they_are() -> None:
    told, counts = soft(1, 8_000)
    found = means(credited(told, 4, lambda sums: means(sums, counts)), counts)
    smeared = means([sum(w * r for r, parts in told for k, _, w in parts if k == kind) for kind in range(4)], counts)
    for first, rate in enumerate(RATES):
        expected = sum(share * found[(first + i) % 4] for i, share in enumerate(SHARES))
        assert expected == pytest.approx(rate, abs=0.05)
    assert sum(share * smeared[i] for i, share in enumerate(SHARES)) > RATES[0] + 0.2


def test_the_sum_of_what_kinds_are_told_is_that_of_the_rewards() -> None:
    told, counts = soft(2, 500)
    found = credited(told, 4, lambda sums: means(sums, counts))
    assert sum(found) == pytest.approx(sum(reward for reward, _ in told))


def test_where_requests_are_of_one_kind_each_it_is_told_the_reward_as_it_is() -> None:
    told: list[Told] = [(1.0, [(0, 1.0, 0.5)]), (0.0, [(0, 1.0, 1.0)]), (1.0, [(1, 1.0, 1.0)])]
    assert credited(told, 2, lambda sums: pytest.fail("nothing is expected")) == [0.5, 1.0]


def drawn(rates: Sequence[float], count: int, seed: int) -> list[float]:
    random = Random(seed)
    return [float(sum(random.random() < rate for _ in range(count))) for rate in rates]


def test_kinds_that_differ_by_chance_are_held_together_and_those_that_do_differ_are_not() -> None:
    counts = [100.0] * 6
    apart, together = 0.0, 0.0
    for seed in range(50):
        sums = drawn([0.6] * 6, 100, seed)
        apart += sum((m - 0.6) ** 2 for m in means(sums, counts))
        together += sum((m - 0.6) ** 2 for m in means(pooled(sums, counts, ()), counts))
    assert together < 0.5 * apart
    clear = drawn([0.2, 0.8] * 3, 100, 1)
    assert pooled(clear, counts, ()) == pytest.approx(clear, abs=2.0)


def test_a_kind_that_is_known_to_be_different_stays_as_it_is() -> None:
    sums, counts = [10.0, 61.0, 59.0, 0.0], [50.0, 100.0, 100.0, 0.0]
    found = pooled(sums, counts, {0})
    assert found[0] == 10.0
    assert found[1:] == pytest.approx([60.0, 60.0, 0.0])
    assert pooled([3.0], [5.0], ()) == [3.0]
    assert pooled([0.0, 0.0], [0.0, 0.0], ()) == [0.0, 0.0]
