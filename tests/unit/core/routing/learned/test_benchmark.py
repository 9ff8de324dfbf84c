"""The learned choice on public outcomes, where they are at hand: TURNOUT_BENCHMARKS names the folder that has them."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from services.core.routing.learned.evaluate import Row, evaluated

FOLDER = os.environ.get("TURNOUT_BENCHMARKS", "")
FILE = Path(FOLDER) / "routellm-gsm8k-mmlu.jsonl.gz"

pytestmark = pytest.mark.skipif(
    not FOLDER or not FILE.exists(), reason="TURNOUT_BENCHMARKS names no folder with routellm-gsm8k-mmlu.jsonl.gz"
)


def test_in_its_domain_the_order_of_requests_is_better_than_chance() -> None:
    with gzip.open(FILE, "rt", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    rows = [Row(row["prompt"], {m: float(right) for m, right in row["correct"].items()}) for row in found]
    for seed in (1, 2):
        mixing = evaluated(rows, clusters=32, seed=seed).mixing
        assert mixing is not None
        assert mixing.apgr > 0.6
        assert mixing.needed[0] < 0.95, "random mixing needs more"
