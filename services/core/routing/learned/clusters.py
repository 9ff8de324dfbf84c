"""Kinds of requests: centroids on the sphere, and to which of them a request belongs, softly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, log

from services.core.routing.draw import uniform
from services.core.routing.learned.features import Vector, normal
from services.core.values import Value

TOP = 3
"""Clusters that a request belongs to at most."""
TEMPERATURE = 0.1
"""Of the softmax over cosines."""
ROUNDS = 8
WIDEST = 8
"""Centroids that are kept of a place; the small weights in the others tell nothing apart, and take time."""

Weights = Mapping[int, float]
"""How much a request belongs to each cluster; they sum to 1."""
NO_KINDS: Weights = {}
"""Of a request of which nothing is known."""


class Clusters(Value, frozen=True):
    """Centroids, column by column: for each place of a vector, the centroids that it says most of, with its weight there.

    Attributes:
        count: Number of centroids, at least 1.
        columns: Centroids and weights by place, rarity included, so that a request is compared with one pass over its own
            places.
        rarity: Weight of each place (inverse document frequency); a place that is not there is not known.
    """

    count: int
    columns: Mapping[int, tuple[tuple[int, float], ...]] = {}
    rarity: Mapping[int, float] = {}


ONE = Clusters(1)
"""All requests are alike: what there is before anything was learned."""


class Kinds(Value, frozen=True):
    """Clusters under a version: what is learned is about the kinds of one version only."""

    version: str
    clusters: Clusters


ONE_KIND = Kinds("one", ONE)


def weights(clusters: Clusters, vector: Vector) -> Weights:
    """To which clusters a vector belongs: the nearest few, by a softmax over their cosines."""
    if clusters.count == 1:
        return {0: 1.0}
    sums = [0.0] * clusters.count
    size = 0.0
    columns, rarity = clusters.columns, clusters.rarity
    for place, value in vector.items():
        known = rarity.get(place)
        if known is not None:
            size += (value * known) ** 2
            for cluster, weight in columns.get(place, ()):
                sums[cluster] += value * weight
    scale = 1.0 / (size**0.5 * TEMPERATURE) if size else 0.0
    nearest = sorted(range(clusters.count), key=lambda c: (-sums[c], c))[:TOP]
    parts = {c: exp((sums[c] - sums[nearest[0]]) * scale) for c in nearest}
    whole = sum(parts.values())
    return {c: part / whole for c, part in parts.items()}


def trained(vectors: Sequence[Vector], count: int, seed: int = 1) -> Clusters:
    """Centroids of `vectors` by spherical k-means; equal arguments give equal centroids.

    Args:
        count: Centroids, at least 1; never more than vectors.
    """
    count = min(count, len(vectors))
    if count <= 1:
        return ONE
    rarity = _rarity(vectors)
    weighed = [normal({p: v * rarity[p] for p, v in vector.items()}) for vector in vectors]
    centroids = _apart(weighed, count, seed)
    homes: list[int] = []
    for _ in range(ROUNDS):
        columns = _columns(centroids)
        moved = [_nearest(columns, count, vector) for vector in weighed]
        if moved == homes:
            break
        homes = moved
        centroids = [
            _mean([weighed[i] for i, home in enumerate(homes) if home == c]) or centroids[c] for c in range(count)
        ]
    return Clusters(count, {p: _telling(column, rarity[p]) for p, column in _columns(centroids).items()}, rarity)


def _telling(column: Sequence[float], rarity: float) -> tuple[tuple[int, float], ...]:
    """The centroids that a place says most of, with their weights times its `rarity`."""
    order = sorted(range(len(column)), key=lambda c: (-column[c], c))[:WIDEST]
    return tuple((c, column[c] * rarity) for c in order if column[c] > 0.0)


def _rarity(vectors: Sequence[Vector]) -> dict[int, float]:
    counts: dict[int, int] = {}
    for vector in vectors:
        for place in vector:
            counts[place] = counts.get(place, 0) + 1
    return {place: log((1.0 + len(vectors)) / (1.0 + n)) + 0.1 for place, n in counts.items()}


def _apart(vectors: Sequence[Vector], count: int, seed: int) -> list[Vector]:
    """First centroids that are far from each other (k-means++)."""
    chosen: list[Vector] = [vectors[int(uniform(seed, "first") * len(vectors))]]
    distances = [1.0] * len(vectors)
    while len(chosen) < count:
        last = chosen[-1]
        distances = [min(d, max(0.0, 1.0 - _cosine(v, last))) for d, v in zip(distances, vectors, strict=True)]
        mark = uniform(seed, f"centroid {len(chosen)}") * sum(distances)
        place = 0
        for place, distance in enumerate(distances):  # noqa: B007 - where the sum passes the mark
            mark -= distance
            if mark <= 0.0:
                break
        chosen.append(vectors[place])
    return chosen


def _cosine(one: Vector, other: Vector) -> float:
    return sum(value * other[place] for place, value in one.items() if place in other)


def _columns(centroids: Sequence[Vector]) -> dict[int, list[float]]:
    columns: dict[int, list[float]] = {}
    for index, centroid in enumerate(centroids):
        for place, value in centroid.items():
            columns.setdefault(place, [0.0] * len(centroids))[index] = value
    return columns


def _nearest(columns: Mapping[int, Sequence[float]], count: int, vector: Vector) -> int:
    sums = [0.0] * count
    for place, value in vector.items():
        sums = (
            [total + value * weight for total, weight in zip(sums, columns[place], strict=True)]
            if place in columns
            else sums
        )
    return max(range(count), key=lambda c: (sums[c], -c))


def _mean(vectors: Sequence[Vector]) -> dict[int, float]:
    total: dict[int, float] = {}
    for vector in vectors:
        for place, value in vector.items():
            total[place] = total.get(place, 0.0) + value
    return normal(total)
