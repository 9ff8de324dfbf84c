"""What a request is like, as a sparse vector: hashed words and pairs of words, and a few facts that hashes cannot see.

No model, no vocabulary, no dependency: a word is a number by its CRC, the same on every machine. The vector cannot be
turned back into the prompt by itself, but it is made of it, so it stays in the process that has the prompt.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from math import log, log1p, sqrt
from zlib import crc32

HASHED = 1_024
"""Places of words."""
FACTS = (
    "long",
    "digits",
    "code",
    "math",
    "options",
    "lines",
    "foreign",
    "question",
    "turns",
    "tools",
    "images",
    "json",
)
"""Facts beside the words; each has a place behind them."""
WIDTH = HASHED + len(FACTS)
"""Length of a vector."""
CAP = 512
"""Characters that are looked at: half from the beginning, half from the end."""
FACT_WEIGHT = 0.5
"""Of a fact that is fully true, as against a word that occurs once."""

_WORDS = re.compile(r"[^\W\d_]+|\d+")
_MATHS = re.compile(r"[\\^=+*/<>%$]|\bsolve\b|\bequation\b|\bhow (?:many|much)\b", re.IGNORECASE)
_OPTIONS = re.compile(r"^\s*\(?[A-Ea-e][).:]", re.MULTILINE)
_CODE = re.compile(r"```|\bdef |\bclass |[{};]\s*$|\bimport |\bSELECT\b|=>", re.MULTILINE)

Vector = Mapping[int, float]
"""A sparse vector of length 1, by place."""


def capped(text: str) -> str:
    """The part of `text` that is looked at."""
    return text if len(text) <= CAP else f"{text[: CAP // 2]} {text[-CAP // 2 :]}"


def features(
    text: str, *, turns: int = 1, tools: bool = False, images: bool = False, wants_json: bool = False
) -> Vector:
    """The vector of a request.

    Args:
        text: The last message of the user.
        turns: Messages in the conversation, at least 1.
    """
    seen = capped(text)
    found = {place: 1.0 + log(count) for place, count in Counter(_places(seen)).items()}
    size = sqrt(sum(v * v for v in found.values())) or 1.0
    vector = {place: value / size for place, value in found.items()}
    facts = _facts(text, seen, turns)
    facts += (float(tools), float(images), float(wants_json))
    vector.update({HASHED + i: FACT_WEIGHT * value for i, value in enumerate(facts) if value})
    return normal(vector)


def _places(text: str) -> Iterator[int]:
    """Places of words, and of pairs of words."""
    before = crc32(b" ")
    for word in _WORDS.findall(text.lower()):
        # A number is a number: which one it is says little about the kind of question.
        spelled = b"0" if word[0].isdigit() else word.encode()
        yield crc32(spelled) % HASHED
        # A pair goes on where the word before ended: one sum over both.
        yield crc32(spelled, before) % HASHED
        before = crc32(b" ", crc32(spelled))


def _facts(text: str, seen: str, turns: int) -> tuple[float, ...]:
    """The first facts of `FACTS`, each from 0 to 1."""
    length = max(len(seen), 1)
    return (
        min(log1p(len(text)) / 10.0, 1.0),
        min(4.0 * sum(map(seen.count, "0123456789")) / length, 1.0),
        float(_CODE.search(seen) is not None),
        min(len(_MATHS.findall(seen)) / 8.0, 1.0),
        min(len(_OPTIONS.findall(seen)) / 4.0, 1.0),
        min(seen.count("\n") / 16.0, 1.0),
        float(not seen.isascii()),
        float("?" in seen),
        min(log1p(turns - 1.0) / 3.0, 1.0),
    )


def normal(vector: Vector) -> dict[int, float]:
    """The vector at length 1; an empty one stays empty."""
    size = sqrt(sum(v * v for v in vector.values()))
    return {place: value / size for place, value in vector.items()} if size else {}
