"""The throughput floor of a stream: tokens per second, looked at in spans of a few seconds."""

from __future__ import annotations

from services.core.errors import Clock, Failure, FailureKind

SPAN_SECONDS = 5.0
"""Long enough that a pause between two sentences is no reason to give up."""


class Pace:
    """The pace of one stream; it counts from the first content on."""

    def __init__(self, floor: float) -> None:
        self._floor = floor
        self._began = 0.0
        self._tokens = 0

    def add(self, tokens: int, now: float) -> None:
        """Note `tokens` that came at `now`."""
        if not self._began:
            self._began = now
        elif now - self._began >= SPAN_SECONDS and not self.too_slow(now):
            self._began, self._tokens = now, 0
        self._tokens += tokens

    def too_slow(self, now: float) -> bool:
        """Whether a span is over in which too little came."""
        seconds = now - self._began
        return bool(self._began) and seconds >= SPAN_SECONDS and self._tokens < self._floor * seconds

    def trips_at(self) -> float:
        """The instant at which silence makes the stream too slow; infinity before the first content."""
        if not self._began:
            return float("inf")
        return self._began + max(SPAN_SECONDS, self._tokens / self._floor)

    def failure(self) -> Failure:
        """The failure of a stream that is too slow."""
        told = f"the stream is slower than {self._floor:g} tokens per second"
        return Failure(FailureKind.THROUGHPUT_TOO_LOW, told, clock=Clock.THROUGHPUT)
