"""Routers in the shape of the Inworld API: both spellings in, its own spelling out, and field masks."""

from __future__ import annotations

from typing import Any

import pytest
from turnout.policy.v1.policy_pb2 import Router

from services.core.errors import InvalidRequest, PolicyRejected
from services.http_bridge.router_form import masked, read_router, router_form


def variant(model: str, *, camel: bool = False) -> dict[str, Any]:
    inner = {"variantId": "v", "modelId": model} if camel else {"variant_id": "v", "model_id": model}
    return {"weight": 100, "variant": inner}


SNAKE = {
    "name": "user-aware",
    "display_name": "User-Aware",
    "routes": [
        {
            "condition": {"cel_expression": 'tier == "x"'},
            "route": {"route_id": "a", "variants": [variant("openai/gpt-5")]},
        }
    ],
    "default_route": {"route_id": "d", "variants": [variant("openai/gpt-5-mini")]},
    "defaults": {"message_templates": [{"role": "system", "content": "hi"}], "text_generation_config": {"top_p": 0.5}},
    "clocks": {"first_content": "800ms"},
}
CAMEL = {
    "name": "user-aware",
    "displayName": "User-Aware",
    "routes": [
        {
            "condition": {"celExpression": 'tier == "x"'},
            "route": {"routeId": "a", "variants": [variant("openai/gpt-5", camel=True)]},
        }
    ],
    "defaultRoute": {"routeId": "d", "variants": [variant("openai/gpt-5-mini", camel=True)]},
    "defaults": {"messageTemplates": [{"role": "system", "content": "hi"}], "textGenerationConfig": {"topP": 0.5}},
    "clocks": {"firstContent": "800ms"},
}


def read(form: Any, **more: Any) -> Router:
    resource, warnings = read_router(form, **more)
    assert warnings == []
    return resource.router


def test_both_spellings_are_the_same_router_and_are_written_in_inworlds_own() -> None:
    router = read(SNAKE)
    assert read(CAMEL) == router
    shown = router_form(router)
    assert set(shown) == {"name", "displayName", "routes", "defaultRoute", "defaults", "clocks"}
    assert shown["defaultRoute"] == SNAKE["default_route"]
    assert shown["routes"] == SNAKE["routes"]
    assert read(shown) == router


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ({"displayName": "User-Aware"}, "user-aware"),
        ({"display_name": "Größe & Co 7!"}, "gr-e-co-7"),
        ({"name": "routers/example-router"}, "example-router"),
        ({"router": {"name": "wrapped"}}, "wrapped"),
        ({"name": "mine", "displayName": "Yours"}, "mine"),
    ],
)
def test_the_name_is_taken_from_where_it_is(form: dict[str, Any], name: str) -> None:
    assert read(form).name == name


def test_the_name_of_the_path_wins() -> None:
    assert read({"name": "other", "displayName": "X"}, name="mine").name == "mine"


def test_unknown_fields_are_accepted_and_reported() -> None:
    form = {"name": "r", "odd": {"aggressiveness": 0.7}}
    resource, warnings = read_router(form)
    assert resource.router.name == "r"
    assert warnings == ["Router/r odd: unknown field"]


def test_compression_of_a_variant_is_accepted_and_the_loss_is_told() -> None:
    variant = {"variant_id": "v", "model_id": "openai/gpt-5", "compression": {"aggressiveness": 0.7}}
    route = {"route_id": "d", "variants": [{"variant": variant, "weight": 100}]}
    resource, warnings = read_router({"name": "r", "defaultRoute": route})
    assert resource.router.default_route.variants[0].variant.variant_id == "v"
    where = "defaultRoute.variants[0].variant.compression"
    assert warnings == [f"Router/r {where}: dropped: no provider compresses prompts"]


def test_wrong_fields_are_refused_all_at_once() -> None:
    with pytest.raises(PolicyRejected) as caught:
        read_router({"name": "r", "routes": "x", "default_route": []})
    assert {p.field for p in caught.value.problems} == {"routes", "default_route"}


@pytest.mark.parametrize("form", [None, [], "x", 5])
def test_what_is_no_object_is_refused(form: Any) -> None:
    with pytest.raises(InvalidRequest):
        read_router(form)


CURRENT = read(SNAKE)
UPDATE = read({"name": "other", "displayName": "New", "defaultRoute": {"routeId": "n", "variants": [variant("a/b")]}})


def test_without_a_mask_everything_is_replaced_but_the_name() -> None:
    result = masked(CURRENT, UPDATE, "")
    expected = Router()
    expected.CopyFrom(UPDATE)
    expected.name = "user-aware"
    assert result == expected
    assert masked(CURRENT, UPDATE, "  ") == expected


@pytest.mark.parametrize("mask", ["display_name", "displayName", " displayName ", "displayName,display_name"])
def test_a_mask_replaces_what_it_names_in_either_spelling(mask: str) -> None:
    result = masked(CURRENT, UPDATE, mask)
    assert result.display_name == "New"
    assert result.default_route == CURRENT.default_route
    assert result.routes == CURRENT.routes


def test_a_mask_over_a_field_that_the_update_lacks_clears_it() -> None:
    result = masked(CURRENT, UPDATE, "routes,defaults,clocks")
    assert not result.routes
    assert not result.HasField("defaults")
    assert not result.HasField("clocks")
    assert result.display_name == "User-Aware"


FULL = read(
    {
        **SNAKE,
        "retry": {"max_retries": 1},
        "hedge": {"enabled": True},
        "commit_after": {"tokens": 3},
        "recovery": "seamless",
        "on_exhausted": {"mode": "queue"},
        "metadata": {"team": "a"},
    }
)


@pytest.mark.parametrize("field", [f.name for f in Router.DESCRIPTOR.fields if f.name != "name"])
def test_a_mask_may_name_every_field_of_routers(field: str) -> None:
    bare = Router(name="user-aware")
    kept = {f.name for f, _ in FULL.ListFields()}
    assert field in kept, "the example has all fields"
    assert {f.name for f, _ in masked(FULL, bare, field).ListFields()} == kept - {field}
    taken = masked(bare, FULL, field)
    assert {f.name for f, _ in taken.ListFields()} == {"name", field}
    assert getattr(taken, field) == getattr(FULL, field)


def test_a_mask_with_a_deeper_path_replaces_the_field_that_holds_it() -> None:
    assert masked(CURRENT, UPDATE, "default_route.variants").default_route == UPDATE.default_route


@pytest.mark.parametrize("mask", ["name", "colour", "routes,colour", "*"])
def test_a_mask_over_no_field_of_routers_is_refused(mask: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        masked(CURRENT, UPDATE, mask)
    assert caught.value.param == "update_mask"
