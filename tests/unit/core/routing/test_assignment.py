"""The assignment of requests to variants: units, layers, holdouts, golden slots."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import yaml

from services.core.policy.snapshot import CompiledRoute, Snapshot
from services.core.routing.assign import SLOTS
from services.core.routing.assignment import assigned, unit_of, variant_at
from services.core.routing.context import RequestContext
from tests.support import policies


def variants(**weights: int) -> list[dict[str, Any]]:
    return [{"weight": w, "variant": {"variant_id": n, "model_id": "openai/gpt-5"}} for n, w in weights.items()]


def router(name: str, weights: dict[str, int], **route: Any) -> dict[str, Any]:
    return {
        "kind": "Router",
        "name": name,
        "default_route": {"route_id": "d", "variants": variants(**weights), **route},
    }


def snapshot_of(*routers: dict[str, Any]) -> Snapshot:
    return policies.snapshot_of(yaml.safe_dump([{"kind": "Provider", "name": "openai", "type": "openai"}, *routers]))


def route_of(snapshot: Snapshot, name: str) -> CompiledRoute:
    route = snapshot.routers[name].default_route
    assert route is not None
    return route


def user(number: int) -> RequestContext:
    return RequestContext("inworld/r", user=f"user-{number}")


def test_slots_are_shared_out_by_weight_in_written_order() -> None:
    route = route_of(snapshot_of(router("r", {"a": 0, "b": 9, "c": 0, "d": 1, "e": 90})), "r")
    found = [variant_at(route, slot).variant_id for slot in (0, 899, 900, 999, 1_000, SLOTS - 1)]
    assert found == ["b", "b", "d", "d", "e", "e"]


def test_slots_that_the_control_plane_wrote_are_followed() -> None:
    slots = ["0-4999=a", "5000-5999=b", "6000-9999=a"]
    route = route_of(snapshot_of(router("r", {"a": 90, "b": 10}, slots=slots)), "r")
    assert [variant_at(route, s).variant_id for s in (4_999, 5_000, 5_999, 6_000)] == ["a", "b", "b", "a"]


def test_an_assignment_is_the_same_in_every_process_and_release() -> None:
    route = route_of(snapshot_of(router("r", {"a": 50, "b": 50})), "r")
    found = [assigned(route, RequestContext("m", user=u), 0) for u in ("ada", "Zoë", "user-42")]
    assert [(f.slot, f.variant.variant_id, f.exposed) for f in found] == GOLDEN


GOLDEN = [(4955, "a", True), (1032, "a", True), (5914, "b", True)]


@pytest.mark.parametrize(
    ("kind", "context", "unit"),
    [
        ("user", RequestContext("m", user="ada", session="s"), "ada"),
        ("session", RequestContext("m", user="ada", session="s"), "s"),
        ("metadata.team", RequestContext("m", metadata={"team": "red"}), "red"),
        ("metadata.team", RequestContext("m", metadata={"team": 7}), "7"),
        ("metadata.team", RequestContext("m", metadata={"team": True}), "true"),
        ("metadata.team", RequestContext("m", metadata={"team": ["red"]}), ""),
        ("metadata.team", RequestContext("m", user="ada"), ""),
    ],
)
def test_units(kind: str, context: RequestContext, unit: str) -> None:
    assert unit_of(kind, context) == unit


def test_a_request_without_the_unit_draws_and_is_in_no_experiment() -> None:
    route = route_of(snapshot_of(router("r", {"a": 50, "b": 50}, experiment={"unit": "metadata.team"})), "r")
    found = assigned(route, user(1), 7)
    assert (found.unit, found.exposed) == ("", False)
    assert {assigned(route, user(1), seed).variant.variant_id for seed in range(50)} == {"a", "b"}


def test_experiments_of_one_layer_never_share_a_user() -> None:
    snapshot = snapshot_of(
        router("one", {"a": 50, "b": 50}, experiment={"layer": "checkout", "last_slot": 4999}),
        router("two", {"a": 50, "b": 50}, experiment={"layer": "checkout", "first_slot": 5000, "control": "b"}),
    )
    counts: Counter[tuple[bool, bool]] = Counter()
    for number in range(2_000):
        found = [assigned(route_of(snapshot, name), user(number), 0) for name in ("one", "two")]
        counts[found[0].exposed, found[1].exposed] += 1
        outside = [f.variant.variant_id for f in found if not f.exposed]
        assert outside in (["a"], ["b"]), "the control of the experiment that it is not in"
    assert set(counts) == {(True, False), (False, True)}
    assert 900 < counts[True, False] < 1_100


def test_who_is_held_out_of_one_experiment_is_held_out_of_all_and_gets_the_control() -> None:
    snapshot = snapshot_of(
        router("one", {"a": 50, "b": 50}, experiment={"holdout": 10.0}),
        router("two", {"a": 50, "b": 50}, experiment={"holdout": 10.0, "control": "b"}),
    )
    held = 0
    for number in range(4_000):
        one, two = (assigned(route_of(snapshot, name), user(number), 0) for name in ("one", "two"))
        assert one.exposed == two.exposed
        if not one.exposed:
            held += 1
            assert (one.variant.variant_id, two.variant.variant_id) == ("a", "b")
    assert 0.08 < held / 4_000 < 0.12


def test_a_salt_of_its_own_reshuffles_and_a_shared_one_does_not() -> None:
    snapshot = snapshot_of(
        router("one", {"a": 50, "b": 50}, experiment={"salt": "s"}),
        router("two", {"a": 50, "b": 50}, experiment={"salt": "s"}),
        router("three", {"a": 50, "b": 50}),
    )
    same = [[assigned(route_of(snapshot, n), user(i), 0).slot for i in range(50)] for n in ("one", "two", "three")]
    assert same[0] == same[1] != same[2]
