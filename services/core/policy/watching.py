"""The documents about what is watched, and of what: part of `documents.py`, where they have their place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RecordFacts:
    """What records keep of requests beside what they always do."""

    metadata_keys: tuple[str, ...] = ()
