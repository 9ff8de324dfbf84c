"""A decision in words: for transcripts."""

from __future__ import annotations

from services.core.routing.plan import Plan, Undecided


def explain(decision: Plan | Undecided) -> list[str]:
    """The decision as lines of text."""
    if isinstance(decision, Undecided):
        return [*decision.reasons, f"{decision.reason}: {decision.message}"]
    lines = list(decision.reasons)
    lines += [f"skipped {s.model}: {s.why}" for s in decision.skipped]
    for place, candidate in enumerate(decision.candidates, 1):
        lines.append(f"{place}. {candidate.target.model}")
    return lines
