"""The application: paths that exist, paths that do not, health, metrics."""

from __future__ import annotations

import pytest

from services.http_bridge.http import Response
from tests.unit.http_bridge.fakes import json_of, rig


async def test_an_unknown_path_is_told_in_the_words_of_its_neighbours() -> None:
    found = rig()
    assert json_of(await found.call("GET", "/nowhere"))["error"]["code"] == "unknown_url"
    assert json_of(await found.call("GET", "/v1/messages/x"))["type"] == "error"
    assert json_of(await found.call("GET", "/router/v1/x"))["code"] == 5
    assert (await found.call("GET", "/nowhere")).status == 404


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/chat/completions", "did you mean /v1/chat/completions? Then your client's base URL has to end in /v1"),
        ("/v1/v1/messages", "did you mean /v1/messages? Then your client's base URL must not end in /v1"),
        ("/v1/chat/completion", "did you mean /v1/chat/completions?"),
        ("/nowhere", "see /v1/models for what can be called"),
    ],
)
async def test_an_unknown_path_says_how_to_mend_the_base_url(path: str, told: str) -> None:
    response = await rig().call("POST", path)
    assert response.status == 404
    assert json_of(response)["error"]["message"] == f"there is no {path} here; {told}"
    assert json_of(response).get("type", "openai") == ("error" if "messages" in path else "openai")


async def test_a_wrong_method_names_the_right_ones() -> None:
    response = await rig().call("GET", "/v1/chat/completions")
    assert response.status == 405
    assert response.headers["allow"] == "POST"


async def test_alive_is_always_and_ready_is_when_requests_can_be_served() -> None:
    found = rig()
    assert (await found.call("GET", "/healthz")).status == 200
    assert (await found.call("HEAD", "/")).status == 200
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
