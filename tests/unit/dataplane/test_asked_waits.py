"""Every form in which providers say when to come back."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dataplane.providers import anthropic_errors, openai_errors
from services.dataplane.retry_after import MAX_SECONDS, rate_reset, retry_after

NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "99999999999"}, MAX_SECONDS),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 25 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Wed, 25 Nov 2026 11:59:00 GMT"}, 0.0),
        ({"retry-after": "Wednesday, 25-Nov-26 12:00:30 GMT"}, 30.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        # Azure says 0 ms beside the real wait.
        ({"retry-after-ms": "0", "retry-after": "1"}, 1.0),
        ({"retry-after-ms": "0"}, 0.0),
        ({"retry-after-ms": "?", "retry-after": "2"}, 2.0),
    ],
    ids=str,
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "17ms"}, 0.017),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2m59.56s"}, 179.56),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1h2m3s"}, 3723.0),
        # A limit with something left is not what stopped us.
        ({"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "6m0s"}, None),
        ({"x-ratelimit-reset-requests": "6m0s"}, None),
        ({"x-ratelimit-remaining-tokens": "0"}, None),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "whenever"}, None),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "2s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "9s",
            },
            9.0,
        ),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp() + 5) * 1000)}, 5.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp() + 5))}, 5.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW.timestamp() - 5))}, 0.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "12"}, 12.0),
        (
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2026-11-25T12:00:08Z",
                "anthropic-ratelimit-tokens-remaining": "1000",
                "anthropic-ratelimit-tokens-reset": "2026-11-25T12:01:00Z",
            },
            8.0,
        ),
    ],
    ids=str,
)
def test_a_rate_limit_that_is_used_up_says_when_it_starts_anew(headers: dict[str, str], seconds: float | None) -> None:
    assert rate_reset(headers, NOW) == seconds


@given(st.text(max_size=40), st.text(max_size=10))
def test_no_reset_whatever_breaks_it(reset: str, left: str) -> None:
    for name in ("x-ratelimit-{}-requests", "ratelimit-{}", "anthropic-ratelimit-tokens-{}"):
        found = rate_reset({name.format("reset"): reset, name.format("remaining"): left})
        certain = rate_reset({name.format("reset"): reset, name.format("remaining"): "0"})
        assert all(each is None or 0.0 <= each <= MAX_SECONDS for each in (found, certain))


GOOGLE = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "34.4s"}]}}
OPENROUTER = {"error": {"code": 429, "metadata": {"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "7"}}}}
RESETS = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9s"}


@pytest.mark.parametrize(
    ("status", "headers", "body", "seconds"),
    [
        (429, {}, GOOGLE, 34.4),
        (429, {"retry-after": "3"}, GOOGLE, 3.0),
        (429, {}, OPENROUTER, 7.0),
        (429, RESETS, {}, 9.0),
        (429, {"retry-after": "1", **RESETS}, {}, 1.0),
        # Elsewhere the state of a rate limit says nothing about when to come back.
        (503, RESETS, {}, None),
        (400, RESETS, {}, None),
        (503, {"retry-after": "4"}, {}, 4.0),
        (429, {}, {"error": {"code": "insufficient_quota"}}, None),
    ],
)
def test_the_wait_is_read_from_headers_first_and_from_bodies_where_only_they_tell(
    status: int, headers: dict[str, str], body: Any, seconds: float | None
) -> None:
    assert openai_errors.classify(status, headers, json.dumps(body).encode()).retry_after == seconds


def test_anthropics_own_limits_are_read_too() -> None:
    headers = {
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2000-01-01T00:00:00Z",
    }
    assert anthropic_errors.classify(429, headers, b"{}").retry_after == 0.0
