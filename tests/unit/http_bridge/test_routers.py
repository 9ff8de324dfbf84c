"""`/router/v1/routers` over a real control plane with a store in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from services.controlplane.app import ControlPlane, ControlPlaneSettings
from services.controlplane.store.etcd import EtcdOptions
from services.controlplane.store.memory import MemoryStore
from services.core.policy.documents import ApiKey, Provider, key_of
from services.runtime.clock import SystemClock
from services.runtime.keys import hash_key
from services.runtime.supervise import Background, Stop
from tests.unit.http_bridge.fakes import Rig, json_of, rig

ADMIN = {"authorization": "Bearer to-admin"}
READER = {"x_api_key": "to-reader"}
ROUTERS = "/router/v1/routers"


def router(name: str = "r", model: str = "openai/gpt-5", **more: Any) -> dict[str, Any]:
    variants = [{"weight": 100, "variant": {"variant_id": "v", "model_id": model}}]
    return {"name": name, "defaultRoute": {"route_id": "d", "variants": variants}, **more}


@pytest.fixture
async def found() -> AsyncIterator[Rig]:
    store = MemoryStore()
    documents = (
        Provider(name="openai", type="openai"),
        ApiKey("reader", hash_key("to-reader"), ("read",)),
        ApiKey("caller", hash_key("to-caller"), ("inference",)),
    )
    await store.write({key_of(d): d for d in documents}, (), expected={}, generation=0)
    settings = ControlPlaneSettings(EtcdOptions(("unused",)), "127.0.0.1:0", admin_key="to-admin", replica="a")
    background = Background(Stop())
    plane = ControlPlane(store, settings, SystemClock())
    server = await plane.start(background)
    await plane.board.ready.wait()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield rig(channel)
    plane.publisher.stop()
    await server.stop(0.1)
    await background.cancel()


async def test_a_router_lives_from_create_to_delete(found: Rig) -> None:
    created = await found.call("POST", ROUTERS, router(displayName="My R"), headers=ADMIN)
    operation = json_of(created)
    assert created.status == 200
    assert operation["done"] is True
    assert operation["response"]["displayName"] == "My R"
    assert operation["metadata"]["@type"].endswith("CreateRouterMetadata")

    polled = json_of(await found.call("GET", f"/lro/v1alpha/{operation['name']}", headers=READER))
    assert polled == {"name": operation["name"], "done": True, "response": operation["response"]}

    got = await found.call("GET", f"{ROUTERS}/r", headers=READER)
    assert json_of(got) == operation["response"]
    etag = got.headers["etag"]

    patched = await found.call(
        "PATCH", f"{ROUTERS}/r", {"displayName": "New"}, headers=ADMIN, query={"update_mask": "displayName"}
    )
    assert json_of(patched)["response"]["displayName"] == "New"
    assert json_of(patched)["response"]["defaultRoute"] == operation["response"]["defaultRoute"]

    stale = await found.call("PATCH", f"{ROUTERS}/r", router(), headers={**ADMIN, "if_match": etag})
    assert (stale.status, json_of(stale)["code"]) == (409, 10)

    deleted = await found.call("DELETE", f"{ROUTERS}/r", headers=ADMIN)
    assert (deleted.status, json_of(deleted)) == (200, {})
    assert (await found.call("GET", f"{ROUTERS}/r", headers=READER)).status == 404


async def test_a_name_is_derived_and_a_taken_one_is_told(found: Rig) -> None:
    form = router()
    del form["name"]
    form["displayName"] = "User-Aware"
    assert json_of(await found.call("POST", ROUTERS, form, headers=ADMIN))["response"]["name"] == "user-aware"
    again = await found.call("POST", ROUTERS, form, headers=ADMIN)
    assert (again.status, json_of(again)["code"]) == (409, 6)


async def test_unknown_fields_are_reported_in_the_operation(found: Rig) -> None:
    operation = json_of(await found.call("POST", ROUTERS, router(web_search={"engine": "exa"}), headers=ADMIN))
    assert operation["metadata"]["warnings"] == ["Router/r web_search: unknown field"]


async def test_a_router_that_cannot_work_is_refused_with_every_problem(found: Rig) -> None:
    bad = router(model="nobody/x")
    bad["defaultRoute"]["variants"][0]["weight"] = 99
    response = await found.call("POST", ROUTERS, bad, headers=ADMIN)
    assert response.status == 400
    violations = next(d["fieldViolations"] for d in json_of(response)["details"] if "fieldViolations" in d)
    assert {v["field"] for v in violations} == {
        "Router/r:default_route.variants",
        "Router/r:default_route.variants[0].variant.model_id",
    }


async def test_lists_come_in_pages(found: Rig) -> None:
    for name in ("a", "b", "c"):
        await found.call("POST", ROUTERS, router(name), headers=ADMIN)
    first = json_of(await found.call("GET", ROUTERS, headers=READER, query={"page_size": "2"}))
    assert [r["name"] for r in first["routers"]] == ["a", "b"]
    query = {"pageSize": "2", "pageToken": first["nextPageToken"]}
    second = json_of(await found.call("GET", ROUTERS, headers=READER, query=query))
    assert [r["name"] for r in second["routers"]] == ["c"]
    assert "nextPageToken" not in second


@pytest.mark.parametrize("query", [{"page_size": "0"}, {"page_size": "many"}, {"page_token": "é"}, {"page_token": "x"}])
async def test_a_bad_page_is_the_callers_fault(found: Rig, query: dict[str, str]) -> None:
    response = await found.call("GET", ROUTERS, headers=READER, query=query)
    assert (response.status, json_of(response)["code"]) == (400, 3)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", ROUTERS, {}, 401),
        ("GET", ROUTERS, {"authorization": "Bearer to-unknown"}, 401),
        ("GET", ROUTERS, {"authorization": "Bearer to-caller"}, 403),
        ("POST", ROUTERS, READER, 403),
        ("DELETE", f"{ROUTERS}/r", READER, 403),
    ],
)
async def test_each_scope_may_do_its_own(
    found: Rig, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    assert (await found.call(method, path, router(), headers=headers)).status == status


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff"])
async def test_a_body_that_is_no_object_is_the_callers_fault(found: Rig, body: bytes) -> None:
    response = await found.call("POST", ROUTERS, body, headers=ADMIN)
    assert (response.status, json_of(response)["code"]) == (400, 3)


async def test_a_body_that_is_too_large_is_refused(found: Rig) -> None:
    assert (await found.call("POST", ROUTERS, b"", headers=ADMIN, too_large=True)).status == 400


async def test_a_control_plane_that_is_away_harms_nobody_and_is_told_truly() -> None:
    response = await rig().call("GET", ROUTERS, headers=READER)
    assert response.status == 503
    assert json_of(response)["message"] == "the control plane cannot be reached; traffic is served as before"
