"""Durations as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.core.policy.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("300ms", 0.3), ("1.5s", 1.5), ("2m", 120.0), ("1h", 3600.0), ("250us", 0.00025), (" 5s ", 5.0), ("0s", 0.0)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize("text", ["", "5", "s", "-1s", "1,5s", "5 s", "5sec", "1e3s", "٣s", "5s5s", "inf s", "nan"])
def test_what_is_no_duration_is_none(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.3, "300ms"), (1.5, "1.5s"), (120, "2m"), (3600, "1h"), (90, "90s"), (0, "0ms"), (0.00025, "0.25ms")],
)
def test_a_duration_is_written_in_its_shortest_form(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(0, 86_400 * 10**6))
def test_every_duration_comes_back_to_the_microsecond(microseconds: int) -> None:
    seconds = microseconds / 1e6
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1e-6, rel=1e-8)
