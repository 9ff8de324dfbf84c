"""The application: paths that exist, paths that do not, health, metrics, models in every client's shape."""

from __future__ import annotations

import pytest
from turnout.inference.v1.inference_service_pb2 import ModelInfo

from services.core.errors import Unauthenticated
from services.http_bridge.http import Response
from tests.unit.http_bridge.fakes import json_of, rig


async def test_an_unknown_path_is_told_in_the_words_of_its_neighbours() -> None:
    found = rig()
    assert json_of(await found.call("GET", "/nowhere"))["error"]["code"] == "unknown_url"
    assert json_of(await found.call("GET", "/v1/messages/x"))["type"] == "error"
    assert json_of(await found.call("GET", "/router/v1/x"))["code"] == 5
    assert (await found.call("GET", "/nowhere")).status == 404


async def test_a_wrong_method_names_the_right_ones() -> None:
    response = await rig().call("GET", "/v1/chat/completions")
    assert response.status == 405
    assert response.headers["allow"] == "POST"


async def test_alive_is_always_and_ready_is_when_requests_can_be_served() -> None:
    found = rig()
    assert (await found.call("GET", "/healthz")).status == 200
    assert json_of(await found.call("GET", "/readyz")) == {"status": "ready"}
    found.backend.is_ready = False
    response = await found.call("GET", "/readyz")
    assert (response.status, json_of(response)) == (503, {"status": "no worker has a policy yet"})
    found.backend.is_ready = True
    found.bridge.draining = True
    response = await found.call("HEAD", "/readyz")
    assert (response.status, json_of(response)) == (503, {"status": "draining"})
    assert (await found.call("GET", "/healthz")).status == 200


async def test_metrics_are_prometheus_text() -> None:
    response = await rig().call("GET", "/metrics")
    assert isinstance(response, Response)
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b"# TYPE turnout_http_requests_total counter" in response.body


PRICED = ModelInfo(
    id="openai/gpt-5",
    owned_by="openai",
    display_name="GPT-5",
    context_length=400_000,
    input_price=1.25e-6,
    output_price=1e-5,
)
ROUTER = ModelInfo(id="inworld/r", owned_by="router", display_name="R")


async def test_models_are_listed_as_openai_and_openrouter_clients_read_them() -> None:
    found = rig()
    found.backend.models = [ROUTER, PRICED]
    body = json_of(await found.call("GET", "/v1/models"))
    assert body == json_of(await found.call("GET", "/api/v1/models"))
    assert body["object"] == "list"
    assert body["data"] == [
        {"id": "inworld/r", "object": "model", "created": 0, "owned_by": "router", "name": "R"},
        {
            "id": "openai/gpt-5",
            "object": "model",
            "created": 0,
            "owned_by": "openai",
            "name": "GPT-5",
            "context_length": 400_000,
            "pricing": {"prompt": "0.00000125", "completion": "0.00001"},
        },
    ]


async def test_models_are_listed_as_anthropics_clients_read_them() -> None:
    found = rig()
    found.backend.models = [ROUTER, PRICED]
    body = json_of(await found.call("GET", "/v1/models", headers={"anthropic_version": "2023-06-01"}))
    assert (body["first_id"], body["last_id"], body["has_more"]) == ("inworld/r", "openai/gpt-5", False)
    assert body["data"][1] == {
        "type": "model",
        "id": "openai/gpt-5",
        "display_name": "GPT-5",
        "created_at": "1970-01-01T00:00:00Z",
    }
    found.backend.models = []
    body = json_of(await found.call("GET", "/v1/models", headers={"anthropic_version": "2023-06-01"}))
    assert (body["data"], body["first_id"]) == ([], None)


async def test_one_model_is_found_by_its_id_with_slashes() -> None:
    found = rig()
    found.backend.models = [PRICED]
    assert json_of(await found.call("GET", "/v1/models/openai/gpt-5"))["id"] == "openai/gpt-5"
    anthropic = await found.call("GET", "/v1/models/openai/gpt-5", headers={"anthropic_version": "x"})
    assert json_of(anthropic)["type"] == "model"
    missing = await found.call("GET", "/v1/models/openai/gpt-6")
    assert (missing.status, json_of(missing)["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/x"])
async def test_models_are_for_keys_that_may_see_them(path: str) -> None:
    found = rig()
    found.backend.error = Unauthenticated("no key")
    assert (await found.call("GET", path)).status == 401


async def test_a_price_of_nothing_is_nought() -> None:
    found = rig()
    found.backend.models = [ModelInfo(id="free/m", input_price=0.0, output_price=0.0)]
    assert json_of(await found.call("GET", "/v1/models"))["data"][0]["pricing"] == {"prompt": "0", "completion": "0"}
