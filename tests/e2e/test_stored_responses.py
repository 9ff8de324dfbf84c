"""Responses that a provider keeps, through OpenAI's SDK: the one that knows the id answers, whoever that is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.support.inprocess import KEY, TOPOLOGIES, Running, records, running_suite
from tests.support.upstream import Seen, Step, responses_answer, running_upstream, whole

ITEMS = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
NOT_FOUND = {"error": {"message": "Response with id 'x' not found.", "type": "invalid_request_error", "code": None}}
ODD_ID = {"error": {"message": "Invalid 'response_id'.", "type": "invalid_request_error", "param": "response_id"}}


@dataclass
class Keepers:
    """Three providers at one address: `beta` keeps a response, what the others say is `says`."""

    seen: list[Seen] = field(default_factory=list)
    says: dict[str, Sequence[Step]] = field(default_factory=dict)

    def play(self, seen: Seen) -> Sequence[Step]:
        self.seen.append(seen)
        name = seen.path.split("/")[1]
        if name in self.says:
            return self.says[name]
        path = seen.path.partition("?")[0]
        if name != "beta" or "/resp_1" not in path:
            return [whole(404, NOT_FOUND)]
        if seen.method == "DELETE":
            return [whole(200, {"id": "resp_1", "object": "response", "deleted": True})]
        if path.endswith("/input_items"):
            return [whole(200, ITEMS)]
        status = "cancelled" if path.endswith("/cancel") else "failed"
        return [whole(200, responses_answer(id="resp_1", model="gpt-5", status=status, metadata={"mine": "1"}))]

    @property
    def asked(self) -> list[tuple[str, str]]:
        return [(seen.method, seen.path) for seen in self.seen]


@asynccontextmanager
async def keeping(folder: Path, topology: str = "fused") -> AsyncIterator[tuple[Running, Keepers, openai.AsyncOpenAI]]:
    kept = Keepers()
    async with running_upstream(kept.play) as up:
        forms: list[dict[str, Any]] = [
            {"kind": "Provider", "name": name, "type": kind, "base_url": f"{up.url}/{name}/v1"}
            for name, kind in (("alpha", "openai"), ("beta", "xai"), ("claude", "anthropic"), ("plain", "mistral"))
        ]
        forms.append({"kind": "Provider", "name": "named", "type": "openai_compatible", "base_url": f"{up.url}/named"})
        forms.append({"kind": "Model", "name": "named/m", "api": "responses"})
        forms = [{**form, "credentials": ["env:KEY"]} if form["kind"] == "Provider" else form for form in forms]
        async with (
            running_suite(folder, topology, *forms, environment={"KEY": "secret"}) as suite,
            openai.AsyncOpenAI(api_key=KEY, base_url=f"{suite.url}/v1", max_retries=0) as client,
        ):
            yield suite, kept, client


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_the_provider_that_knows_a_response_answers(tmp_path: Path, topology: str) -> None:
    async with keeping(tmp_path, topology) as (suite, kept, client):
        found = await client.responses.retrieve(
            "resp_1", include=["reasoning.encrypted_content", "code_interpreter_call.outputs"]
        )
        # It is passed on as it is, also when it tells of a failure.
        assert (found.id, found.status, found.model) == ("resp_1", "failed", "beta/gpt-5")
        assert found.metadata == {"mine": "1"}
        query = "?include%5B%5D=reasoning.encrypted_content&include%5B%5D=code_interpreter_call.outputs"
        assert kept.asked == [("GET", f"/{name}/v1/responses/resp_1{query}") for name in ("alpha", "beta")]
        assert [seen.headers["authorization"] for seen in kept.seen] == ["Bearer secret"] * 2
        kept.seen.clear()
        assert (await client.responses.cancel("resp_1")).status == "cancelled"
        items = await client.responses.input_items.list("resp_1", limit=2, order="asc")
        assert items.data == []
        await client.responses.delete("resp_1")
        assert kept.asked == [
            ("POST", "/alpha/v1/responses/resp_1/cancel"),
            ("POST", "/beta/v1/responses/resp_1/cancel"),
            ("GET", "/alpha/v1/responses/resp_1/input_items?limit=2&order=asc"),
            ("GET", "/beta/v1/responses/resp_1/input_items?limit=2&order=asc"),
            ("DELETE", "/alpha/v1/responses/resp_1"),
            ("DELETE", "/beta/v1/responses/resp_1"),
        ]
        told = records(suite)
    assert {r.api for r in told} == {"responses.stored"}
    assert [(a.provider, a.failure) for a in told[0].attempts] == [("alpha", "MODEL_MISSING"), ("beta", "")]


async def test_what_nobody_knows_is_a_404_and_each_provider_was_asked_once(tmp_path: Path) -> None:
    async with keeping(tmp_path) as (_, kept, client):
        kept.says["alpha"] = [whole(400, ODD_ID)]
        kept.says["named"] = [whole(403, {"error": {"message": "Missing scopes."}})]
        with pytest.raises(openai.NotFoundError) as missing:
            await client.responses.retrieve("other")
        assert [path.split("/")[1] for _, path in kept.asked] == ["alpha", "beta", "named"]
        # None of it is held against anybody: the next call asks them all again.
        with pytest.raises(openai.NotFoundError):
            await client.responses.delete("other")
        assert len(kept.seen) == 6
    assert missing.value.code == "response_not_found"
    assert isinstance(missing.value.body, dict)
    assert missing.value.body["type"] == "invalid_request_error"


async def test_another_answer_than_404_is_the_answer(tmp_path: Path) -> None:
    refusal = {"error": {"message": "Only background responses.", "type": "invalid_request_error", "code": "no"}}
    async with keeping(tmp_path) as (_, kept, client):
        kept.says["beta"] = [whole(400, refusal)]
        with pytest.raises(openai.BadRequestError, match="Only background responses") as refused:
            await client.responses.cancel("resp_1")
        assert refused.value.code == "no"
        assert len(kept.seen) == 2
        # Who cannot be asked may have it, so nobody says that it is not there.
        kept.says["beta"] = [whole(503, {"error": {"message": "down"}})]
        with pytest.raises(openai.InternalServerError):
            await client.responses.retrieve("resp_1")


async def test_what_cannot_be_asked_is_refused_by_its_name(tmp_path: Path) -> None:
    async with keeping(tmp_path) as (suite, kept, client):
        with pytest.raises(openai.BadRequestError, match="stream") as streamed:
            await client.responses.retrieve("resp_1", stream=True)
        assert streamed.value.param == "stream"
        odd = await suite.http.get("/v1/responses/..%3Fa")
        assert (odd.status_code, odd.json()["error"]["param"]) == (400, "response_id")
        bare = await suite.http.get("/v1/responses/resp_1", headers={"authorization": ""})
        assert bare.status_code == 401
        assert kept.seen == []
        told = (await suite.http.get("/v1/responses/resp_1?odd=1")).json()["turnout_metadata"]
        assert told["warnings"] == ["odd was dropped: it is not known here"]
        assert kept.asked[-1] == ("GET", "/beta/v1/responses/resp_1")


async def test_a_policy_without_such_a_provider_says_so(tmp_path: Path) -> None:
    form = {"kind": "Provider", "name": "claude", "type": "anthropic", "base_url": "http://127.0.0.1:9"}
    async with running_suite(tmp_path, "fused", form) as suite:
        answer = await suite.http.get("/v1/responses/resp_1")
    assert answer.status_code == 404
    assert "no provider of the policy speaks" in answer.json()["error"]["message"]


async def test_state_is_not_asked_for_elsewhere_while_its_keeper_is_set_aside(tmp_path: Path) -> None:
    def play(seen: Seen) -> Sequence[Step]:
        if seen.path.startswith("/alpha/"):
            return [whole(503, {"error": {"message": "down"}})]
        return [whole(200, responses_answer())]

    async with running_upstream(play) as up:
        forms: list[dict[str, Any]] = [
            {"kind": "Provider", "name": name, "type": "openai", "base_url": f"{up.url}/{name}/v1"}
            for name in ("alpha", "beta")
        ]
        forms[0]["breaker"] = {"consecutive_failures": 1, "open_for": "1h", "max_open_for": "1h"}
        async with running_suite(tmp_path, "fused", *forms) as suite:
            body: dict[str, Any] = {"model": "alpha/m", "models": ["beta/m"], "input": "Hi"}
            plain = await suite.http.post("/v1/responses", json=body)
            assert (plain.status_code, plain.json()["model"]) == (200, "beta/m")
            up.journal.clear()
            # Now alpha is set aside and beta is tried first; it would answer without the state.
            leaning = await suite.http.post("/v1/responses", json={**body, "previous_response_id": "resp_1"})
            assert leaning.status_code == 503
            assert [seen.path for seen in up.journal if seen.path.startswith("/beta/")] == []
            told = leaning.json()["turnout_metadata"]["attempts"]
            assert [(a["model"], a["error"]) for a in told[:1]] == [("beta/m", "UNSUPPORTED")]
