"""An independent server (llm-katan) takes our addresses, keys and bodies for those of each provider's own clients.

It echoes what was asked in the provider's own form. Its streams of Bedrock are event streams of the web under Amazon's
content type, which no client of Amazon's could read, so Bedrock is asked for whole answers only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.asking import address, question
from tests.support.inprocess import Running, running_suite
from tests.support.katan_server import running_katan
from tests.support.streams import read_stream

pytestmark = pytest.mark.process

SECRETS = {"OPENAI": "sk-o", "ANTHROPIC": "sk-a", "AZURE": "az-k", "VERTEX": "ya29.v", "BEDROCK": "AKIDEXAMPLE"}
KEYS = {
    "openai": SECRETS["OPENAI"], "anthropic": SECRETS["ANTHROPIC"], "azure_openai": SECRETS["AZURE"],
    "vertexai": SECRETS["VERTEX"], "bedrock": SECRETS["BEDROCK"],
}  # fmt: skip
ENVIRONMENT = {**SECRETS, "SIGNED": "AKIDEXAMPLE:wJalrXUtnFEMI", "WRONG": "sk-wrong"}
CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
PLACE = "/v1/projects/p/locations/eu"
PROVIDERS: dict[str, tuple[str, str, str, str]] = {
    "openai": ("openai_compatible", "/v1", "OPENAI", "gpt-4o"),
    "anthropic": ("anthropic", "", "ANTHROPIC", "claude-sonnet-4-5"),
    "azure": ("azure_openai", "", "AZURE", "gpt-4o"),
    "azure-dated": ("azure_openai", "", "AZURE", "gpt-4o"),
    "vertex": ("vertex", PLACE, "VERTEX", "gemini-2.5-flash"),
    "bedrock": ("bedrock", "", "BEDROCK", CLAUDE),
    "bedrock-signed": ("bedrock", "", "SIGNED", CLAUDE),
}
"""Type, path of the address, credential and model of each provider."""
WHOLE_ONLY = {"bedrock", "bedrock-signed"}
APIS = ("chat.completions", "messages", "responses", "generateContent")
ASKED = "Say w\u00f6rld \U0001f642."


@pytest.fixture(scope="module")
def katan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_katan(tmp_path_factory.mktemp("katan"), KEYS) as url:
        yield url


def documents(url: str) -> list[dict[str, Any]]:
    found = []
    for name, (kind, path, secret, _) in PROVIDERS.items():
        labels = {"api_version": "2024-10-21"} if name == "azure-dated" else {}
        form = {"kind": "Provider", "name": name, "type": kind, "base_url": f"{url}{path}", "labels": labels}
        found += [
            {**form, "credentials": [f"env:{secret}"]},
            {**form, "name": f"{name}-wrong", "credentials": ["env:WRONG"]},
        ]
    # What is called by chat completions here answers Responses callers too, by translation.
    azure = [
        {"kind": "Model", "name": f"{name}/gpt-4o", "api": "chat.completions"} for name in ("azure", "azure-dated")
    ]
    return [*found, *azure, {"kind": "Settings", "name": "default", "retry": {"max_attempts": 1}}]


async def ask(suite: Running, api: str, model: str, *, stream: bool, tools: bool = False) -> str:
    """The answer as its caller has it; checked to be whole."""
    more = {**({"stream": True} if stream else {}), **({"tools": TOOLS[api]} if tools else {})}
    answer = await suite.http.post(address(api, model, stream=stream), json=question(api, model, ASKED, **more))
    assert answer.status_code == 200, answer.text
    if stream:
        found = read_stream("chat" if api == "chat.completions" else api, answer.text)
        assert found.whole
        return found.text
    return json.dumps(answer.json(), ensure_ascii=False)


PLACES: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS: dict[str, Any] = {
    "chat.completions": [{"type": "function", "function": {"name": "look", "parameters": PLACES}}],
    "messages": [{"name": "look", "input_schema": PLACES}],
    "responses": [{"type": "function", "name": "look", "parameters": PLACES}],
    "generateContent": [{"functionDeclarations": [{"name": "look", "parameters": PLACES}]}],
}


@pytest.mark.parametrize("name", PROVIDERS)
async def test_every_api_has_its_answer_from_the_referee(tmp_path: Path, katan: str, name: str) -> None:
    model = f"{name}/{PROVIDERS[name][3]}"
    async with running_suite(tmp_path, "fused", *documents(katan), environment=ENVIRONMENT) as suite:
        for api in APIS:
            assert ASKED in await ask(suite, api, model, stream=False)
            called = await ask(suite, api, model, stream=False, tools=True)
            assert "look" in called
            # It makes arguments by the schema, but knows only the older one of Google's two fields for it.
            assert "test_city" in called or name == "vertex"
            if name not in WHOLE_ONLY:
                assert ASKED in await ask(suite, api, model, stream=True)


@pytest.mark.parametrize("name", PROVIDERS)
async def test_a_key_that_the_referee_does_not_know_is_a_rejected_credential(
    tmp_path: Path, katan: str, name: str
) -> None:
    model = f"{name}-wrong/{PROVIDERS[name][3]}"
    async with running_suite(tmp_path, "fused", *documents(katan), environment=ENVIRONMENT) as suite:
        answer = await suite.http.post("/v1/chat/completions", json=question("chat.completions", model, ASKED))
    assert answer.status_code == 502, answer.text
    assert answer.json()["metadata"]["attempts"][0]["error"] == "CREDENTIALS_REJECTED"
    assert "sk-wrong" not in answer.text, "the referee's message quotes the key"
