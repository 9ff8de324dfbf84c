"""Chance as arithmetic: the same seed and label give the same draw on every machine and Python version."""

from __future__ import annotations

from hashlib import blake2b

_SPAN = float(1 << 64)
_MASK = (1 << 64) - 1


def uniform(seed: int, label: str) -> float:
    """A uniform draw in [0, 1) from the low 64 bits of `seed` and a `label` that says what it is for."""
    digest = blake2b(label.encode(), key=(seed & _MASK).to_bytes(8, "big"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / _SPAN
