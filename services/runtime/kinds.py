"""The kinds of requests that this release tells apart: centroids from public prompts, read once from the package."""

from __future__ import annotations

import gzip
from functools import cache
from hashlib import blake2b
from pathlib import Path

import msgspec

from services.core.routing.learned.clusters import Clusters, Kinds

FILE = Path(__file__).with_name("kinds.json.gz")


class _Written(msgspec.Struct):
    """The file: `columns` by place, pairs of a kind and its weight; `rarity` by place."""

    version: str
    count: int
    columns: dict[str, list[tuple[int, float]]]
    rarity: dict[str, float]


@cache
def shipped_kinds() -> Kinds:
    """The kinds of this release."""
    written = msgspec.json.decode(gzip.decompress(FILE.read_bytes()), type=_Written)
    columns = {int(place): tuple(pairs) for place, pairs in written.columns.items()}
    return Kinds(
        written.version,
        Clusters(written.count, columns, {int(place): weight for place, weight in written.rarity.items()}),
    )


def written_kinds(clusters: Clusters) -> bytes:
    """The file of `clusters`; its version is a hash of what it says, so equal clusters give equal bytes."""
    columns = {
        str(place): [(kind, round(weight, 4)) for kind, weight in pairs]
        for place, pairs in sorted(clusters.columns.items())
    }
    rarity = {str(place): round(weight, 4) for place, weight in sorted(clusters.rarity.items())}
    said = msgspec.json.encode((clusters.count, columns, rarity))
    version = blake2b(said, digest_size=8).hexdigest()
    return gzip.compress(msgspec.json.encode(_Written(version, clusters.count, columns, rarity)), mtime=0)
