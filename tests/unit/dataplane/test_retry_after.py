"""Retry-After in all its forms."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dataplane.retry_after import MAX_SECONDS, retry_after

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": "Tue, 24 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Tue, 24 Nov 2026 13:00:30 +0100"}, 30.0),
        ({"retry-after": "Tuesday, 24-Nov-26 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Tue Nov 24 12:00:30 2026"}, 30.0),
        ({"retry-after": "Tue, 24 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "999999999"}, MAX_SECONDS),
        ({"retry-after": "Tue, 24 Nov 2099 12:00:00 GMT"}, MAX_SECONDS),
        ({"retry-after-ms": "99999999999999"}, MAX_SECONDS),
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Tue, 99 Nov 2026 12:00:30 GMT"}, None),
        ({"retry-after": "Tue, 24 Nov 99999999 12:00:30 GMT"}, None),
    ],
)
def test_a_wait_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


@given(st.text(max_size=60), st.text(max_size=20))
def test_no_header_whatever_breaks_it(value: str, milliseconds: str) -> None:
    found = retry_after({"retry-after": value, "retry-after-ms": milliseconds})
    assert found is None or 0.0 <= found <= MAX_SECONDS
