"""What an answer says, in neutral words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Tokens:
    """Input with cached tokens, output with reasoning."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """An answer in neutral words.

    Attributes:
        calls: As (name, arguments); arguments decoded where they are JSON.
        sources: Addresses of pages and titles of documents that the answer cites, in order; None: not read.
    """

    text: str
    calls: tuple[tuple[str, Any], ...]
    finish: str
    tokens: Tokens
    reasoning: str
    sources: tuple[str, ...] | None = None
