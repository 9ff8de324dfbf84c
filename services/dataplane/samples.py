"""The newest samples of what targets do, by name, and their percentiles."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from services.core.routing.health import Speed

KEPT_SAMPLES = 128
REFRESH_SAMPLES = 8
"""Samples are sorted anew after this many; while few are known, after each."""


class Samples:
    """Keeps `KEPT_SAMPLES` samples for each of at most `max_names` names; the longest known is forgotten first."""

    def __init__(self, max_names: int) -> None:
        self._max_names = max_names
        self._samples: dict[str, deque[float]] = {}
        self._speeds: dict[str, Speed] = {}
        self._fresh: dict[str, int] = {}

    def note(self, name: str, value: float) -> bool:
        """Note a sample; whether what `sorted` gives has changed."""
        samples = self._samples.get(name)
        if samples is None:
            self._forget()
            samples = self._samples[name] = deque(maxlen=KEPT_SAMPLES)
        samples.append(value)
        fresh = self._fresh.get(name, 0) + 1
        changed = fresh >= REFRESH_SAMPLES or len(samples) < 4 * REFRESH_SAMPLES
        if changed:
            self._speeds[name] = Speed(tuple(sorted(samples)))
        self._fresh[name] = 0 if changed else fresh
        return changed

    def sorted(self) -> Mapping[str, Speed]:
        """The samples of each name, as of their last refresh; a copy."""
        return dict(self._speeds)

    def _forget(self) -> None:
        """Callers name models, so what is kept of them is bounded."""
        while len(self._samples) >= self._max_names:
            name = next(iter(self._samples))
            for kept in (self._samples, self._speeds, self._fresh):
                kept.pop(name, None)
