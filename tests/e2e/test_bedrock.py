"""A worker in front of Bedrock: signatures that Amazon's own library accepts, streams, and keys that are renewed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from botocore.config import Config
from botocore.session import Session

from services.dataplane.token_sources import source_of
from tests.e2e.test_failover import PATHS, request_body
from tests.support.converse_server import REQUEST_ID, Converse
from tests.support.inprocess import KEY, TOPOLOGIES, Running, eventually, records, running_suite
from tests.support.token_servers import running_token_server, service_account
from tests.support.upstream import Upstream, running_upstream

KEYS = "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SESSION = "ASIDEXAMPLE:c2VjcmV0/+:IQoJb3JpZ2luX2VjE//////=="
API_KEY = "ABSKQmVkcm9ja0FQSUtleS1leGFtcGxl"
MODELS = (
    "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
    "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-3-7-sonnet-20250219-v1:0",
)


@asynccontextmanager
async def bedrock(
    folder: Path, topology: str, *references: str, **environment: str
) -> AsyncIterator[tuple[Running, Converse, Upstream]]:
    """A suite whose only provider is a fake Converse that knows all credentials of this file."""
    found: Converse | None = None

    def choose(seen: Any) -> Any:
        assert found is not None
        return found.answer(seen)

    async with running_upstream(choose) as upstream:
        found = Converse(lambda: upstream.url, (KEYS, SESSION, API_KEY))
        provider = {
            "kind": "Provider",
            "name": "aws",
            "type": "bedrock",
            "base_url": upstream.url,
            "credentials": list(references),
            "labels": {"region": "eu-central-1"},
        }
        models = [
            {"kind": "Model", "name": f"aws/m{number}", "upstream_model": model} for number, model in enumerate(MODELS)
        ]
        async with running_suite(folder, topology, provider, *models, environment=environment) as suite:
            yield suite, found, upstream


@pytest.mark.parametrize("model", MODELS)
async def test_the_fake_service_is_a_real_one_to_botocores_own_client(model: str) -> None:
    converse: Converse | None = None
    async with running_upstream(lambda seen: converse.answer(seen) if converse is not None else []) as upstream:
        converse = Converse(lambda: upstream.url, (SESSION,))
        whole, events = await asyncio.to_thread(_by_botocore, upstream.url, model)
    assert whole == "Hello there"
    assert [next(iter(event)) for event in events] == [
        "messageStart", *["contentBlockDelta"] * 3, "contentBlockStop", "messageStop", "metadata",
    ]  # fmt: skip
    assert len(converse.bodies) == 2


def _by_botocore(url: str, model: str) -> tuple[str, list[Any]]:
    session = Session()
    session.set_credentials(*SESSION.split(":"))
    config = Config(retries={"max_attempts": 0}, proxies={})
    client = session.create_client("bedrock-runtime", "eu-central-1", endpoint_url=url, config=config)
    asked = {"modelId": model, "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    whole = client.converse(**asked)["output"]["message"]["content"][0]["text"]
    events = list(client.converse_stream(**asked)["stream"])
    client.close()
    return whole, events


@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", ["chat", "messages"])
@pytest.mark.parametrize("credential", [KEYS, SESSION, API_KEY], ids=["keys", "session", "api-key"])
async def test_callers_of_either_dialect_are_served_over_converse(
    tmp_path: Path, topology: str, api: str, credential: str, *, stream: bool
) -> None:
    async with bedrock(tmp_path, topology, "env:AWS", AWS=credential) as (suite, converse, upstream):
        for number in range(len(MODELS)):
            answer = await suite.http.post(PATHS[api], json=request_body(api, stream=stream, model=f"aws/m{number}"))
            assert answer.status_code == 200, answer.text
            assert REQUEST_ID in answer.text
        assert len(converse.bodies) == len(MODELS)
        assert [seen.path.rpartition("/")[2] for seen in upstream.journal] == [
            "converse-stream" if stream else "converse"
        ] * len(MODELS)
        assert "%2F" in upstream.journal[1].path
        if credential is not API_KEY:
            assert "/eu-central-1/bedrock/aws4_request" in upstream.journal[0].headers["authorization"]


@pytest.mark.parametrize("topology", TOPOLOGIES)
async def test_the_official_clients_read_streams_that_came_as_event_streams(tmp_path: Path, topology: str) -> None:
    async with bedrock(tmp_path, topology, "env:AWS", AWS=KEYS) as (suite, _, _):
        chat = openai.AsyncOpenAI(base_url=f"{suite.url}/v1", api_key=KEY)
        stream = await chat.chat.completions.create(
            model="aws/m0",
            messages=[{"role": "user", "content": "Hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hello there"
        assert {chunk.id for chunk in chunks} == {REQUEST_ID}
        assert chunks[-1].usage is not None
        assert chunks[-1].usage.prompt_tokens == 9
        messages = anthropic.AsyncAnthropic(base_url=suite.url, api_key=KEY)
        async with messages.messages.stream(
            model="aws/m1", max_tokens=50, messages=[{"role": "user", "content": "Hi"}]
        ) as events:
            message = await events.get_final_message()
        assert message.content[0].text == "Hello there"  # type: ignore[union-attr]
        assert message.stop_reason == "end_turn"
        await chat.close()
        await messages.close()


async def test_a_secret_that_amazon_quotes_shows_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wrong = "AKIDEXAMPLE:not-the-secret-at-all:not-the-token-either"
    async with bedrock(tmp_path, "grpc", "env:AWS", AWS=wrong) as (suite, _, _):
        answer = await suite.http.post(PATHS["chat"], json=request_body("chat", stream=False, model="aws/m0"))
        assert answer.status_code == 502
        (record,) = records(suite)
        shown = answer.text + str(record) + caplog.text
    assert record.attempts[0].failure == "CREDENTIALS_REJECTED"
    for part in wrong.split(":")[1:]:
        assert part not in shown


async def test_amazons_own_chain_gives_the_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    access, secret, token = SESSION.split(":")
    path = tmp_path / "credentials"
    path.write_text(
        f"[prod]\naws_access_key_id = {access}\naws_secret_access_key = {secret}\naws_session_token = {token}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    async with bedrock(tmp_path, "fused", "aws:profile/prod") as (suite, _, upstream):
        # The very first request may come before the library has read the file.
        answer = await suite.http.post(PATHS["chat"], json=request_body("chat", stream=False, model="aws/m0"))
        assert answer.status_code == 200, answer.text
        assert upstream.journal[0].headers["x-amz-security-token"] == token


async def test_a_credential_that_cannot_be_made_is_told_and_shown_in_health(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    async with bedrock(tmp_path, "grpc", "aws:profile/absent") as (suite, _, upstream):
        answer = await suite.http.post(PATHS["chat"], json=request_body("chat", stream=False, model="aws/m0"))
        assert answer.status_code == 503, answer.text
        (record,) = records(suite)
        assert record.attempts[0].failure == "CREDENTIAL_MISSING"
        assert "Amazon's chain failed (ProfileNotFound)" in answer.json()["error"]["message"]
        health = await suite.http.get("/admin/v1/health")
        (target,) = health.json()["targets"]
        assert (target["name"], target["set_aside"]) == ("aws#aws:profile/absent", True)
        assert target["workers"][0]["why"] == "CREDENTIAL_MISSING"
        assert not upstream.journal


async def test_a_policy_that_names_a_token_has_it_before_the_first_request(tmp_path: Path) -> None:
    with running_token_server() as server:
        reference = f"google:file:{service_account(tmp_path, server.url)}"
        assert source_of(reference) is not None
        async with bedrock(tmp_path, "fused", reference) as (suite, _, upstream):
            credentials = suite.worker.credentials
            await eventually(lambda: credentials.secret(reference) == "token-1")
            await suite.http.post(PATHS["chat"], json=request_body("chat", stream=False, model="aws/m0"))
            # Any secret that is no pair of keys goes out as it is: so do tokens of other clouds.
            assert upstream.journal[0].headers["authorization"] == "Bearer token-1"
            assert len(server.asked) == 1
