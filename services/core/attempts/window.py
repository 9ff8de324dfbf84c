"""Counts over a sliding window, in two buckets: the older one fades out linearly.

An approximation that needs constant space and no clock of its own: right to
within a share of one bucket, as in the rate limiters that use the same idea.
"""

from __future__ import annotations

from services.core.values import Value


class Window(Value, frozen=True):
    """Good and bad events of the present bucket and of the one before; `started` in monotonic seconds."""

    started: float = 0.0
    good: float = 0.0
    bad: float = 0.0
    old_good: float = 0.0
    old_bad: float = 0.0


def counted(window: Window, now: float, seconds: float, *, good: int = 0, bad: int = 0) -> Window:
    """`window` with more events at `now`; a bucket is `seconds` long."""
    age = now - window.started
    if age < seconds:
        return Window(window.started, window.good + good, window.bad + bad, window.old_good, window.old_bad)
    if age < 2 * seconds:
        return Window(window.started + seconds, good, bad, window.good, window.bad)
    return Window(now, good, bad)


def totals(window: Window, now: float, seconds: float) -> tuple[float, float]:
    """Good and bad events of the last `seconds`, about."""
    age = now - window.started
    if age < seconds:
        left = 1.0 - age / seconds
        return window.good + window.old_good * left, window.bad + window.old_bad * left
    if age < 2 * seconds:
        left = 2.0 - age / seconds
        return window.good * left, window.bad * left
    return 0.0, 0.0
