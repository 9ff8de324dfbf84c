"""`PolicyService` over a real connection: every method, every scope, every error by its code."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from turnout.policy.v1 import policy_service_pb2 as pb
from turnout.policy.v1.policy_pb2 import Resource, ResourceName
from turnout.policy.v1.policy_service_pb2_grpc import PolicyServiceStub

from services.controlplane.app import ControlPlane, ControlPlaneSettings
from services.controlplane.store.etcd import EtcdOptions
from services.controlplane.store.memory import MemoryStore
from services.core.errors import (
    AlreadyExists,
    InUse,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    PolicyRejected,
    RouterError,
    StoreConflict,
    StoreUnavailable,
    Unauthenticated,
)
from services.runtime.clock import SystemClock
from services.runtime.keys import hash_key
from services.runtime.supervise import Background, Stop
from services.wire.document_form import read_form
from services.wire.status import from_rpc_error

ADMIN = (("authorization", "Bearer to-admin"),)
READER = (("x-api-key", "to-reader"),)


def resource(kind: str, name: str, etag: str = "", **more: Any) -> Resource:
    found, problems = read_form({"kind": kind, "name": name, **more})
    assert found is not None, problems
    found.etag = etag
    return found


OPENAI = resource("Provider", "openai", type="openai")
ALIAS = resource("Alias", "best", model="openai/gpt-5")
READER_KEY = resource("ApiKey", "reader", hash=hash_key("to-reader"), scopes=["read"])
RULES = resource(
    "Router",
    "rules",
    routes=[
        {
            "condition": {"cel_expression": 'tier == "premium" || messages.last().content == "special"'},
            "route": {"route_id": "premium", "variants": [{"weight": 100, "variant": {"model_id": "openai/gpt-5"}}]},
        }
    ],
)


class Plane:
    """A served control plane, called as administrators do."""

    def __init__(self, store: MemoryStore, stub: Any) -> None:
        self.store = store
        self._stub = stub

    async def __call__(self, method: str, request: Any, metadata: Any = ADMIN) -> Any:
        try:
            return await getattr(self._stub, method)(request, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error


@pytest.fixture
async def plane() -> AsyncIterator[Plane]:
    store = MemoryStore()
    settings = ControlPlaneSettings(EtcdOptions(("unused",)), "127.0.0.1:0", admin_key="to-admin", replica="a")
    background = Background(Stop())
    served = ControlPlane(store, settings, SystemClock())
    server = await served.start(background)
    await served.board.ready.wait()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield Plane(store, PolicyServiceStub(channel))
    served.publisher.stop()
    await server.stop(0.1)
    await background.cancel()


async def test_a_document_lives_from_create_to_delete(plane: Plane) -> None:
    created = await plane("CreateResource", pb.CreateResourceRequest(resource=OPENAI))
    assert created.etag == "1"
    name = ResourceName(kind="Provider", name="openai")
    assert await plane("GetResource", pb.GetResourceRequest(name=name)) == created
    changed = resource("Provider", "openai", etag="1", type="openai", labels={"a": "b"})
    assert (await plane("UpdateResource", pb.UpdateResourceRequest(resource=changed))).etag == "2"
    deleted = await plane("DeleteResource", pb.DeleteResourceRequest(name=name, etag="2"))
    assert deleted.revision == 3
    listing = await plane("ListResources", pb.ListResourcesRequest())
    assert (list(listing.resources), listing.revision) == ([], 3)


async def test_a_set_is_applied_and_each_change_told(plane: Plane) -> None:
    await plane("Apply", pb.ApplyRequest(resources=[OPENAI, ALIAS]))
    moved = resource("Alias", "best", model="openai/gpt-6")
    request = pb.ApplyRequest(resources=[OPENAI, moved, RULES, READER_KEY], dry_run=True)
    dry = await plane("Apply", request)
    request.dry_run = False
    answer = await plane("Apply", request)
    actions = [pb.Change.ACTION_UNCHANGED, pb.Change.ACTION_UPDATED, pb.Change.ACTION_CREATED, pb.Change.ACTION_CREATED]
    assert [c.action for c in answer.changes] == [c.action for c in dry.changes] == actions
    assert answer.changes[1].before.alias.model == "openai/gpt-5"
    assert answer.changes[1].after.etag == "2"
    gone = await plane("Apply", pb.ApplyRequest(delete=[ResourceName(kind="Alias", name="best")]))
    assert [(c.action, c.name.name) for c in gone.changes] == [(pb.Change.ACTION_DELETED, "best")]
    kinds = await plane("ListResources", pb.ListResourcesRequest(kind="Router"))
    assert [r.router.name for r in kinds.resources] == ["rules"]


@pytest.mark.parametrize(
    ("method", "request_", "error"),
    [
        ("GetResource", pb.GetResourceRequest(name=ResourceName(kind="Alias", name="no")), NotFound),
        ("GetResource", pb.GetResourceRequest(name=ResourceName(kind="Odd", name="no")), InvalidRequest),
        ("CreateResource", pb.CreateResourceRequest(resource=OPENAI), AlreadyExists),
        ("CreateResource", pb.CreateResourceRequest(), InvalidRequest),
        ("CreateResource", pb.CreateResourceRequest(resource=resource("Alias", "a", model="no/x")), PolicyRejected),
        ("UpdateResource", pb.UpdateResourceRequest(resource=resource("Alias", "new", model="openai/x")), NotFound),
        (
            "UpdateResource",
            pb.UpdateResourceRequest(resource=resource("Alias", "best", etag="9", model="openai/x")),
            StoreConflict,
        ),
        (
            "UpdateResource",
            pb.UpdateResourceRequest(resource=resource("Alias", "best", etag="x", model="openai/x")),
            InvalidRequest,
        ),
        (
            "UpdateResource",
            pb.UpdateResourceRequest(resource=resource("Alias", "best", etag="9" * 19, model="openai/x")),
            InvalidRequest,
        ),
        ("DeleteResource", pb.DeleteResourceRequest(name=ResourceName(kind="Provider", name="openai")), InUse),
        ("Apply", pb.ApplyRequest(resources=[Resource()]), InvalidRequest),
    ],
)
async def test_every_error_arrives_as_what_it_is(
    plane: Plane, method: str, request_: Any, error: type[RouterError]
) -> None:
    await plane("Apply", pb.ApplyRequest(resources=[OPENAI, ALIAS]))
    with pytest.raises(error) as caught:
        await plane(method, request_)
    assert type(caught.value) is error


READS = {
    "GetResource": pb.GetResourceRequest(name=ResourceName(kind="Provider", name="openai")),
    "ListResources": pb.ListResourcesRequest(),
    "Validate": pb.ValidateRequest(),
    "Simulate": pb.SimulateRequest(model="openai/gpt-5"),
    "ListNodes": pb.ListNodesRequest(),
}
WRITES = {
    "CreateResource": pb.CreateResourceRequest(resource=OPENAI),
    "UpdateResource": pb.UpdateResourceRequest(resource=OPENAI, allow_missing=True),
    "DeleteResource": pb.DeleteResourceRequest(),
    "Apply": pb.ApplyRequest(),
}


async def test_reads_are_for_readers_writes_for_administrators_and_nothing_for_others(plane: Plane) -> None:
    assert {m.name for m in pb.DESCRIPTOR.services_by_name["PolicyService"].methods} == {*READS, *WRITES}
    await plane("Apply", pb.ApplyRequest(resources=[OPENAI, READER_KEY]))
    # The board is a watch away from the store.
    while True:
        try:
            await plane("ListNodes", READS["ListNodes"], READER)
            break
        except Unauthenticated:
            continue
    for method, request in READS.items():
        await plane(method, request, READER)
    for method, request in {**READS, **WRITES}.items():
        with pytest.raises(Unauthenticated):
            await plane(method, request, ())
    for method, request in WRITES.items():
        with pytest.raises(PermissionDenied):
            await plane(method, request, READER)


async def test_a_store_that_is_away_is_told(plane: Plane) -> None:
    plane.store.available = False
    with pytest.raises(StoreUnavailable):
        await plane("ListResources", pb.ListResourcesRequest())


async def test_validation_answers_problems_and_refuses_nothing(plane: Plane) -> None:
    answer = await plane("Validate", pb.ValidateRequest(resources=[ALIAS]))
    assert [(p.resource.name, p.field) for p in answer.problems] == [("best", "model")]
    await plane("Apply", pb.ApplyRequest(resources=[OPENAI]))
    assert not (await plane("Validate", pb.ValidateRequest(resources=[ALIAS]))).problems
    assert (await plane("Validate", pb.ValidateRequest(resources=[ALIAS], alone=True))).problems


async def test_a_simulation_decides_as_a_worker_would_and_says_why(plane: Plane) -> None:
    await plane("Apply", pb.ApplyRequest(resources=[OPENAI, RULES]))
    request = pb.SimulateRequest(model="inworld/rules", seed=7)
    refused = await plane("Simulate", request)
    assert refused.no_route.startswith("No route matched")
    request.facts.metadata.update({"tier": "premium"})
    chosen = await plane("Simulate", request)
    assert (chosen.router_id, chosen.route_id, list(chosen.candidates)) == ("rules", "premium", ["openai/gpt-5"])
    assert any("is true" in reason for reason in chosen.reasons)
    assert chosen.policy_version
    body = b'{"model":"inworld/rules","messages":[{"role":"user","content":[{"type":"text","text":"special"}]}]}'
    by_message = await plane("Simulate", pb.SimulateRequest(body=body))
    assert by_message.route_id == "premium"


async def test_a_simulation_has_each_part_of_the_decision_in_a_field_of_its_own(plane: Plane) -> None:
    documents = [
        resource("Provider", "eu", type="openai_compatible", base_url="https://eu.example.com/v1"),
        resource("Provider", "us", type="openai_compatible", base_url="https://us.example.com/v1"),
        resource("Model", "eu/dear", prices={"input_per_million": 4.0, "output_per_million": 8.0}),
        resource("Model", "us/cheap", prices={"input_per_million": 1.0, "output_per_million": 2.0}),
        resource("Model", "us/deaf", capabilities={"tools": False}),
        resource(
            "Router",
            "sorts",
            routes=[
                {
                    "condition": {"cel_expression": 'tier == "premium"'},
                    "route": {
                        "route_id": "premium",
                        "variants": [
                            {
                                "weight": weight,
                                "variant": {
                                    "variant_id": name,
                                    "model_id": "eu/dear",
                                    "model_selection": {
                                        "models": ["us/cheap", "us/deaf"],
                                        "sort": [{"metric": "latency"}, {"metric": "price"}],
                                    },
                                },
                            }
                            for name, weight in (("a", 50), ("b", 50))
                        ],
                    },
                }
            ],
        ),
    ]
    await plane("Apply", pb.ApplyRequest(resources=documents))
    request = pb.SimulateRequest(
        model="inworld/sorts", user="ann", body=b'{"model":"inworld/sorts","tools":[{"type":"function"}]}'
    )
    request.facts.metadata.update({"tier": "premium"})
    answer = await plane("Simulate", request)
    assert (answer.condition, answer.unit, answer.exposed) == ('tier == "premium"', "user", True)
    assert 0 <= answer.slot < 10_000
    scores = {s.model: [(t.metric, t.ascending, t.HasField("value"), t.value) for t in s.terms] for s in answer.scores}
    assert scores == {
        "eu/dear": [("latency", True, False, 0.0), ("price", True, True, 5.0)],
        "us/cheap": [("latency", True, False, 0.0), ("price", True, True, 1.25)],
    }
    assert [(s.model, s.why) for s in answer.skipped] == [("us/deaf", "it cannot call tools")]
    assert any(told.startswith("latency: ") for told in answer.unknown)
    direct = await plane("Simulate", pb.SimulateRequest(model="us/cheap"))
    assert (direct.HasField("slot"), direct.condition, list(direct.scores)) == (False, "", [])


async def test_a_simulation_can_try_what_is_not_written_yet(plane: Plane) -> None:
    await plane("Apply", pb.ApplyRequest(resources=[OPENAI]))
    answer = await plane("Simulate", pb.SimulateRequest(model="best", overlay=[ALIAS]))
    assert list(answer.candidates) == ["openai/gpt-5"]
    with pytest.raises(PolicyRejected):
        await plane("Simulate", pb.SimulateRequest(model="x", overlay=[resource("Alias", "a", model="no/x")]))
    assert (await plane("ListResources", pb.ListResourcesRequest(kind="Alias"))).resources == []


async def test_a_simulation_can_go_without_what_would_be_deleted(plane: Plane) -> None:
    await plane("Apply", pb.ApplyRequest(resources=[OPENAI, ALIAS]))
    without = pb.SimulateRequest(model="best", delete=[ResourceName(kind="Alias", name="best")])
    assert "best" in (await plane("Simulate", without)).no_route
    with pytest.raises(PolicyRejected, match="openai"):
        await plane("Simulate", pb.SimulateRequest(model="best", delete=[ResourceName(kind="Provider", name="openai")]))


async def test_a_simulation_of_other_weights_moves_the_users_that_a_write_would_move(plane: Plane) -> None:
    def split(*weights: int) -> Resource:
        variants = [
            {"weight": weight, "variant": {"variant_id": name, "model_id": "openai/gpt-5"}}
            for name, weight in zip("abc", weights, strict=True)
        ]
        return resource("Router", "r", default_route={"route_id": "d", "variants": variants})

    async def drawn(*overlay: Resource) -> list[str]:
        asked = [pb.SimulateRequest(model="inworld/r", user=f"u{n}", overlay=overlay) for n in range(200)]
        return [(await plane("Simulate", one)).variant_id for one in asked]

    await plane("Apply", pb.ApplyRequest(resources=[OPENAI, split(40, 40, 20)]))
    simulated = await drawn(split(20, 40, 40))
    await plane("Apply", pb.ApplyRequest(resources=[split(20, 40, 40)]))
    assert simulated == await drawn()


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"model":5}'])
async def test_a_simulated_body_that_cannot_be_read_is_the_callers_fault(plane: Plane, body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        await plane("Simulate", pb.SimulateRequest(body=body))
