"""Numbers that another side wrote."""

from __future__ import annotations

from typing import Any

import pytest

from services.core.numbers import MAX_COUNT, amount_of, count_of, is_number, is_whole


@pytest.mark.parametrize(
    ("value", "whole", "number", "count", "amount"),
    [
        (7, True, True, 7, 7.0),
        (7.9, False, True, 7, 7.9),
        ("7", False, False, 7, None),
        (0, True, True, 0, 0.0),
        (-1, True, True, 0, None),
        (True, False, False, 0, None),
        (None, False, False, 0, None),
        ([7], False, False, 0, None),
        ("-7", False, False, 0, None),
        ("", False, False, 0, None),
        ("9" * 5000, False, False, 0, None),
        (MAX_COUNT - 1, True, True, MAX_COUNT - 1, float(MAX_COUNT - 1)),
        (str(MAX_COUNT - 1), False, False, MAX_COUNT - 1, None),
        (MAX_COUNT, True, True, 0, float(MAX_COUNT)),
        (10**400, True, False, 0, None),
        (-(10**400), True, False, 0, None),
        (1e300, False, True, 0, 1e300),
        (float("nan"), False, False, 0, None),
        (float("inf"), False, False, 0, None),
    ],
)
def test_what_is_a_number(value: Any, whole: bool, number: bool, count: int, amount: float | None) -> None:
    assert (is_whole(value), is_number(value)) == (whole, number)
    assert (count_of(value), amount_of(value)) == (count, amount)
