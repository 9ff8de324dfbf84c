"""Chance as arithmetic: the same seed and label give the same draw on every machine and Python version."""

from __future__ import annotations

from hashlib import blake2b

_SPAN = 1 << 53
_MASK = (1 << 64) - 1


def uniform(seed: int, label: str) -> float:
    """A uniform draw in [0, 1) from the low 64 bits of `seed` and a `label` that says what it is for."""
    digest = blake2b(label.encode(), key=(seed & _MASK).to_bytes(8, "big"), digest_size=8).digest()
    # The upper 53 bits are what a float in [0, 1) can hold; of all 64 the largest would round to 1.
    return (int.from_bytes(digest, "big") >> 11) / _SPAN
