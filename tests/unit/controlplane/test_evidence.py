"""The evidence of experiments: sums made by SQLite are those of the arithmetic, whatever was seen."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from services.controlplane.evidence.store import Counts, EvidenceStore, Observed, Seen
from services.core.experiments.metrics import BUILT_IN, MetricSpec
from services.core.experiments.sums import Sums, over

E = "r/d"
DAY = 86_400.0


def spec(name: str, of: str = "") -> MetricSpec:
    return MetricSpec(name, "decrease", "secondary", of)


def seen(number: int, arm: str, unit: str, at: float = 100.0, **more: object) -> Seen:
    return Seen(f"g{number}", E, arm, unit, at, **more)  # type: ignore[arg-type]


def drawn(count: int, seed: int) -> list[Seen]:
    """Requests of thirty users, each in one arm."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        user = chance.randrange(30)
        found.append(
            seen(
                number,
                "ab"[user % 2],
                f"u{user}",
                failed=chance.random() < 0.2,
                aborted=chance.random() < 0.1,
                refused=chance.random() < 0.1,
                repeated=chance.random() < 0.1,
                failed_over=chance.random() < 0.1,
                cost=chance.random() if chance.random() < 0.8 else None,
                ttft=chance.random() * 100 if chance.random() < 0.8 else None,
                duration=chance.random() * 1_000,
                output=chance.randrange(500),
                invalid_json=chance.choice((None, False, True)),
            )
        )
    return found


RATIOS = {
    "error_rate": lambda r: (r.failed, not r.aborted),
    "cost_per_request": lambda r: (r.cost or 0.0, r.cost is not None),
    "ttft": lambda r: (r.ttft or 0.0, r.ttft is not None),
    "slow_rate": lambda r: (r.ttft is not None and r.ttft > 60.0, r.ttft is not None),
    "duration": lambda r: (r.duration, 1),
    "output_tokens": lambda r: (r.output, 1),
    "refusal_rate": lambda r: (r.refused, 1),
    "invalid_json_rate": lambda r: (r.invalid_json or False, r.invalid_json is not None),
    "abort_rate": lambda r: (r.aborted, 1),
    "repeat_rate": lambda r: (r.repeated, 1),
    "failover_rate": lambda r: (r.failed_over, 1),
}


def close(found: Sums, expected: Sums) -> bool:
    names = Sums.__struct_fields__
    return all(getattr(found, n) == pytest.approx(getattr(expected, n), rel=1e-9, abs=1e-9) for n in names)


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_sums_of_a_built_in_metric_are_those_of_its_units(name: str) -> None:
    store, requests = EvidenceStore(None), drawn(400, 1)
    store.add(requests)
    found = store.sums(E, spec(name), 0.0, slow=60.0)
    for arm in "ab":
        units: dict[str, tuple[float, float]] = {}
        for request in (r for r in requests if r.arm == arm):
            y, x = RATIOS[name](request)
            before = units.get(request.unit, (0.0, 0.0))
            units[request.unit] = (before[0] + y, before[1] + x)
        assert close(found[arm], over((y, x, 0.0) for y, x in units.values()))


def test_every_built_in_metric_has_its_sums() -> None:
    assert RATIOS.keys() == BUILT_IN.keys()


def test_units_that_a_ramp_moved_are_left_out_of_both_arms() -> None:
    store = EvidenceStore(None)
    store.add([seen(1, "a", "u1"), seen(2, "b", "u1"), seen(3, "a", "u2"), seen(4, "b", "u3")])
    assert store.counts(E, 0.0, 0.0) == {"a": Counts(1, 1, 1), "b": Counts(1, 1, 1)}
    assert store.moved_units(E) == 1
    assert store.sums(E, spec("duration"), 0.0, 0.0)["a"].n == 1


def test_what_comes_twice_counts_once() -> None:
    store = EvidenceStore(None)
    for _ in range(2):
        store.add([seen(1, "a", "u1", cost=1.0)])
    assert store.counts(E, 0.0, 0.0) == {"a": Counts(1, 1, 1)}


