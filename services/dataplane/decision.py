"""The decision behind an answer, for a caller that asked for it with the header x-turnout-explain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.core.routing.plan import LearnedChoice, Plan, Scored
from services.core.routing.prompt_cache import PROMPT_CACHE

EXPLAIN_HEADER = "x-turnout-explain"
MAX_LISTED = 50
"""Candidates, and skipped targets, that are listed; more are counted."""
_DIGITS = 6
"""Of numbers of the learned choice; records have them whole."""


def asks_explanation(headers: Mapping[str, str]) -> bool:
    """Whether the caller wants to see the decision."""
    return headers.get(EXPLAIN_HEADER, "").lower() == "true"


def decision_of(plan: Plan) -> dict[str, Any]:
    """The decision as JSON: where the request goes, and what else was thought of."""
    scores = {scored.model: scored for scored in plan.scores}
    models = [candidate.target.model for candidate in plan.candidates]
    shown: dict[str, Any] = {}
    if plan.router_id:
        shown |= {"router": plan.router_id, "route": plan.route_id, "variant": plan.variant_id}
    if plan.condition:
        shown["condition"] = plan.condition
    if plan.slot >= 0:
        shown["slot"] = plan.slot
    if plan.unit_kind:
        shown |= {"unit": plan.unit_kind, "exposed": plan.exposed}
    if plan.automatic:
        shown["automatic"] = True
    shown["candidates"] = [_candidate(model, scores.get(model)) for model in models[:MAX_LISTED]]
    if plan.learned is not None:
        shown["learned"] = _learned(plan.learned)
    shown["skipped"] = [{"model": s.model, "why": s.why} for s in plan.skipped[:MAX_LISTED]]
    left = {"candidates": len(models) - MAX_LISTED, "skipped": len(plan.skipped) - MAX_LISTED}
    shown |= {f"more_{name}": count for name, count in left.items() if count > 0}
    return shown


def _learned(learned: LearnedChoice) -> dict[str, Any]:
    """How the first candidate was chosen: what the request is like, and every model that could have been."""
    choice = learned.choice
    shown: dict[str, Any] = {
        "table": learned.table,
        "kinds_version": learned.kinds,
        "kinds": [
            {"kind": kind, "weight": round(weight, _DIGITS)}
            for kind, weight in sorted(learned.phi.items(), key=lambda pair: (-pair[1], pair[0]))
        ],
        "models": [
            {
                "model": one.model,
                "propensity": round(chance, _DIGITS),
                "score": round(one.score, _DIGITS),
                "terms": {
                    "reward": round(one.reward, _DIGITS),
                    "cost": round(one.cost, _DIGITS),
                    "seconds": round(one.seconds, _DIGITS),
                },
            }
            for one, chance in zip(choice.scored, choice.propensities, strict=True)
        ],
    }
    return shown | ({"segment": learned.segment} if learned.segment else {})


def _candidate(model: str, scored: Scored | None) -> dict[str, Any]:
    if scored is None:
        return {"model": model}
    terms = {term.key.metric: term.value for term in scored.score.terms}
    if scored.score.cached:
        terms[PROMPT_CACHE] = round(scored.score.cached, _DIGITS)
    return {"model": model, "terms": terms}
