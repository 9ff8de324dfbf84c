"""What is said of an experiment, and what a ramp does about it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from services.core.experiments.auto_ramp import next_move
from services.core.experiments.metrics import BUILT_IN, MetricSpec, specs_of
from services.core.experiments.report import BETTER, SAME, UNCLEAR, WORSE, Arm, Report, report_of
from services.core.experiments.sums import Sums
from services.core.policy.documents import Metric, Ramp


def share(n: int, p: float) -> Sums:
    """n units with one request each, of which a share counts."""
    return Sums(n=n, y=p, x=1.0, yy=n * p * (1.0 - p))


def arm(name: str, units: int, sums: Mapping[str, Sums], weight: int = 50) -> Arm:
    return Arm(name, weight, units, units, units, sums)


def report(
    a: Mapping[str, Sums], b: Mapping[str, Sums], *metrics: Metric, units: tuple[int, int] = (20_000, 20_000)
) -> Report:
    specs = specs_of(metrics, ["thumbs"])
    return report_of([arm("a", units[0], a), arm("b", units[1], b)], "a", specs)


def verdicts(found: Report) -> dict[str, str]:
    return {c.spec.name: c.verdict for c in found.comparisons}


GOOD = {"error_rate": share(20_000, 0.02), "thumbs": share(20_000, 0.3)}


def test_a_guardrail_that_is_worse_is_told_first() -> None:
    found = report(
        GOOD, {"error_rate": share(20_000, 0.04), "thumbs": share(20_000, 0.4)}, Metric("thumbs", role="primary")
    )
    assert verdicts(found) == {"thumbs": BETTER, "error_rate": WORSE}
    assert found.verdict == "A guardrail is worse than the control's: b (error_rate)."
    assert [c.spec.name for c in found.worse("b")] == ["error_rate"]


def test_a_primary_metric_decides() -> None:
    better = report(GOOD, {**GOOD, "thumbs": share(20_000, 0.35)}, Metric("thumbs", role="primary"))
    assert better.verdict == "Better than the control in thumbs: b."
    worse = report(GOOD, {**GOOD, "thumbs": share(20_000, 0.25)}, Metric("thumbs", role="primary"))
    assert worse.verdict == "Worse than the control in thumbs: b."
    less = report(GOOD, {**GOOD, "thumbs": share(20_000, 0.25)}, Metric("thumbs", role="primary", goal="decrease"))
    assert less.verdict == "Better than the control in thumbs: b."
    same = report(GOOD, GOOD, Metric("thumbs", role="primary"))
    assert (verdicts(same)["thumbs"], same.verdict) == (SAME, "No difference in thumbs can be told yet.")
    assert "No primary metric" in report(GOOD, GOOD).verdict


def test_a_broken_split_says_nothing_else() -> None:
    found = report(
        GOOD, {**GOOD, "thumbs": share(20_000, 0.5)}, Metric("thumbs", role="primary"), units=(21_000, 19_000)
    )
    assert found.split_broken
    assert set(verdicts(found).values()) == {UNCLEAR}
    assert "The split is broken" in found.verdict


def test_a_margin_lets_a_guardrail_be_a_little_worse() -> None:
    worse = {"error_rate": share(20_000, 0.028)}
    assert verdicts(report(GOOD, worse))["error_rate"] == WORSE
    assert verdicts(report(GOOD, worse, Metric("error_rate", margin=0.5)))["error_rate"] == SAME


def test_arms_without_any_error_are_alike() -> None:
    none = {"error_rate": Sums(n=20_000, y=0.0, x=1.0)}
    assert verdicts(report(none, none))["error_rate"] == SAME


def test_few_units_say_nothing() -> None:
    few = {"error_rate": share(20, 0.2)}
    assert verdicts(report(few, few, units=(20, 20)))["error_rate"] == UNCLEAR


def test_other_metrics_are_adjusted_for_their_number() -> None:
    base = {name: share(20_000, 0.3) for name in BUILT_IN}
    found = report(base, {**base, "abort_rate": share(20_000, 0.318)})
    one = next(c for c in found.comparisons if c.spec.name == "abort_rate")
    assert one.p > one.interval.p


def test_what_policy_declares_comes_over_what_is_built_in() -> None:
    found = {
        s.name: s for s in specs_of([Metric("ttft", role="guardrail", margin=0.1), Metric("sales", of="per_unit")])
    }
    assert found["ttft"] == MetricSpec("ttft", "decrease", "guardrail", "", 0.1)
    assert found["sales"] == MetricSpec("sales", "increase", "secondary", "per_unit")
    assert found["error_rate"].role == "guardrail"
    assert found.keys() == {*BUILT_IN, "sales"}


RAMP = Ramp(variant="b", steps=(1, 5, 20, 50), hold=3_600.0, min_units=100)
GUARDED = {name: share(20_000, 0.1) for name in ("error_rate", "slow_rate", "cost_per_request")}


def ramp_report(b: Mapping[str, Sums], weight: int = 5, units: int = 20_000) -> Report:
    arms = [Arm("a", 100 - weight, 20_000, 20_000, 0, GUARDED), Arm("b", weight, units, units, 0, b)]
    return report_of(arms, "a", specs_of(()))


@pytest.mark.parametrize(
    ("ramp", "weight", "held", "b", "moved", "told"),
    [
        (RAMP, 5, 4_000.0, GUARDED, 20, "no guardrail is worse"),
        (RAMP, 5, 3_000.0, GUARDED, None, "held for 0.8 of 1.0 hours"),
        (RAMP, 5, 10.0, {**GUARDED, "error_rate": share(20_000, 0.2)}, 0, "error_rate 0.1 → 0.2"),
        (RAMP, 50, 9_000.0, GUARDED, None, "the last step"),
        (Ramp("b", (1, 5), paused=True), 1, 9e9, GUARDED, None, "paused"),
        (RAMP, 5, 4_000.0, {"error_rate": share(20, 0.1)}, None, "nothing can be said"),
        (RAMP, 0, 10.0, GUARDED, None, "went back"),
    ],
)
def test_a_ramp_goes_on_holds_or_goes_back(
    ramp: Ramp, weight: int, held: float, b: Mapping[str, Sums], moved: int | None, told: str
) -> None:
    found = next_move(ramp, weight, held, ramp_report(b, weight))
    assert found.weight == moved
    assert told in found.why


def test_a_ramp_begins_with_its_first_step_and_waits_for_units() -> None:
    assert next_move(RAMP, 0, 0.0, ramp_report({}, 0, units=0)).weight == 1
    waiting = next_move(RAMP, 1, 9_000.0, ramp_report(GUARDED, 1, units=60))
    assert (waiting.weight, waiting.why) == (None, "60 of 100 units seen")
