"""What to believe of a report, in words. Pure."""

from __future__ import annotations

from turnout.learning.v1 import learning_service_pb2 as pb

from services.core.routing.learned.choice import REWARD_ALONE

NO_FEEDBACK = (
    "No feedback is configured: a reward is 1 for every answer that came whole and was not asked for again, which says "
    "little of its quality."
)


def verdict_of(report: pb.Learned, *, explored: bool) -> str:
    """The verdict on a report, all but whose verdict is set.

    Args:
        explored: Whether any model was chosen that was not the best one.
    """
    parts = [] if report.metric else [NO_FEEDBACK]
    if report.other_kinds:
        parts.append(f"{report.other_kinds:,} decisions of another release are about other kinds and left out.")
    return " ".join([*parts, _compared(report, explored=explored)])


def _compared(report: pb.Learned, *, explored: bool) -> str:
    if not report.models:
        return "No verdict: nothing was decided yet."
    if not report.HasField("logged_reward"):
        metric = f" by the metric {report.metric!r}" if report.metric else ""
        return f"No verdict: no reward{metric} is known of any request, so priors decide."
    if not explored:
        return "No verdict: nothing was explored, so what the other models would have brought is not known."
    greedy = report.greedy
    if greedy.refusal:
        return f"No verdict: {greedy.refusal}."
    known = [single for single in report.singles if not single.refusal]
    if not known:
        return "No verdict: no model was chosen often enough to stand for itself."
    best = max(known, key=lambda single: single.utility)
    told = f"{_interval(greedy)} against {_interval(best)} of {best.candidate} alone"
    if report.objective not in {"", REWARD_ALONE}:
        told += f", by the objective {report.objective}: reward less what cost and time are worth"
    if greedy.utility_low > best.utility_high:
        return f"Choosing by kind of request pays: {told}."
    if greedy.utility_high < best.utility_low:
        return f"One model alone would do better: {told}."
    return f"No difference can be told between choosing by kind of request and one model alone: {told}."


def _interval(found: pb.OffPolicy) -> str:
    return f"{found.utility:.3f} ({found.utility_low:.3f} to {found.utility_high:.3f})"
