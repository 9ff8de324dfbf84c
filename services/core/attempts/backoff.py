"""How long to wait before an attempt."""

from __future__ import annotations

BASE_SECONDS = 0.1
FACTOR = 2.0
JITTER_SHARE = 0.25
JITTER_SECONDS = 0.25


def backoff(retry: int, limit: float, u: float) -> float:
    """Seconds to wait before retry number `retry` (from 1): full jitter, at most `limit`.

    Full jitter as in "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).

    Args:
        u: Uniform draw in [0, 1).

    Never raises: an exponent that overflows clamps to `limit`.
    """
    try:
        bound = BASE_SECONDS * FACTOR ** max(0, retry - 1)
    except OverflowError:
        bound = limit
    return u * max(0.0, min(bound, limit))


def pushback(asked: float, u: float) -> float:
    """Seconds to wait when a provider asked for `asked`: never less, a little more, so that callers spread out."""
    return asked + u * min(JITTER_SECONDS, max(asked, 0.02) * JITTER_SHARE)
