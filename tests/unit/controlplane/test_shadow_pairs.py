"""Shadows in the evidence: what SQLite adds up is what the pairs are, and messages say it."""

from __future__ import annotations

import random
from statistics import fmean

import pytest
from turnout.experiment.v1 import experiment_service_pb2 as pb

from services.controlplane.evidence.shadow_form import pair_of, shadow_message
from services.controlplane.evidence.shadow_pairs import ShadowPair, add_pairs, shadow_data
from services.controlplane.evidence.store import EvidenceStore
from services.core.experiments.sums import over

E = "r/d"
FIELDS = {"cost_per_request": "cost", "ttft": "ttft", "invalid_json_rate": "invalid_json"}


def maybe(chance: random.Random, value: float) -> float | None:
    return value if chance.random() < 0.8 else None


def drawn(count: int, model: str = "p/m", seed: int = 1) -> list[ShadowPair]:
    chance = random.Random(seed)
    return [
        ShadowPair(
            f"{model}-{n}", E, model, f"u{chance.randrange(40)}", 100.0 + n, chance.random() < 0.3,
            cost=maybe(chance, chance.random()), ttft=maybe(chance, chance.random() * 900),
            invalid_json=chance.choice((None, False, True)), answered_cost=maybe(chance, chance.random()),
            answered_ttft=maybe(chance, chance.random() * 900), answered_invalid_json=chance.choice((None, False, True)),
        )
        for n in range(count)
    ]  # fmt: skip


def kept(*pairs: ShadowPair) -> EvidenceStore:
    store = EvidenceStore(None)
    add_pairs(store, pairs)
    return store


def test_every_metric_is_taken_over_the_pairs_in_which_both_sides_have_it() -> None:
    pairs = drawn(300)
    store = kept(*pairs, *drawn(50, "q/m", 2))
    add_pairs(store, pairs[:20])  # sent twice
    found, other = shadow_data(store, E, 0.0)
    assert (found.model, found.requests, found.failed) == ("p/m", 300, sum(p.failed for p in pairs))
    assert (other.model, other.requests, found.units) == ("q/m", 50, len({p.unit for p in pairs}))
    for seen in found.pairs:
        name = FIELDS[seen.metric]
        both = [
            (p.unit, float(getattr(p, f"answered_{name}")), float(getattr(p, name)))
            for p in pairs
            if getattr(p, name) is not None and getattr(p, f"answered_{name}") is not None
        ]
        units: dict[str, list[float]] = {}
        for unit, answered, shadow in both:
            units.setdefault(unit, []).append(shadow - answered)
        expected = over((sum(d), float(len(d)), 0.0) for d in units.values())
        assert seen.count == len(both)
        assert (seen.answered, seen.shadow) == pytest.approx((sum(b[1] for b in both), sum(b[2] for b in both)))
        for field in ("n", "y", "x", "yy", "xx", "yx"):
            assert getattr(seen.sums, field) == pytest.approx(getattr(expected, field))
    assert {seen.metric for seen in found.pairs} == set(FIELDS)


def test_percentiles_are_of_the_same_requests_on_both_sides() -> None:
    pairs = [ShadowPair(f"g{n}", E, "p/m", "u", 1.0, ttft=n + 1.0, answered_ttft=2.0 * (n + 1)) for n in range(100)]
    alone = ShadowPair("alone", E, "p/m", "u", 1.0, ttft=10_000.0)
    (found,) = shadow_data(kept(*pairs, alone), E, 0.0)
    assert (found.p95_ttft, found.answered_p95_ttft) == (96.0, 192.0)


def test_what_came_before_is_left_out_forgotten_and_copied_with_the_rest() -> None:
    store = kept(*drawn(100))
    assert [d.requests for d in shadow_data(store, E, 150.0)] == [50]
    assert shadow_data(store, "r/other", 0.0) == []
    other = EvidenceStore(None)
    rows = store.after({}, 1_000)
    assert rows is not None
    other.take(store.evidence_id, rows)
    assert shadow_data(other, E, 0.0) == shadow_data(store, E, 0.0)
    store.forget(150.0)
    assert [d.requests for d in shadow_data(store, E, 0.0)] == [50]


def test_a_message_says_what_is_known_and_leaves_the_rest_unset() -> None:
    outcome = pb.Outcome(generation_id="s", router_id="r", route_id="d", variant_id="shadow:p/m", outcome="failed")
    outcome.at.FromSeconds(5)
    outcome.answered.generation_id, outcome.answered.cost_usd = "g", 0.5
    assert pair_of(outcome) == ShadowPair("s", E, "p/m", "g", 5.0, failed=True, answered_cost=0.5)
    (alone,) = shadow_data(kept(pair_of(outcome)), E, 0.0)
    told = shadow_message(alone, alpha=0.05, fixed=False)
    assert (told.model, told.requests, told.error_rate, list(told.metrics)) == ("p/m", 1, 1.0, [])
    (many,) = shadow_data(kept(*(p for n in range(4) for p in drawn(40, f"p/m{n}", n) if n == 0)), E, 0.0)
    few = shadow_message(many, alpha=0.05, fixed=False)
    assert not any(m.HasField("low") for m in few.metrics), "fewer than a hundred units"
    sure = [ShadowPair(f"g{n}", E, "p/m", f"u{n}", 1.0, cost=n % 7 + 1.0, answered_cost=1.0) for n in range(400)]
    (found,) = shadow_data(kept(*sure), E, 0.0)
    (metric,) = shadow_message(found, alpha=0.05, fixed=False).metrics
    assert metric.difference == pytest.approx(fmean(n % 7 for n in range(400)))
    assert 0.0 < metric.low < metric.difference < metric.high
    assert metric.shadow - metric.answered == pytest.approx(metric.difference)
