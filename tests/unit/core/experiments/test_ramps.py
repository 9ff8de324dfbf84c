"""What becomes of a router's slots when its weights change."""

from __future__ import annotations

from dataclasses import replace

from services.core.experiments.ramps import moved, with_slots
from services.core.policy.documents import ConditionalRoute, Route, Router, Variant, WeightedVariant


def route(route_id: str = "d", slots: tuple[str, ...] = (), **weights: int) -> Route:
    variants = tuple(WeightedVariant(w, Variant(variant_id=n, model_id="openai/x")) for n, w in weights.items())
    return Route(route_id, variants, slots=slots)


def router(*, default: Route, rule: Route | None = None) -> Router:
    routes = (ConditionalRoute(route=rule),) if rule is not None else ()
    return Router(name="r", routes=routes, default_route=default)


def test_a_router_that_is_new_or_unchanged_needs_no_slots() -> None:
    first = router(default=route(a=90, b=10))
    assert with_slots(first, None) == first
    assert with_slots(first, first) == first


def test_a_ramp_writes_what_it_moves_and_going_back_writes_nothing() -> None:
    first = router(default=route(a=80, b=10, c=10))
    second = with_slots(router(default=route(a=70, b=20, c=10)), first)
    assert second.default_route is not None
    assert second.default_route.slots == ("0-6999=a", "7000-8999=b", "9000-9999=c")
    assert second.default_route.former_slots == ("7000-7999=a",)
    third = with_slots(router(default=route(a=70, b=10, c=20)), second)
    assert third.default_route is not None
    assert third.default_route.slots == ("0-6999=a", "7000-7999=b", "8000-9999=c"), "only from b to c"
    again = with_slots(router(default=route(a=80, b=10, c=10)), second)
    assert again.default_route is not None
    assert again.default_route.slots == ("0-7999=a", "8000-8999=b", "9000-9999=c")


def test_a_variant_that_is_taken_out_and_put_in_again_gets_its_users_back() -> None:
    first = router(default=route(a=50, b=30, c=20))
    without = with_slots(router(default=route(a=60, c=40)), first)
    back = with_slots(router(default=route(a=50, b=30, c=20)), without)
    assert back.default_route is not None
    assert moved(first.default_route, back.default_route) == 0.0


def test_routes_are_told_apart_by_their_id() -> None:
    first = router(default=route("d", a=50, b=50), rule=route("x", a=50, b=50))
    changed = router(default=route("x", a=60, b=40), rule=route("new", a=60, b=40))
    found = with_slots(changed, first)
    assert found.default_route is not None
    assert found.default_route.slots == ("0-4999=a", "5000-8999=b", "9000-9999=a"), "it goes on from route x"
    assert found.routes[0].route is not None
    assert found.routes[0].route.slots == ()


def test_what_the_checks_will_refuse_is_left_as_it_is() -> None:
    first = router(default=route(a=50, b=50))
    for bad in (route(a=50, b=40), route("d", ("nonsense",), a=50, b=50), replace(route(a=100), variants=())):
        assert with_slots(router(default=bad), None) == router(default=bad)
    unnamed = Route("d", (WeightedVariant(50, Variant(model_id="m/x")), WeightedVariant(50, Variant(model_id="m/y"))))
    assert with_slots(router(default=unnamed), first) == router(default=unnamed)


def test_how_many_move() -> None:
    assert moved(route(a=90, b=10), route(a=80, b=20)) == 0.1
    assert moved(None, route(a=80, b=20)) == 0.0
