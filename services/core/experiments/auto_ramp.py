"""A ramp that goes by itself: one step further, hold, or back. Pure; the control plane carries it out.

Forward only when the step was held long enough, enough units were seen, the split is right, and no guardrail is worse or
unclear. Back to nothing at once when a guardrail is worse with confidence, or the split is broken.
"""

from __future__ import annotations

from services.core.experiments.report import Report
from services.core.policy.documents import Ramp
from services.core.values import Value

HOLD_SECONDS = 86_400.0
MIN_UNITS = 1_000


class Move(Value, frozen=True):
    """What to do: the new weight, or None to leave it as it is; and why."""

    weight: int | None
    why: str


def next_move(ramp: Ramp, weight: int, held: float, report: Report) -> Move:
    """What follows from the present state.

    Args:
        weight: The variant's present weight in percent.
        held: Seconds since it last changed.
    """
    if ramp.paused:
        return Move(None, "the ramp is paused")
    if weight == 0 and held > 0.0 and any(arm.variant == ramp.variant and arm.units for arm in report.arms):
        return Move(None, "the ramp went back; set the weight, or take out the ramp, to go on")
    if report.split_broken and weight:
        return Move(0, "the split is broken")
    worse = report.worse(ramp.variant)
    if worse and weight:
        told = ", ".join(f"{c.spec.name} {c.found.control.value:.4g} → {c.found.arm.value:.4g}" for c in worse)
        return Move(0, f"worse than the control: {told}")
    further = [step for step in ramp.steps if step > weight]
    if not further:
        return Move(None, "the last step is reached")
    if weight == 0:
        return Move(further[0], "the first step")
    return _onward(ramp, further[0], held, report)


def _onward(ramp: Ramp, step: int, held: float, report: Report) -> Move:
    hold = ramp.hold if ramp.hold is not None else HOLD_SECONDS
    if held < hold:
        return Move(None, f"held for {held / 3600:.1f} of {hold / 3600:.1f} hours")
    units = next((arm.units for arm in report.arms if arm.variant == ramp.variant), 0)
    least = ramp.min_units if ramp.min_units is not None else MIN_UNITS
    if units < least:
        return Move(None, f"{units:,} of {least:,} units seen")
    unclear = report.open(ramp.variant)
    if unclear:
        return Move(None, f"nothing can be said of {', '.join(c.spec.name for c in unclear)} yet")
    return Move(step, f"no guardrail is worse after {units:,} units")
