"""The kinds of requests that this release tells apart: centroids from public prompts, read once from the package."""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

import msgspec

from services.core.routing.learned.clusters import Clusters, Kinds

FILE = Path(__file__).with_name("kinds.json.gz")


class _Written(msgspec.Struct):
    """The file: `columns` by place, one weight per kind; `rarity` by place."""

    version: str
    count: int
    columns: dict[str, list[float]]
    rarity: dict[str, float]


@cache
def shipped_kinds() -> Kinds:
    """The kinds of this release."""
    written = msgspec.json.decode(gzip.decompress(FILE.read_bytes()), type=_Written)
    columns = {int(place): tuple(weights) for place, weights in written.columns.items()}
    return Kinds(
        written.version,
        Clusters(written.count, columns, {int(place): weight for place, weight in written.rarity.items()}),
    )
