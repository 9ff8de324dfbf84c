"""API keys: how they are made, presented and recognised.

Only a hash is kept. It needs no salt and no slow function: a key is 256 random
bits, not a password, and it is looked up on every request.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from hashlib import blake2b

PREFIX = "to-"
HASH_PREFIX = "blake2b:"


def new_key() -> str:
    """A fresh key."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """The form in which policy keeps `key`."""
    return HASH_PREFIX + blake2b(key.encode(), digest_size=32, person=b"turnout-api-key").hexdigest()


def presented_key(headers: Mapping[str, str]) -> str | None:
    """The key that a request presents; None: none.

    Bearer and Basic are the same to us: what is copied from a portal for Basic is already in its
    final form and is never decoded or encoded again. `x-api-key` is how Anthropic clients send theirs, `x-goog-api-key` how Google's do.
    """
    value = headers.get("authorization", "")
    if value:
        scheme, _, key = value.partition(" ")
        key = key.strip()
        if scheme.lower() in {"bearer", "basic"} and key:
            return key
    return headers.get("x-api-key", "").strip() or headers.get("x-goog-api-key", "").strip() or None
