"""APIs that are not served: what their callers are told."""

from __future__ import annotations

import pytest

from tests.unit.http_bridge.fakes import json_of, rig


@pytest.mark.parametrize(
    ("method", "path", "instead"),
    [
        ("POST", "/v1/completions", "/v1/chat/completions"),
        ("POST", "/v1/rerank", "/v1/embeddings"),
        ("POST", "/v2/rerank", "/v1/embeddings"),
        ("POST", "/v1/images/variations", "/v1/images/edits"),
        ("POST", "/v1/batches", "one by one"),
        ("GET", "/v1/batches/batch_1", "one by one"),
        ("POST", "/v1/batches/batch_1/cancel", "one by one"),
        ("POST", "/v1/files", "base64"),
        ("GET", "/v1/files/file-1/content", "base64"),
        ("DELETE", "/v1/files/file-1", "base64"),
        ("GET", "/v1/realtime", "audio"),
        ("POST", "/v1/threads/t/messages", "/v1/responses"),
    ],
)
async def test_a_known_api_that_is_not_served_names_what_to_call(method: str, path: str, instead: str) -> None:
    answer = await rig().call(method, path, {"model": "m", "prompt": "hi"})
    error = json_of(answer)["error"]
    assert (answer.status, error["type"], error["param"]) == (404, "not_found_error", None)
    assert error["code"] == "unsupported_api"
    assert "not" in error["message"]
    assert instead in error["message"]


async def test_other_dialects_are_told_in_their_own_form() -> None:
    told = json_of(await rig().call("POST", "/v1/messages/batches", {}))
    assert (told["type"], told["error"]["type"]) == ("error", "not_found_error")
    assert "/v1/messages" in told["error"]["message"]
    told = json_of(await rig().call("POST", "/api/v1/completions", {}))
    assert (told["error"]["code"], told["error"]["metadata"]["code"]) == (404, "unsupported_api")


@pytest.mark.parametrize("path", ["/v1/nowhere", "/completions", "/v1", "/v1/", "/v3/files", "/v1/filesystem"])
async def test_what_nobody_knows_is_an_unknown_address(path: str) -> None:
    answer = await rig().call("POST", path, {})
    assert (answer.status, json_of(answer)["error"]["code"]) == (404, "unknown_url")


@pytest.mark.parametrize("path", ["/v1/images/generations", "/v1/messages", "/v1/chat/completions"])
async def test_what_is_served_says_what_it_takes(path: str) -> None:
    assert (await rig().call("GET", path)).status == 405
