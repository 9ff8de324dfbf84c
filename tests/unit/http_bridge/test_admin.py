"""`/admin/v1` over a real control plane with a store in memory."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.http_bridge.fakes import Rig, json_of
from tests.unit.http_bridge.test_routers import ADMIN, READER, found

__all__ = ["found"]

BEST = {"kind": "Alias", "name": "best", "model": "openai/gpt-5"}


async def call(rig: Rig, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
    answer = await rig.call(method, f"/admin/v1{path}", body, **{"headers": ADMIN, **more})
    return answer.status, json_of(answer)


async def test_a_document_is_put_got_listed_and_deleted(found: Rig) -> None:
    status, made = await call(
        found, "PUT", "/resources/Alias/best", {"model": "openai/gpt-5"}, query={"message": "why"}
    )
    assert (status, made["name"], made["model"]) == (200, "best", "openai/gpt-5")
    got = await found.call("GET", "/admin/v1/resources/Alias/best", headers=READER)
    assert json_of(got) == made
    assert got.headers["etag"] == f'"{made["etag"]}"'
    _, listed = await call(found, "GET", "/resources", query={"kind": "Alias"})
    assert listed["resources"] == [made]
    stale = {**ADMIN, "if_match": "1"}
    assert (await call(found, "DELETE", "/resources/Alias/best", headers=stale))[0] == 409
    assert (await call(found, "DELETE", "/resources/Alias/best"))[0] == 200
    assert (await call(found, "GET", "/resources/Alias/best"))[0] == 404


async def test_a_name_with_slashes_is_a_name(found: Rig) -> None:
    status, made = await call(found, "PUT", "/resources/Model/openai/gpt-5", {"context_length": 5})
    assert (status, made["name"]) == (200, "openai/gpt-5")


async def test_sets_are_applied_whole_validated_and_rolled_back(found: Rig) -> None:
    _, first = await call(found, "POST", "/apply", {"resources": [BEST], "message": "begin"})
    assert [(c["name"], c["action"]) for c in first["changes"]] == [("Alias/best", "ACTION_CREATED")]
    worse = {**BEST, "model": "nobody/x"}
    assert (await call(found, "POST", "/apply", {"resources": [worse]}))[0] == 400
    _, told = await call(found, "POST", "/validate", [worse])
    assert told["valid"] is False
    assert "nothing in this policy serves" in told["problems"][0]["message"]
    text = b"kind: Alias\nname: best\nmodel: openai/gpt-6\n"
    yaml = {**ADMIN, "content_type": "application/yaml"}
    _, second = await call(found, "POST", "/apply", text, headers=yaml)
    assert second["changes"][0]["after"]["model"] == "openai/gpt-6"
    _, history = await call(found, "GET", "/revisions", query={"name": "Alias/best", "page_size": "1"})
    assert history["revisions"][0]["changes"] == [{"name": "Alias/best", "action": "ACTION_UPDATED"}]
    _, older = await call(found, "GET", "/revisions", query={"page_token": history["next_page_token"]})
    assert older["revisions"][0]["message"] == "begin"
    _, one = await call(found, "GET", f"/revisions/{first['revision']}")
    assert one["changes"][0]["after"]["model"] == "openai/gpt-5"
    back = {"revision": first["revision"], "names": ["Alias/best"], "message": "no"}
    assert (await call(found, "POST", "/rollback", back))[0] == 200
    assert (await call(found, "GET", "/resources/Alias/best"))[1]["model"] == "openai/gpt-5"


async def test_drafts_are_kept_published_and_thrown_away(found: Rig) -> None:
    _, saved = await call(found, "PUT", "/drafts/next", {"resources": [BEST], "message": "try"})
    assert saved["changes"][0]["name"] == "Alias/best"
    assert (await call(found, "GET", "/drafts"))[1]["drafts"][0]["name"] == "next"
    assert (await call(found, "GET", "/drafts/next"))[1]["resources"][0]["model"] == "openai/gpt-5"
    assert (await call(found, "POST", "/canary", {"draft": "next", "percent": 10}))[0] == 200
    assert (await call(found, "GET", "/canary"))[0] in {200, 404}, "the board follows in a moment"
    assert (await call(found, "DELETE", "/canary"))[1] == {"draft": "next"}
    assert (await call(found, "POST", "/drafts/next/publish"))[0] == 200
    assert (await call(found, "DELETE", "/drafts/next"))[0] == 404
    assert (await call(found, "GET", "/resources/Alias/best"))[0] == 200


async def test_a_request_is_simulated_and_nodes_are_listed(found: Rig) -> None:
    _, told = await call(found, "POST", "/simulate", {"model": "best", "resources": [BEST], "metadata": {"a": 1}})
    assert told["candidates"] == ["openai/gpt-5"]
    body = {"model": "openai/gpt-5", "messages": []}
    assert (await call(found, "POST", "/simulate", {"body": body}))[1]["candidates"] == ["openai/gpt-5"]
    assert (await call(found, "GET", "/nodes"))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/apply", {"resources": "x"}),
        ("POST", "/apply", "x"),
        ("POST", "/apply", {}),
        ("POST", "/apply", {"resources": [BEST], "dry_run": "yes"}),
        ("POST", "/apply", {"resources": [BEST], "delete": [1]}),
        ("POST", "/apply", {"resources": [BEST], "delete": ["best"]}),
        ("POST", "/apply", {"resources": [{**BEST, "nonsense": 1}]}),
        ("POST", "/apply", {"resources": [BEST], "message": 5}),
        ("POST", "/rollback", {"revision": "x"}),
        ("POST", "/simulate", {"model": "m", "seed": -1}),
        ("POST", "/simulate", {"model": "m", "metadata": ["language"]}),
        ("POST", "/simulate", {"model": "m", "delete": ["best"]}),
        ("POST", "/canary", {"draft": "d", "percent": "x"}),
        ("PUT", "/drafts/Bad%20Name", {"resources": [BEST]}),
        ("GET", "/revisions/x", None),
        ("PUT", "/resources/Nonsense/x", {}),
    ],
)
async def test_bad_input_is_a_400_that_says_what(found: Rig, method: str, path: str, body: Any) -> None:
    status, told = await call(found, method, path, body)
    assert status == 400, told
    assert told["message"]


async def test_writes_need_the_scope_admin(found: Rig) -> None:
    assert (await call(found, "PUT", "/resources/Alias/best", {"model": "openai/x"}, headers=READER))[0] == 403
    assert (await call(found, "POST", "/rollback", {"revision": 1}, headers=READER))[0] == 403
    assert (await call(found, "GET", "/revisions", headers={}))[0] == 401
