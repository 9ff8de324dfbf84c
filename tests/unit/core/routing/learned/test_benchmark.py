"""The learned choice on public outcomes, where they are at hand: TURNOUT_BENCHMARKS names the folder that has them."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from services.core.routing.learned.clusters import weights
from services.core.routing.learned.evaluate import Row, learned
from services.core.routing.learned.features import features

FOLDER = os.environ.get("TURNOUT_BENCHMARKS", "")
FILE = Path(FOLDER) / "routellm-gsm8k-mmlu.jsonl.gz"
TRAINING, TEST = 3_000, 3_000

pytestmark = pytest.mark.skipif(
    not FOLDER or not FILE.exists(), reason="TURNOUT_BENCHMARKS names no folder with routellm-gsm8k-mmlu.jsonl.gz"
)


def apgr(rows: list[Row], weak: str, strong: str, order: list[int]) -> float:
    """Area under the gap that is closed, over the share of requests that the strong model gets, in `order`."""
    gap = sum(row.rewards[strong] - row.rewards[weak] for row in rows)
    closed, area = 0.0, 0.0
    for index in order:
        gained = (rows[index].rewards[strong] - rows[index].rewards[weak]) / gap
        area += (closed + gained / 2.0) / len(rows)
        closed += gained
    return area


def test_in_its_domain_the_order_of_requests_is_better_than_chance() -> None:
    with gzip.open(FILE, "rt", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    # Ids are hashes, so their order is a random one that stays the same.
    found.sort(key=lambda row: row["id"].rpartition("-")[2])
    rows = [Row(row["prompt"], {m: float(right) for m, right in row["correct"].items()}) for row in found]
    weak, strong = sorted(rows[0].rewards, key=lambda m: sum(row.rewards[m] for row in rows))
    table = learned(rows[:TRAINING], 32, 1)
    test = rows[TRAINING : TRAINING + TEST]
    gains = []
    for row in test:
        phi = weights(table.clusters, features(row.prompt))
        gains.append(table.estimate(phi, strong).reward - table.estimate(phi, weak).reward)
    order = sorted(range(len(test)), key=lambda i: (-gains[i], i))
    assert apgr(test, weak, strong, order) > 0.56
    assert apgr(test, weak, strong, list(range(len(test)))) == pytest.approx(0.5, abs=0.04), "chance"
