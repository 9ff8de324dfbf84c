"""The health of all workers, by target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from google.protobuf.timestamp_pb2 import Timestamp
from turnout.health.v1.health_pb2 import TargetHealth, TargetState
from turnout.health.v1.health_service_pb2 import ListTargetHealthResponse

from services.core.errors import Overloaded, PolicyNotReady, RouterError
from services.http_bridge.backend import InferenceBackend
from services.http_bridge.health import HealthRoutes, aggregated
from services.http_bridge.http import Request

OPEN, CLOSED = TargetState.TARGET_STATE_OPEN, TargetState.TARGET_STATE_CLOSED


def answer(node_id: str, *targets: TargetHealth) -> ListTargetHealthResponse:
    return ListTargetHealthResponse(node_id=node_id, targets=targets)


def target(name: str, state: TargetState.ValueType, **more: object) -> TargetHealth:
    return TargetHealth(name=name, provider="one", model=name, state=state, share=1.0, **more)  # type: ignore[arg-type]


def test_a_target_is_listed_once_with_what_every_worker_says() -> None:
    until = Timestamp(seconds=1_800_000_000)
    shut = target("one/b", OPEN, until=until, why="SERVER_ERROR", consecutive_failures=5)
    found = aggregated(
        {
            "10.0.0.1:7011": answer("w1", target("one/a", CLOSED, first_content_p50_ms=12.5), target("one/b", CLOSED)),
            "10.0.0.2:7011": answer("w2", shut),
            "10.0.0.3:7011": Overloaded("the worker cannot be reached"),
        }
    )
    first, second = found["targets"]
    assert (first["name"], first["set_aside"], second["name"], second["set_aside"]) == ("one/b", True, "one/a", False)
    assert first["workers"] == [
        {"node_id": "w1", "state": "closed", "why": "", "share": 1.0, "consecutive_failures": 0, "in_flight": 0},
        {
            "node_id": "w2",
            "state": "open",
            "until": "2027-01-15T08:00:00Z",
            "why": "SERVER_ERROR",
            "share": 1.0,
            "consecutive_failures": 5,
            "in_flight": 0,
        },
    ]
    assert second["workers"][0]["first_content_p50_ms"] == 12.5
    assert "first_content_p95_ms" not in second["workers"][0], "what is not known is left out"
    assert found["workers"] == [
        {"worker": "10.0.0.1:7011", "node_id": "w1"},
        {"worker": "10.0.0.2:7011", "node_id": "w2"},
        {"worker": "10.0.0.3:7011", "error": "the worker cannot be reached"},
    ]


def test_a_target_says_only_what_it_has() -> None:
    (found,) = aggregated({"w": answer("w", target("one/a", CLOSED))})["targets"]
    assert set(found) == {"name", "provider", "model", "set_aside", "workers"}


async def test_when_no_worker_lists_its_targets_the_caller_is_told_what_is_the_matter() -> None:
    class WithoutPolicy:
        async def target_health(self, headers: Mapping[str, str]) -> Mapping[str, RouterError]:
            del headers
            return {"10.0.0.1:7011": PolicyNotReady("this worker has no policy yet")}

        async def why_not_ready(self) -> RouterError:
            return PolicyNotReady("no data-plane worker has a policy yet", retry_after=1.0)

    response = await HealthRoutes(cast("InferenceBackend", WithoutPolicy())).get(
        Request("GET", "/admin/v1/health", {}, {}, b""), {}
    )
    assert response.status == 503
    assert b"has a policy yet" in response.body
