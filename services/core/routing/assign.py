"""Sticky assignment: which variant of a route serves a unit.

A unit's slot is a hash of the route and the unit, so it is the same in every
worker, after every restart and on every Python version, and needs no store. The
slots of a route are shared out by cumulative weight in the order in which the
variants are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from services.core.policy.snapshot import CompiledVariant
from services.core.routing.draw import uniform

SLOTS = 10_000
_PER_PERCENT = SLOTS // 100


def slot_of(router: str, route: str, unit: str) -> int:
    """The slot of `unit` on a route, 0 to 9,999."""
    salt = f"{router}/{route}".encode()
    digest = blake2b(unit.encode(), key=blake2b(salt, digest_size=32).digest(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % SLOTS


def drawn_slot(seed: int) -> int:
    """The slot of a request without a unit."""
    return int(uniform(seed, "variant") * SLOTS)


def variant_at(variants: Sequence[CompiledVariant], slot: int) -> CompiledVariant:
    """The variant that `slot` belongs to; weights sum to 100."""
    edge = 0
    for variant in variants:
        edge += variant.weight * _PER_PERCENT
        if slot < edge:
            return variant
    return variants[-1]