def test_new_units_are_those_that_were_not_seen_before_the_weights_changed() -> None:
    store = EvidenceStore(None)
    store.add([seen(1, "a", "old", 50.0), seen(2, "a", "old", 150.0), seen(3, "a", "new", 150.0)])
    assert store.counts(E, 0.0, 100.0) == {"a": Counts(2, 3, 1)}


def test_what_units_did_before_is_their_covariate() -> None:
    store = EvidenceStore(None)
    start = 40 * DAY
    store.add([seen(1, "a", "u1", start - DAY, cost=3.0), seen(2, "a", "u1", start - 30 * DAY, cost=9.0)])
    store.add([seen(3, "a", "u1", start + 1, cost=5.0), seen(4, "a", "u2", start + 1, cost=1.0)])
    found = store.sums(E, spec("cost_per_request"), start, 0.0)["a"]
    assert (found.n, found.y, found.c) == (2, 3.0, 1.5), "of the last 28 days, and 0 for who was not there"


def test_feedback_is_kept_for_requests_and_users_that_are_known() -> None:
    store = EvidenceStore(None)
    store.add([seen(1, "a", "u1"), seen(2, "a", "u2"), seen(3, "b", "u3")])
    known = store.observe(
        [
            Observed("f1", "thumbs", 1.0, 200.0, request="g1"),
            Observed("f2", "thumbs", 0.0, 200.0, request="g3"),
            Observed("f3", "purchase", 20.0, 200.0, unit="u1"),
            Observed("f4", "purchase", 5.0, 200.0, unit="nobody"),
        ]
    )
    assert known == [True, True, True, False]
    assert store.feedback_names(E) == ["purchase", "thumbs"]
    thumbs = store.sums(E, spec("thumbs", "mean"), 0.0, 0.0)
    assert (thumbs["a"].n, thumbs["a"].y, thumbs["b"].y) == (1, 1.0, 0.0)
    bought = store.sums(E, spec("purchase", "per_unit"), 0.0, 0.0)
    assert (bought["a"].n, bought["a"].y, bought["b"].n, bought["b"].y) == (2, 10.0, 1, 0.0), (
        "who bought nothing counts"
    )


def test_the_covariate_of_a_unit_does_not_depend_on_whether_it_gives_feedback_later() -> None:
    """What was before the experiment must not know how it ends: else the correction takes part of the effect away."""
    store, start = EvidenceStore(None), 40 * DAY
    store.add([seen(1, "a", "bought", start - DAY), seen(2, "a", "left", start - DAY)])
    store.observe([Observed(f"o{n}", "purchase", 8.0, start - DAY, request=f"g{n}") for n in (1, 2)])
    store.add([seen(3, "a", "bought", start + 1), seen(4, "a", "left", start + 1)])
    store.observe([Observed("o3", "purchase", 6.0, start + 2, request="g3")])
    found = store.sums(E, spec("purchase", "per_unit"), start, 0.0)["a"]
    assert (found.n, found.y, found.c) == (2, 3.0, 8.0)


def test_the_slowest_twentieth_begins_at_the_p95() -> None:
    store = EvidenceStore(None)
    store.add([seen(n, "a", f"u{n}", ttft=float(n)) for n in range(100)])
    assert store.p95_ttft(E, "a", 0.0) == 95.0
    assert store.p95_ttft(E, "b", 0.0) == 0.0


def test_evidence_outlives_its_process_and_is_forgotten_in_time(tmp_path: Path) -> None:
    path = tmp_path / "there" / "evidence.sqlite"
    store = EvidenceStore(path)
    store.add([seen(1, "a", "u1", 50.0), seen(2, "a", "u2", 150.0)])
    store.close()
    again = EvidenceStore(path)
    assert again.counts(E, 0.0, 0.0) == {"a": Counts(2, 2, 2)}
    again.forget(100.0)
    assert again.counts(E, 0.0, 0.0) == {"a": Counts(1, 1, 1)}
    again.close()
