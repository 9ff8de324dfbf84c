"""Simulation: a request decided by the very function that workers use, and explained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from turnout.learning.v1.learning_service_pb2 import LearnedTable
from turnout.policy.v1.policy_service_pb2 import ModelScore, SimulateRequest, SimulateResponse, SkippedModel

from services.controlplane.learning.variants import VariantName
from services.core.errors import InvalidRequest
from services.core.policy.preferences import MEASURED, PRICE
from services.core.policy.snapshot import Snapshot
from services.core.routing.context import RequestContext
from services.core.routing.decide import decide, router_named
from services.core.routing.health import HEALTHY
from services.core.routing.learning import NO_TABLES, TOLD, Tables
from services.core.routing.plan import Plan, Scored, Undecided
from services.core.routing.prompt_cache import PROMPT_CACHE
from services.core.values import changed
from services.runtime.kinds import shipped_kinds
from services.wire.chat_facts import condition_messages, read_facts
from services.wire.learning import to_tabled
from services.wire.needs import body_needs
from services.wire.request_kinds import with_kinds
from services.wire.structs import plain_struct


def simulate(
    snapshot: Snapshot, request: SimulateRequest, tables: Mapping[VariantName, LearnedTable] | None = None
) -> SimulateResponse:
    """The plan for `request` under `snapshot`, with its reasons.

    Args:
        tables: What this replica holds of what was learned; None: it does not know yet.

    Raises:
        InvalidRequest: The body cannot be read.
    """
    context = _context(request)
    router = router_named(snapshot, context.model)
    held = NO_TABLES
    if router is not None and router.learns:
        context = with_kinds(context, context.messages, shipped_kinds())
        held = _of_router(router.name, tables or {})
    decision = decide(snapshot, context, HEALTHY, 0.0, request.seed, held)
    answer = SimulateResponse(policy_version=snapshot.version, reasons=decision.reasons)
    answer.skipped.extend(SkippedModel(model=s.model, why=s.why) for s in decision.skipped)
    if isinstance(decision, Undecided):
        answer.no_route = decision.message
        return answer
    _fill(answer, decision)
    answer.unknown.extend(_unknown(decision))
    return answer


def _fill(answer: SimulateResponse, decision: Plan) -> None:
    answer.router_id, answer.route_id, answer.variant_id = decision.router_id, decision.route_id, decision.variant_id
    answer.candidates.extend(c.target.model for c in decision.candidates)
    answer.condition, answer.unit = decision.condition, decision.unit_kind
    answer.exposed, answer.automatic = decision.exposed, decision.automatic
    if decision.slot >= 0:
        answer.slot = decision.slot
    if _is_learned(decision):
        answer.learned_table = _table_of(decision)
    answer.scores.extend(map(_score, decision.scores))
    answer.warnings.extend(decision.warnings)


def _of_router(router: str, tables: Mapping[VariantName, LearnedTable]) -> Tables:
    """The tables of one router, as decisions read them."""
    return {
        (name.router, name.route, name.variant): to_tabled(message, shipped_kinds())
        for name, message in tables.items()
        if name.router == router
    }


def _is_learned(decision: Plan) -> bool:
    return any(reason.startswith(TOLD) for reason in decision.reasons)


def _table_of(decision: Plan) -> str:
    """Version of the table that decided; empty: priors did."""
    return decision.learned.table if decision.learned is not None else ""


def _score(scored: Scored) -> ModelScore:
    terms = scored.score.terms
    shown = [ModelScore.Term(metric=t.key.metric, ascending=t.key.ascending, value=t.value) for t in terms]
    if scored.score.cached:
        shown.append(ModelScore.Term(metric=PROMPT_CACHE, value=scored.score.cached))
    return ModelScore(model=scored.model, terms=shown)


def _unknown(decision: Plan) -> Iterator[str]:
    """What a worker reads that is not there here, where it may change the order."""
    metrics = {term.key.metric for scored in decision.scores for term in scored.score.terms}
    blind = sorted(metrics.intersection(MEASURED))
    if blind:
        yield f"{' and '.join(blind)}: workers sort by what they measured of late, and a simulation has no readings"
    if decision.session and PRICE in metrics and not any(s.score.cached for s in decision.scores):
        yield "prompt caches: workers remember who served a session, and take its cached input for what it costs"
    if decision.learned is not None and not decision.learned.table:
        yield "what was learned: this replica has no table that fits, so priors decided; workers may have one"
    yield "health: workers try targets later that are set aside just now"


def _context(request: SimulateRequest) -> RequestContext:
    given: dict[str, Any] = {"model": request.model} if request.model else {}
    if request.models:
        given["models"] = list(request.models)
    if request.user:
        given["user"] = request.user
    metadata = plain_struct(request.facts.metadata)
    if metadata:
        given["metadata"] = metadata
    if request.body:
        try:
            body = msgspec.json.decode(request.body)
        except msgspec.DecodeError as error:
            raise InvalidRequest(f"the body is not JSON: {error}", param="body") from error
        if not isinstance(body, dict):
            raise InvalidRequest("the body is not an object", param="body")
        given = {**given, **body}
    needs, least = body_needs(request.body) if request.body else (frozenset[str](), 0)
    context = read_facts(given, session=request.session, needs=needs, least_tokens=least)
    return changed(context, messages=condition_messages(given.get("messages")), cached=_cached(request))


def _cached(request: SimulateRequest) -> Mapping[str, float]:
    for model, share in request.cached.items():
        if not 0.0 <= share <= 1.0:
            raise InvalidRequest(f"`cached` of {model!r} is {share:g}; give a share from 0 to 1", param="cached")
    return dict(request.cached)
