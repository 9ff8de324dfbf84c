"""Simulation: a request decided by the very function that workers use, and explained."""

from __future__ import annotations

from typing import Any

import msgspec
from turnout.policy.v1.policy_service_pb2 import SimulateRequest, SimulateResponse

from services.core.errors import InvalidRequest
from services.core.policy.snapshot import Snapshot
from services.core.routing.context import RequestContext
from services.core.routing.decide import decide
from services.core.routing.health import HEALTHY
from services.core.routing.plan import Undecided
from services.core.values import changed
from services.wire.chat_facts import condition_messages, read_facts
from services.wire.needs import body_needs
from services.wire.structs import plain_struct


def simulate(snapshot: Snapshot, request: SimulateRequest) -> SimulateResponse:
    """The plan for `request` under `snapshot`, with its reasons.

    Raises:
        InvalidRequest: The body cannot be read.
    """
    decision = decide(snapshot, _context(request), HEALTHY, 0.0, request.seed)
    answer = SimulateResponse(policy_version=snapshot.version, reasons=decision.reasons)
    if isinstance(decision, Undecided):
        answer.no_route = decision.message
        return answer
    answer.router_id, answer.route_id, answer.variant_id = decision.router_id, decision.route_id, decision.variant_id
    answer.candidates.extend(c.target.model for c in decision.candidates)
    answer.reasons.extend(f"skipped {s.model}: {s.why}" for s in decision.skipped)
    answer.reasons.extend(f"warning: {warning}" for warning in decision.warnings)
    return answer


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
    context = read_facts(given, needs=needs, least_tokens=least)
    return changed(context, messages=condition_messages(given.get("messages")))
