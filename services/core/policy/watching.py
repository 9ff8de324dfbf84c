"""The documents about what is watched, and of what: part of `documents.py`, where they have their place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecordFacts:
    """What records keep of requests beside what they always do."""

    metadata_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shadow:
    """A candidate that requests are sent to a second time."""

    model_id: str = ""
    percent: float | None = None
    max_per_second: float | None = None
    max_cost_per_hour_usd: float | None = None
