"""What records keep of those whom they are about."""

from __future__ import annotations

from hashlib import blake2b


def unit_hash(unit: str) -> str:
    """What is kept of a user, a session or another unit: 16 hex digits, the same everywhere."""
    return blake2b(unit.encode(), digest_size=8).hexdigest()
