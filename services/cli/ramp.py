"""`turnout ramp`: move weight between the variants of a route."""

from __future__ import annotations

from turnout.policy.v1 import policy_service_pb2 as api
from turnout.policy.v1.policy_pb2 import Resource, ResourceName, Route, Router

from services.cli.connection import Connection
from services.cli.output import Fail, escape, out
from services.cli.policy_commands import DEFAULT_CONNECTION, Json, Message, call, show_applied
from services.core.experiments.ramps import moved, routes_of
from services.core.policy.documents import Route as RouteDocument
from services.core.policy.documents import Router as RouterDocument
from services.wire.policy import to_document


def ramp(
    router: str,
    route: str,
    /,
    *weights: str,
    message: Message = "",
    dry_run: bool = False,
    as_json: Json = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """Change the weights of a route's variants: only the changed share of users moves, from variants that shrink.

    Args:
        router: Name of the router.
        route: Id of the route.
        weights: VARIANT=WEIGHT, in percent. Variants that are not named share what is left as they did.
        dry_run: Say what would change, and write nothing.
    """
    wanted = _weights(weights)
    name = ResourceName(kind="Router", name=router)
    found = call(connection, "GetResource", api.GetResourceRequest(name=name))
    written = _route(found.router, route)
    before = _route_document(found, route)
    _set_weights(written, wanted)
    told = message or f"ramp {router} {route} {' '.join(weights)}"
    request = api.ApplyRequest(resources=[found], dry_run=dry_run, message=told)
    answer = call(connection, "Apply", request)
    show_applied(answer, dry_run=dry_run, as_json=as_json)
    if not as_json:
        share = moved(before, _route_document(answer.changes[0].after, route))
        tense = "would move" if dry_run else "move"
        out.print(f"{share:.2%} of users {tense} to another variant of [bold]{escape(router)}/{escape(route)}[/]")


def _weights(pairs: tuple[str, ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    for pair in pairs:
        variant, equals, weight = pair.partition("=")
        if not variant or not equals or not weight.isdecimal() or int(weight) > 100:
            raise Fail(f"{pair!r}: expected VARIANT=WEIGHT, with a weight from 0 to 100", code=2)
        found[variant] = int(weight)
    if not found:
        raise Fail("name the new weights: VARIANT=WEIGHT…", code=2)
    return found


def _route(router: Router, route_id: str) -> Route:
    routes = [rule.route for rule in router.routes]
    routes += [router.default_route] if router.HasField("default_route") else []
    for route in routes:
        if route.route_id == route_id:
            return route
    names = ", ".join(route.route_id for route in routes if route.route_id) or "none that has an id"
    raise Fail(f"the router {router.name!r} has no route {route_id!r}; it has {names}")


def _set_weights(route: Route, wanted: dict[str, int]) -> None:
    names = [weighted.variant.variant_id for weighted in route.variants]
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        raise Fail(f"the route {route.route_id!r} has no variant {unknown[0]!r}; it has {', '.join(names)}")
    left = 100 - sum(wanted.values())
    others = [weighted for weighted in route.variants if weighted.variant.variant_id not in wanted]
    if left < 0 or (left and not others):
        raise Fail(f"the weights must sum to 100; these sum to {100 - left}", code=2)
    shares = _shared([weighted.weight for weighted in others], left)
    for weighted, share in zip(others, shares, strict=True):
        weighted.weight = share
    for weighted in route.variants:
        weighted.weight = wanted.get(weighted.variant.variant_id, weighted.weight)


def _shared(weights: list[int], total: int) -> list[int]:
    """`total` in whole parts in the proportion of `weights`, or evenly when they are all 0; largest remainders first."""
    parts = weights if sum(weights) else [1] * len(weights)
    exact = [total * part / sum(parts) for part in parts] if parts else []
    whole = [int(value) for value in exact]
    order = sorted(range(len(exact)), key=lambda i: (whole[i] - exact[i], i))
    for index in order[: total - sum(whole)]:
        whole[index] += 1
    return whole


def _route_document(resource: Resource, route_id: str) -> RouteDocument:
    """The route of a router that has it."""
    document = to_document(resource)
    assert isinstance(document, RouterDocument), "a router was asked for"
    return next(route for route in routes_of(document) if route.route_id == route_id)
