"""Data URLs: media by value where a protocol has room for an address only."""

from __future__ import annotations

import re

_DATA_URL = re.compile(r"\Adata:([\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+)*;base64,(.*)\Z", re.DOTALL | re.IGNORECASE)


def split_data_url(url: str) -> tuple[str, str] | None:
    """Media type ("" when it is not told) and base64 text of a data URL; None: it is not one, or not in base64."""
    match = _DATA_URL.match(url)
    return None if match is None else ((match[1] or "").lower(), match[2])


def data_url(data: str, media_type: str) -> str:
    """The data URL of base64 text."""
    return f"data:{media_type};base64,{data}"
