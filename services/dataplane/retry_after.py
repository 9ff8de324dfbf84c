"""Retry-After in all its forms, as seconds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_SECONDS = 86_400.0

_RATES = ("x-ratelimit-", "ratelimit-")
_ANTHROPIC_RATE = "anthropic-ratelimit-"
_SPAN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_SPAN_SECONDS = (86_400.0, 3_600.0, 60.0, 1.0, 0.001)
_EPOCH = 1_000_000_000.0
"""Numbers from here on are instants, not spans: seconds since the Unix epoch, or milliseconds when a thousand times that."""


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds that the provider asks to wait; None when it does not, or not in a form that means anything.

    Args:
        headers: By lower-case name. `retry-after-ms` is exact and comes first, unless it says nothing
            (some gateways send 0 beside a real `retry-after`); `retry-after` holds seconds or an HTTP
            date (RFC 9110, 10.2.3).
        now: The present time, for dates.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    value = headers.get("retry-after", "").strip()
    if milliseconds is not None and (milliseconds > 0 or not value):
        return min(milliseconds / 1000.0, MAX_SECONDS)
    if not value:
        return None
    seconds = _number(value)
    if seconds is None:
        seconds = _until(value, now)
    return min(seconds, MAX_SECONDS) if seconds is not None else None


def rate_reset(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds until a rate limit that is used up starts anew; None when the headers name none.

    For answers that say "too many requests" and nothing about when to come back. Only limits with nothing
    remaining count, and the last of them: before that the next request fails as well.

    Args:
        headers: By lower-case name: `[x-]ratelimit-remaining[-…]` with `[x-]ratelimit-reset[-…]` (a span such
            as "1m30.5s" or "20ms", seconds, or an instant since the epoch), and Anthropic's
            `anthropic-ratelimit-…-remaining` with `…-reset` (RFC 3339).
        now: The present time, for instants.
    """
    found = []
    for name, left in headers.items():
        reset = _reset_name(name)
        seconds = _reset(headers.get(reset, "").strip(), now) if reset and _number(left) == 0 else None
        if seconds is not None:
            found.append(seconds)
    return min(max(found), MAX_SECONDS) if found else None


def span(text: str) -> float | None:
    """Seconds of a span such as "34.4s", "1m30s" or "20ms"; None: it is none."""
    parts = _SPAN.fullmatch(text)
    if not text or parts is None:
        return None
    return sum(float(part or 0) * unit for part, unit in zip(parts.groups(), _SPAN_SECONDS, strict=True))


def _reset_name(name: str) -> str:
    """The header that says when the limit behind a header of what remains starts anew; empty: it is no such header."""
    if name.startswith(_ANTHROPIC_RATE) and name.endswith("-remaining"):
        return f"{name.removesuffix('-remaining')}-reset"
    rate = next((each for each in _RATES if name.startswith(f"{each}remaining")), None)
    return f"{rate}reset{name.removeprefix(f'{rate}remaining')}" if rate is not None else ""


def _reset(text: str, now: datetime | None) -> float | None:
    number = _number(text)
    if number is not None:
        if number < _EPOCH:
            return number
        instant = number / 1000.0 if number >= _EPOCH * 1000.0 else number
        return max(0.0, instant - (now or datetime.now(UTC)).timestamp())
    seconds = span(text)
    if seconds is not None:
        return seconds
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _left(when, now)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number >= 0 and number == number and number != float("inf") else None  # noqa: PLR0124 - NaN


def _until(text: str, now: datetime | None) -> float | None:
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    return _left(when, now)


def _left(when: datetime, now: datetime | None) -> float:
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - (now or datetime.now(UTC))).total_seconds())
