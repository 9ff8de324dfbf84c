"""Shadows in the evidence: each beside the request that was answered, kept and added up by candidate."""

from __future__ import annotations

from collections.abc import Iterable

from services.controlplane.evidence.store import EvidenceStore, summed
from services.core.experiments.metrics import INVALID_JSON_RATE
from services.core.experiments.shadows import Pairs, ShadowData
from services.core.experiments.sums import Sums
from services.core.values import Value

_COLUMNS = {"cost_per_request": "cost", "ttft": "ttft", INVALID_JSON_RATE: "invalid_json"}
_WHERE = "experiment = :experiment AND at >= :since"


class ShadowPair(Value, frozen=True):
    """A shadow that ended, beside the answered request; as `Seen`. `id` is the shadow's own."""

    id: str
    experiment: str
    model: str
    unit: str
    at: float
    failed: bool = False
    cost: float | None = None
    ttft: float | None = None
    invalid_json: bool | None = None
    answered_cost: float | None = None
    answered_ttft: float | None = None
    answered_invalid_json: bool | None = None


def add_pairs(store: EvidenceStore, pairs: Iterable[ShadowPair]) -> None:
    """Keep pairs; one that is there already stays as it is."""
    columns = ShadowPair.__struct_fields__
    with store.lock, store.db:
        store.insert("shadows", columns, [tuple(getattr(pair, name) for name in columns) for pair in pairs])


def shadow_data(store: EvidenceStore, experiment: str, since: float) -> list[ShadowData]:
    """What was seen of each candidate of a route, by name."""
    values = {"experiment": experiment, "since": since}
    counts = f"SELECT model, COUNT(*), COUNT(DISTINCT unit), SUM(failed) FROM shadows WHERE {_WHERE} GROUP BY model ORDER BY model"  # noqa: S608 - no text of others
    found = store.rows(counts, values)
    pairs = {metric: _pairs(store, metric, column, values) for metric, column in _COLUMNS.items()} if found else {}
    return [
        ShadowData(
            model=model,
            requests=requests,
            units=units,
            failed=failed,
            p95_ttft=_p95(store, "ttft", {**values, "model": model}),
            answered_p95_ttft=_p95(store, "answered_ttft", {**values, "model": model}),
            pairs=[by_model[model] for by_model in pairs.values() if model in by_model],
        )
        for model, requests, units, failed in found
    ]


def _pairs(store: EvidenceStore, metric: str, column: str, values: dict[str, object]) -> dict[str, Pairs]:
    """The pairs in which both sides have a metric, by model."""
    both = f"{_WHERE} AND {column} IS NOT NULL AND answered_{column} IS NOT NULL"
    totals = (
        f"SELECT model, COUNT(*), TOTAL(answered_{column}), TOTAL({column}) FROM shadows WHERE {both} GROUP BY model"  # noqa: S608
    )
    units = f"""
      SELECT model AS arm, unit, TOTAL({column} - answered_{column}) AS y, CAST(COUNT(*) AS REAL) AS x, 0.0 AS c
      FROM shadows WHERE {both} GROUP BY model, unit"""  # noqa: S608
    sums = {model: Sums(*numbers) for model, *numbers in store.rows(summed(units), values)}
    return {
        model: Pairs(metric, count, answered, shadow, sums[model])
        for model, count, answered, shadow in store.rows(totals, values)
        if model in sums
    }


def _p95(store: EvidenceStore, column: str, values: dict[str, object]) -> float:
    """The 95th percentile among pairs in which both sides have a first content; 0.0: there are none."""
    where = f"{_WHERE} AND model = :model AND ttft IS NOT NULL AND answered_ttft IS NOT NULL"
    count = int(store.rows(f"SELECT COUNT(*) FROM shadows WHERE {where}", values)[0][0])  # noqa: S608
    if not count:
        return 0.0
    place = {"place": min(count - 1, int(count * 0.95))}
    sql = f"SELECT {column} FROM shadows WHERE {where} ORDER BY {column} LIMIT 1 OFFSET :place"  # noqa: S608
    return float(store.rows(sql, {**values, **place})[0][0])
