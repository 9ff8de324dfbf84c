"""The members of a JSON object by their own bytes, found by another parser than the one under test."""

from __future__ import annotations

import json
import re

_BLANK = re.compile(r"[ \t\r\n]*")
_decoder = json.JSONDecoder()


def members(data: bytes) -> list[tuple[str, bytes]]:
    """Names and values in order, values exactly as they stand; a name that is given twice comes twice."""
    text = data.decode()
    at = _skip(text, 0)
    assert text[at] == "{"
    found: list[tuple[str, bytes]] = []
    at = _skip(text, at + 1)
    while text[at] != "}":
        name, at = _decoder.raw_decode(text, at)
        at = _skip(text, at)
        assert text[at] == ":"
        start = _skip(text, at + 1)
        _, end = _decoder.raw_decode(text, start)
        found.append((name, text[start:end].encode()))
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    assert match is not None
    return match.end()
