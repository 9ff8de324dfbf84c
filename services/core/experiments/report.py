"""What can be said of an experiment, from the sums of its arms. Pure.

The split comes first: when units are lost unevenly nothing else can be believed, so nothing else is shown. Then each
metric of each arm against the control, with one primary metric, guardrails that are only watched for harm, and others
whose p values are adjusted for their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.core.experiments.estimates import Difference, difference, estimate
from services.core.experiments.intervals import (
    MIN_UNITS,
    PLANNED_UNITS,
    UNKNOWN,
    Interval,
    adjusted,
    always_valid,
    detectable,
    fixed_horizon,
)
from services.core.experiments.metrics import DECREASE, GUARDRAIL, PRIMARY, SECONDARY, MetricSpec
from services.core.experiments.sample_ratio import ALPHA, mismatch
from services.core.experiments.sums import NOTHING, Sums
from services.core.values import Value

BETTER, WORSE, SAME, UNCLEAR = "better", "worse", "no difference", "unknown"


class Arm(Value, frozen=True):
    """A variant's data.

    Attributes:
        weight: Its share of the slots.
        new_units: Units first seen since the weights changed last: those that the split is judged by.
        sums: By metric.
        p95_ttft: In milliseconds; 0.0: none was seen.
    """

    variant: str
    weight: int
    units: int
    requests: int
    new_units: int
    sums: Mapping[str, Sums]
    p95_ttft: float = 0.0


class Comparison(Value, frozen=True):
    """A metric of an arm against the control."""

    variant: str
    spec: MetricSpec
    found: Difference
    interval: Interval
    p: float
    verdict: str
    detectable: float


class Report(Value, frozen=True):
    """What can be said."""

    control: str
    split_p: float
    split_broken: bool
    arms: tuple[Arm, ...]
    comparisons: tuple[Comparison, ...]
    verdict: str

    def worse(self, variant: str) -> list[Comparison]:
        """Guardrails that a variant breaks."""
        return [c for c in self._guardrails(variant) if c.verdict == WORSE]

    def open(self, variant: str) -> list[Comparison]:
        """Guardrails of a variant of which nothing can be said yet."""
        return [c for c in self._guardrails(variant) if c.verdict == UNCLEAR]

    def _guardrails(self, variant: str) -> list[Comparison]:
        return [c for c in self.comparisons if c.variant == variant and c.spec.role == GUARDRAIL]


def report_of(
    arms: Sequence[Arm], control: str, specs: Sequence[MetricSpec], *, alpha: float = 0.05, fixed: bool = False
) -> Report:
    """The report.

    Args:
        control: Id of an arm.
        alpha: Chance of a false alarm, of each metric.
        fixed: Fixed-horizon intervals instead of those that may be looked at at any time.
    """
    base = next(arm for arm in arms if arm.variant == control)
    p = mismatch([arm.new_units for arm in arms], [float(arm.weight) for arm in arms])
    broken = p < ALPHA
    comparisons: list[Comparison] = []
    for arm in arms:
        if arm is not base:
            comparisons += _compared(base, arm, specs, alpha=alpha, fixed=fixed, broken=broken)
    alone = len(arms) == 1 and not broken
    verdict = "The route has a single variant: nothing is split." if alone else _verdict(comparisons, broken=broken)
    return Report(control, p, broken, tuple(arms), tuple(comparisons), verdict)


def _compared(
    control: Arm, arm: Arm, specs: Sequence[MetricSpec], *, alpha: float, fixed: bool, broken: bool
) -> list[Comparison]:
    pairs = [
        (spec, difference(control.sums.get(spec.name, NOTHING), arm.sums.get(spec.name, NOTHING))) for spec in specs
    ]
    pairs = [(spec, found) for spec, found in pairs if found.n]
    intervals = [UNKNOWN if broken else _interval(found, alpha, fixed=fixed) for _, found in pairs]
    others = [i for i, (spec, _) in enumerate(pairs) if spec.role == SECONDARY]
    p_values = [interval.p for interval in intervals]
    for place, p in zip(others, adjusted([p_values[i] for i in others]), strict=True):
        p_values[place] = p
    return [
        Comparison(
            variant=arm.variant,
            spec=spec,
            found=found,
            interval=interval,
            p=p,
            verdict=_judged(spec, found, interval, p, alpha),
            detectable=detectable(max(found.control.variance, found.arm.variance), min(found.control.n, found.arm.n)),
        )
        for (spec, found), interval, p in zip(pairs, intervals, p_values, strict=True)
    ]


def _interval(found: Difference, alpha: float, *, fixed: bool) -> Interval:
    if fixed:
        return fixed_horizon(found, alpha=alpha)
    return always_valid(found, alpha=alpha, planned=PLANNED_UNITS)


def _judged(spec: MetricSpec, found: Difference, interval: Interval, p: float, alpha: float) -> str:
    """Better or worse than the control, as far as that can be told."""
    if interval is UNKNOWN:
        # Equal arms without any variance (no error at all) are no worse than each other, once enough of both was seen.
        alike = not found.variance and not found.value
        enough = found.n >= MIN_UNITS and min(found.control.n, found.arm.n) > 1
        return SAME if alike and enough else UNCLEAR
    low, high = (interval.low, interval.high) if spec.goal == DECREASE else (-interval.high, -interval.low)
    slack = spec.margin * abs(found.control.value) if spec.role == GUARDRAIL else 0.0
    if low > slack and (spec.role != SECONDARY or p < alpha):
        return WORSE
    if high < 0.0 and (spec.role != SECONDARY or p < alpha):
        return BETTER
    return SAME


def _verdict(comparisons: Sequence[Comparison], *, broken: bool) -> str:
    """One sentence: what to believe."""
    if broken:
        return (
            "The split is broken: units are lost unevenly, so nothing can be said. Find out why before anything else."
        )
    harmed = [c for c in comparisons if c.spec.role == GUARDRAIL and c.verdict == WORSE]
    if harmed:
        told = ", ".join(f"{c.variant} ({c.spec.name})" for c in harmed)
        return f"A guardrail is worse than the control's: {told}."
    primary = [c for c in comparisons if c.spec.role == PRIMARY]
    if not primary:
        return "No primary metric is declared; no guardrail is known to be worse."
    won = [c.variant for c in primary if c.verdict == BETTER]
    if won:
        return f"Better than the control in {primary[0].spec.name}: {', '.join(won)}."
    lost = [c.variant for c in primary if c.verdict == WORSE]
    if lost:
        return f"Worse than the control in {primary[0].spec.name}: {', '.join(lost)}."
    return f"No difference in {primary[0].spec.name} can be told yet."


def value_of(arm: Arm, spec: MetricSpec) -> float:
    """The metric's value of an arm."""
    return estimate(arm.sums.get(spec.name, NOTHING)).value
