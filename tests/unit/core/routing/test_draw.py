"""Draws are the same on every machine: fixed numbers, which no change may move."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.routing.draw import uniform


@pytest.mark.parametrize(
    ("seed", "label", "drawn"),
    [
        (0, "", 0.7644042877357687),
        (1, "variant", 0.7988825109327892),
        (1, "wait/1", 0.2579048666466126),
        (42, "credential/openai/gpt-5", 0.09863963969367318),
        (2**64 - 1, "variant", 0.21149721612917227),
        (2**63, "Zoë", 0.9322213389300285),
    ],
)
def test_a_draw_is_the_same_on_every_machine(seed: int, label: str, drawn: float) -> None:
    assert uniform(seed, label) == drawn


def test_the_number_is_the_upper_53_bits_of_the_hash() -> None:
    # blake2b of b"variant", eight bytes, keyed with the seed 1 in eight bytes: cc839071cd7d39ee
    assert uniform(1, "variant") == (0xCC839071CD7D39EE >> 11) / 2**53


@given(st.integers(), st.text())
def test_every_seed_and_label_give_a_number_from_0_to_below_1(seed: int, label: str) -> None:
    drawn = uniform(seed, label)
    assert 0.0 <= drawn < 1.0
    assert drawn == uniform(seed, label) == uniform(seed % 2**64, label)


def test_draws_are_even_over_seeds_and_independent_over_labels() -> None:
    pairs = [(uniform(seed, "a"), uniform(seed, "b")) for seed in range(8_000)]
    quarters = [sum(a < 0.5 and b < 0.5 for a, b in pairs), sum(a >= 0.5 and b >= 0.5 for a, b in pairs)]
    assert all(1_850 < count < 2_150 for count in quarters), quarters
