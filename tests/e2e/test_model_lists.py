"""The official clients list the models of a suite with many providers: hundreds out of the box, and quickly."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from openrouter import OpenRouter

from tests.support.inprocess import KEY, TOPOLOGIES, Running, running_suite

PROVIDERS = ("openai", "anthropic", "mistral", "groq", "openrouter", "xai", "deepseek", "together", "fireworks")


def forms() -> list[dict[str, Any]]:
    providers = [{"kind": "Provider", "name": name, "type": name} for name in PROVIDERS]
    return [*providers, {"kind": "Alias", "name": "best", "model": "openai/gpt-5"}]


@pytest.fixture(params=TOPOLOGIES)
async def suite(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Running]:
    async with running_suite(tmp_path, request.param, *forms()) as running:
        yield running


async def test_openais_client_lists_and_finds_models(suite: Running) -> None:
    async with openai.AsyncOpenAI(api_key=KEY, base_url=f"{suite.url}/v1", max_retries=0) as client:
        models = {model.id: model async for model in await client.models.list()}
        assert len(models) > 1_000
        assert {"openai/gpt-5", "anthropic/claude-sonnet-4-5", "best"} <= set(models)
        found = await client.models.retrieve("openai/gpt-5")
        assert (found.id, found.object, found.owned_by) == ("openai/gpt-5", "model", "openai")
        assert found.created > 1_700_000_000


async def test_openrouters_client_lists_models_counts_them_and_asks_who_serves_them(suite: Running) -> None:
    async with OpenRouter(api_key=KEY, server_url=f"{suite.url}/api/v1") as client:
        models: dict[str, Any] = {}
        page = await client.models.list_async()
        while page is not None:
            models |= {model.id: model for model in page.result.data}
            page = await page.next()
        gpt = models["openai/gpt-5"]
        assert (gpt.pricing.prompt, gpt.pricing.completion, gpt.pricing.input_cache_read) == (
            "0.00000125",
            "0.00001",
            "0.000000125",
        )
        assert gpt.architecture.input_modalities[:2] == ["text", "image"]
        assert "tools" in gpt.supported_parameters
        assert gpt.top_provider.max_completion_tokens == 128_000
        count = await client.models.count_async()
        assert count.data.count == len(models)
        served = await client.endpoints.list_async(author="openai", slug="gpt-5")
        assert [e.provider_name for e in served.data.endpoints] == ["openai", "openrouter"]


async def test_anthropics_client_pages_through_models(suite: Running) -> None:
    async with anthropic.AsyncAnthropic(api_key=KEY, base_url=suite.url, max_retries=0) as client:
        every = [model.id async for model in client.models.list(limit=500)]
        assert len(every) == len(set(every)) > 1_000
        found = await client.models.retrieve("claude-sonnet-4-5")
        assert found.id == "anthropic/claude-sonnet-4-5"
        assert found.max_tokens == 64_000
        assert found.created_at.year == 2025
        # A client that looks for models it can use keeps those that begin with its vendor's name.
        assert [name for name in every if name.startswith(("claude", "anthropic"))]


async def test_inworlds_list_names_providers_apart(suite: Running) -> None:
    models = (await suite.http.get("/llm/v1alpha/models")).json()["models"]
    found = next(m for m in models if (m["provider"], m["model"]) == ("openai", "gpt-5"))
    assert found["spec"]["capabilities"]["functionCalling"] is True
    assert found["pricing"]["prompt"] == 1.25e-6


async def test_a_changed_policy_is_listed_at_once_and_an_unchanged_one_costs_little(suite: Running) -> None:
    first = (await suite.http.get("/v1/models")).json()
    began = time.monotonic()
    for _ in range(20):
        assert (await suite.http.get("/v1/models")).status_code == 200
    assert (time.monotonic() - began) / 20 < 0.25, "a list that is rendered already is only sent"
    suite.put({"kind": "Provider", "name": "openai", "type": "openai"})
    second = (await suite.http.get("/v1/models")).json()
    assert 50 < len(second["data"]) < len(first["data"])
    assert {m["owned_by"] for m in second["data"]} == {"openai"}
