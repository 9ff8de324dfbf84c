"""What becomes of a router's slots when its weights change. Pure; the control plane runs it before every write."""

from __future__ import annotations

from dataclasses import replace

from services.core.experiments.slots import SlotTable, first_table, owners_of, ramped
from services.core.policy.documents import Route, Router
from services.core.policy.experiments import table_of, weights_of, written
from services.core.routing.assign import SLOTS


def with_slots(router: Router, before: Router | None) -> Router:
    """`router` with the slots that follow from those of `before`: only the changed share of units moves.

    A route that is new has what is written in it, or its cumulative weights, which need not be written. Routes are told
    apart by their id, so one whose id is derived from its place has no history.
    """
    known = {route.route_id: route for route in routes_of(before) if route.route_id} if before is not None else {}
    rules = tuple(
        replace(rule, route=_filled(rule.route, known.get(rule.route.route_id))) if rule.route is not None else rule
        for rule in router.routes
    )
    default = router.default_route
    if default is not None:
        default = _filled(default, known.get(default.route_id))
    return replace(router, routes=rules, default_route=default)


def routes_of(router: Router) -> list[Route]:
    """All routes of `router` that are written, in their order, the default route last."""
    found = [rule.route for rule in router.routes if rule.route is not None]
    return found if router.default_route is None else [*found, router.default_route]


def _filled(route: Route, before: Route | None) -> Route:
    weights = weights_of(route)
    names = [name for name, _ in weights]
    if sum(weight for _, weight in weights) != 100 or len(set(names)) != len(names) or "" in names:
        return route  # refused, or without ids to go by
    table = table_of(before) if before is not None else None
    if table is None or "" in {run.arm for run in table.runs}:
        return route
    table = ramped(table, weights)
    if not table.former and table.runs == first_table(weights).runs:
        return replace(route, slots=(), former_slots=())
    return replace(route, slots=written(table.runs), former_slots=written(table.former))


def moved(before: Route | None, after: Route) -> float:
    """Share of all units that changes its variant, 0 to 1."""
    old = table_of(before) if before is not None else None
    new = table_of(after)
    if old is None or new is None:
        return 0.0
    return _moved(old, new) / SLOTS


def _moved(old: SlotTable, new: SlotTable) -> int:
    return sum(a != b for a, b in zip(owners_of(old), owners_of(new), strict=True))
