"""Numbers as JSON has them: what is one, whatever the other side wrote in its place.

In Python a boolean is a whole number too, and the text of a number can be too long to be read; neither may get
further than this.
"""

from __future__ import annotations

import sys
from typing import Any, TypeGuard

MAX_COUNT = 2**53
"""Beyond it JSON's numbers are no longer exact, and nothing that is counted here can be as many."""

_LARGEST = sys.float_info.max
_LONGEST = 16
"""Digits of the largest count."""


def is_whole(value: Any) -> TypeGuard[int]:
    """Whether a value is a whole number, and no boolean."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether a value is a number that a float can hold, and no boolean."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST


def count_of(value: Any) -> int:
    """A count, above 0 and below `MAX_COUNT`; 0: it is something else.

    It may come with a point, or as text: 64-bit numbers are text in Google's JSON, and headers are nothing but text.
    """
    if isinstance(value, str) and value.isdecimal() and len(value) <= _LONGEST:
        value = int(value)
    return int(value) if is_number(value) and 0 < value < MAX_COUNT else 0


def amount_of(value: Any) -> float | None:
    """A number that is not negative; None: it is something else."""
    return float(value) if is_number(value) and value >= 0 else None
