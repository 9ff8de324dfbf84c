"""Sticky assignment, as arithmetic: the slot of a unit.

A unit's slot is a hash of a salt and the unit, so it is the same in every worker, after every restart and on every
Python version, and needs no store. Which variant owns a slot is written in the policy (`core/experiments/slots.py`).
"""

from __future__ import annotations

from hashlib import blake2b

from services.core.routing.draw import uniform

SLOTS = 10_000
PER_PERCENT = SLOTS // 100
USER, SESSION, METADATA = "user", "session", "metadata."
"""Units of assignment; the last one is followed by a key of the metadata."""


def slot_of(salt: str, unit: str) -> int:
    """The slot of `unit` under `salt`, 0 to 9,999."""
    digest = blake2b(unit.encode(), key=blake2b(salt.encode(), digest_size=32).digest(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % SLOTS


def route_salt(router: str, route: str) -> str:
    """The salt of a route that has none of its own."""
    return f"{router}/{route}"


def drawn_slot(seed: int) -> int:
    """The slot of a request without a unit."""
    return int(uniform(seed, "variant") * SLOTS)
