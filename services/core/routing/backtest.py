"""Decisions of the past under another policy: what would have gone elsewhere, and at what cost. Pure.

A record has less than the request had. What is missing and would be read makes a decision one that cannot be made
again; it is never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.core.policy.snapshot import CompiledRoute, CompiledRouter, Snapshot, Target
from services.core.pricing import TokenUsage, tier_cost
from services.core.routing.assign import METADATA, USER
from services.core.routing.context import RequestContext
from services.core.routing.decide import decide, router_named
from services.core.routing.health import HealthView
from services.core.routing.plan import Plan, Undecided
from services.core.values import Value, changed

LEARNED = "what was learned"
"""What is missing where a model would be chosen by it."""


class Place(Value, frozen=True):
    """Where a request goes: the first model of its plan, and the variant that named it."""

    router: str = ""
    route: str = ""
    variant: str = ""
    model: str = ""


class Past(Value, frozen=True):
    """A decision of the past, as its record has it.

    Attributes:
        context: The facts; `user` and `session` are hashes.
        known: Keys of the metadata of which the record would have the value.
        at: Seconds since the Unix epoch.
        slot: Slot of the unit; -1: none was needed.
        usage: Tokens of the answer; None: there was none.
        cost_usd: What it cost; None: not known.
    """

    context: RequestContext
    place: Place
    seed: int
    known: frozenset[str] = frozenset()
    at: float = 0.0
    slot: int = -1
    usage: TokenUsage | None = None
    cost_usd: float | None = None
    health: HealthView = HealthView()


class Replayed(Value, frozen=True):
    """A decision made again.

    Attributes:
        place: Where it goes now; None: nowhere, or nobody can say.
        missing: Facts that the record lacks and a condition reads, or `LEARNED`; empty: the decision could be made.
        refusal: Why nothing would serve it.
        redrawn: The variant was assigned by the hash of a unit, so another one of equal share may be right.
        cost_usd: What the same tokens cost there, in US dollars; None: not known.
    """

    place: Place | None = None
    missing: tuple[str, ...] = ()
    refusal: str = ""
    redrawn: bool = False
    cost_usd: float | None = None


def replay(past: Past, policy: Snapshot, present: Snapshot | None = None) -> Replayed:
    """A past decision under `policy`; `present` is the policy that slots are from, None: not known."""
    context, redrawn = past.context, False
    router = router_named(policy, context.model)
    if router is not None:
        route, missing = _route(router, context.metadata, past.known)
        if missing:
            return Replayed(missing=missing)
        if route is not None and len(route.variants) > 1:
            kept = _keeps_slot(past, router, route, present)
            context = changed(context, slot=past.slot) if kept else context
            redrawn = not kept and _is_redrawn(past, route)
    plan = decide(policy, context, past.health, 0.0, past.seed)
    if isinstance(plan, Undecided):
        return Replayed(refusal=plan.message)
    if _is_learned(policy, plan):
        return Replayed(missing=(LEARNED,))
    target = plan.candidates[0].target
    place = Place(plan.router_id, plan.route_id, plan.variant_id, target.model)
    return Replayed(place, redrawn=redrawn, cost_usd=_cost(past, target))


def _is_learned(policy: Snapshot, plan: Plan) -> bool:
    """Whether it would be chosen by what was learned: a record has no prompt, and of then there are no tables."""
    variants = [
        variant
        for route in (policy.routers[plan.router_id].all_routes if plan.router_id else ())
        if route.route_id == plan.route_id
        for variant in route.variants
    ]
    return any(v.preferences.learned is not None and v.variant_id == plan.variant_id for v in variants)


def _route(
    router: CompiledRouter, metadata: Mapping[str, object], known: frozenset[str]
) -> tuple[CompiledRoute | None, tuple[str, ...]]:
    """The route, or what is missing to find it: a condition is passed by only if all that it reads is known."""
    for route in router.routes:
        if route.condition is None:
            continue
        missing = route.condition.reads - known
        if missing:
            return None, tuple(sorted(missing))
        if route.condition.matches(metadata) is True:
            return route, ()
    return router.default_route, ()


def _keeps_slot(past: Past, router: CompiledRouter, route: CompiledRoute, present: Snapshot | None) -> bool:
    """Whether the slot of then is the slot of now: the same route, and the same way to derive it."""
    if past.slot < 0 or (past.place.router, past.place.route) != (router.name, route.route_id):
        return False
    before = present.routers.get(router.name) if present is not None else None
    if before is None:
        return present is None
    rules = [r.experiment for r in before.all_routes if r.route_id == route.route_id]
    now = route.experiment
    return any((rule.salt, rule.unit, rule.layer) == (now.salt, now.unit, now.layer) for rule in rules)


def _is_redrawn(past: Past, route: CompiledRoute) -> bool:
    """Whether the request's unit is not what is assigned: a hash stands for it, or nothing does."""
    kind = route.experiment.unit
    if kind.startswith(METADATA):
        return kind.removeprefix(METADATA) not in past.known
    return bool(past.context.user if kind == USER else past.context.session)


def _cost(past: Past, target: Target) -> float | None:
    """What the tokens of then cost at `target`; where nothing changes, what they did cost."""
    if target.model == past.place.model and past.cost_usd is not None:
        return past.cost_usd
    return tier_cost(target.prices, target.spans, past.at, past.usage)[0]
