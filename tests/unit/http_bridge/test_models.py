"""The lists of models, in every client's shape, by page and by what is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from turnout.inference.v1.inference_service_pb2 import ModelInfo

from services.core.errors import Unauthenticated
from services.http_bridge.http import Response
from tests.unit.http_bridge.fakes import Rig, json_of, rig

GPT = ModelInfo(
    id="openai/gpt-5",
    owned_by="openai",
    display_name="GPT-5",
    kind="chat",
    created_at=Timestamp(seconds=1_754_524_800),
    context_length=400_000,
    max_output_tokens=128_000,
    input_modalities=["text", "image"],
    output_modalities=["text"],
    supported_parameters=["max_tokens", "tools", "tool_choice", "reasoning"],
    pricing={"prompt": 1.25e-6, "completion": 1e-5, "input_cache_read": 1.25e-7, "web_search": 0.01},
    capabilities={"tools": True, "vision": True, "reasoning": True, "audio": False},
    upstream_model="gpt-5",
)
GATEWAY = ModelInfo(
    id="openrouter/openai/gpt-5",
    owned_by="openrouter",
    display_name="GPT-5",
    kind="chat",
    upstream_model="openai/gpt-5",
)
AZURE = ModelInfo(id="azure/gpt-5", owned_by="azure", display_name="GPT-5", kind="chat", upstream_model="gpt-5")
OLD = ModelInfo(
    id="anthropic/claude-2",
    owned_by="anthropic",
    display_name="Claude 2",
    kind="chat",
    upstream_model="claude-2",
    deprecated=True,
)
EMBEDDING = ModelInfo(id="openai/e", owned_by="openai", display_name="E", output_modalities=["embeddings"])
ROUTER = ModelInfo(id="inworld/r", owned_by="router", display_name="R", kind="router")
ALIAS = ModelInfo(id="best", owned_by="alias", display_name="best → openai/gpt-5", kind="alias", upstream_model="x")
ALL = [OLD, AZURE, ALIAS, ROUTER, EMBEDDING, GPT, GATEWAY]
ANTHROPIC = {"anthropic_version": "2023-06-01"}


def listing(*models: ModelInfo) -> Rig:
    found = rig()
    found.backend.models = list(models)
    return found


async def ids(found: Rig, **query: str) -> list[str]:
    return [m["id"] for m in json_of(await found.call("GET", "/v1/models", query=query))["data"]]


async def test_a_model_is_shown_as_openai_and_openrouter_clients_read_it() -> None:
    found = listing(GPT)
    body = json_of(await found.call("GET", "/v1/models"))
    assert body == json_of(await found.call("GET", "/api/v1/models"))
    assert (body["object"], body["total_count"]) == ("list", 1)
    assert body["data"] == [
        {
            "id": "openai/gpt-5",
            "object": "model",
            "created": 1_754_524_800,
            "owned_by": "openai",
            "canonical_slug": "openai/gpt-5",
            "name": "GPT-5",
            "description": "GPT-5, served by openai.",
            "context_length": 400_000,
            "architecture": {
                "modality": "text+image->text",
                "input_modalities": ["text", "image"],
                "output_modalities": ["text"],
                "tokenizer": "GPT",
                "instruct_type": None,
            },
            "pricing": {
                "prompt": "0.00000125",
                "completion": "0.00001",
                "input_cache_read": "0.000000125",
                "web_search": "0.01",
            },
            "top_provider": {"context_length": 400_000, "max_completion_tokens": 128_000, "is_moderated": False},
            "per_request_limits": None,
            "supported_parameters": ["max_tokens", "tools", "tool_choice", "reasoning"],
            "default_parameters": None,
            "supported_voices": None,
            "links": {"details": "/api/v1/models/openai/gpt-5/endpoints"},
        }
    ]


async def test_what_is_not_known_of_routers_and_aliases_has_a_form_that_clients_read() -> None:
    router, alias = json_of(await listing(ROUTER, ALIAS).call("GET", "/v1/models"))["data"]
    assert router["pricing"] == alias["pricing"] == {"prompt": "-1", "completion": "-1"}
    assert (router["context_length"], router["architecture"]["modality"]) == (None, "text->text")
    assert router["architecture"]["tokenizer"] == "Router"
    assert router["description"].startswith("The router R")
    assert alias["description"] == "Another name of x."


async def test_a_price_of_nothing_is_nought() -> None:
    free = ModelInfo(id="free/m", pricing={"prompt": 0.0, "completion": 0.0})
    (shown,) = json_of(await listing(free).call("GET", "/v1/models"))["data"]
    assert shown["pricing"] == {"prompt": "0", "completion": "0"}


async def test_a_model_is_shown_as_anthropics_clients_read_it() -> None:
    body = json_of(await listing(OLD, GPT).call("GET", "/v1/models", headers=ANTHROPIC))
    assert (body["first_id"], body["last_id"], body["has_more"]) == ("anthropic/claude-2", "openai/gpt-5", False)
    assert body["data"] == [
        {
            "type": "model",
            "id": "anthropic/claude-2",
            "display_name": "Claude 2",
            "created_at": "1970-01-01T00:00:00Z",
            "max_input_tokens": None,
            "max_tokens": None,
            "lifecycle": "deprecated",
        },
        {
            "type": "model",
            "id": "openai/gpt-5",
            "display_name": "GPT-5",
            "created_at": "2025-08-07T00:00:00Z",
            "max_input_tokens": 400_000,
            "max_tokens": 128_000,
            "lifecycle": "active",
        },
    ]
    empty = json_of(await listing().call("GET", "/v1/models", headers=ANTHROPIC))
    assert (empty["data"], empty["first_id"], empty["has_more"]) == ([], None, False)


@pytest.mark.parametrize(
    ("query", "shown", "more"),
    [
        ({"limit": "3"}, ["anthropic/claude-2", "azure/gpt-5", "best"], True),
        ({"limit": "3", "after_id": "best"}, ["inworld/r", "openai/e", "openai/gpt-5"], True),
        ({"limit": "3", "after_id": "openai/gpt-5"}, ["openrouter/openai/gpt-5"], False),
        ({"limit": "2", "before_id": "best"}, ["anthropic/claude-2", "azure/gpt-5"], False),
        ({"limit": "1", "before_id": "best"}, ["azure/gpt-5"], True),
        ({"limit": "1000"}, [m.id for m in ALL], False),
        ({"after_id": "nobody"}, [m.id for m in ALL], False),
        ({"limit": "some"}, [m.id for m in ALL], False),
        ({"after_id": "openrouter/openai/gpt-5"}, [], False),
    ],
)
async def test_anthropics_pages_go_both_ways(query: dict[str, str], shown: list[str], *, more: bool) -> None:
    body = json_of(await listing(*ALL).call("GET", "/v1/models", query=query, headers=ANTHROPIC))
    assert ([m["id"] for m in body["data"]], body["has_more"]) == (shown, more)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({"supported_parameters": "tools,reasoning"}, ["openai/gpt-5"]),
        ({"supported_parameters": "tools,seed"}, []),
        ({"output_modalities": "embeddings"}, ["openai/e"]),
        ({"output_modalities": "all"}, [m.id for m in ALL]),
        ({"input_modalities": "image"}, ["openai/gpt-5"]),
        ({"q": "CLAUDE"}, ["anthropic/claude-2"]),
        ({"provider": "openai"}, ["openai/e", "openai/gpt-5"]),
        ({"providers": "azure,anthropic"}, ["anthropic/claude-2", "azure/gpt-5"]),
        ({"context": "200000"}, ["openai/gpt-5"]),
        ({"offset": "5", "limit": "1"}, ["openai/gpt-5"]),
        ({"limit": "0"}, [m.id for m in ALL]),
        ({"offset": "-1"}, [m.id for m in ALL]),
    ],
)
async def test_a_query_lets_through_what_it_asks_for(query: dict[str, str], shown: list[str]) -> None:
    assert await ids(listing(*ALL), **query) == shown


async def test_inworlds_list_has_its_own_shape() -> None:
    gpt, gateway, router = json_of(await listing(GPT, GATEWAY, ROUTER).call("GET", "/llm/v1alpha/models"))["models"]
    assert gpt == {
        "model": "gpt-5",
        "provider": "openai",
        "modelCreator": "openai",
        "pricing": {"prompt": 1.25e-6, "completion": 1e-5, "promptToken": 1.25e-6, "completionToken": 1e-5},
        "spec": {
            "inputModalities": ["text", "image"],
            "outputModalities": ["text"],
            "contextLength": 400_000,
            "maxCompletionTokens": 128_000,
            "supportedParameters": ["max_tokens", "tools", "tool_choice", "reasoning"],
            "capabilities": {
                "functionCalling": True,
                "vision": True,
                "responseSchema": False,
                "webSearch": False,
                "reasoning": True,
                "promptCaching": True,
                "reasoningCapability": {
                    "supportedLevels": ["EFFORT_MINIMAL", "EFFORT_LOW", "EFFORT_MEDIUM", "EFFORT_HIGH"]
                },
            },
        },
        "isSupported": True,
    }
    assert (gateway["model"], gateway["modelCreator"], gateway["pricing"]) == ("openai/gpt-5", "openai", {})
    assert (router["model"], router["provider"]) == ("inworld/r", "router")


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/v1/models/openai/gpt-5", "openai/gpt-5"),
        ("/api/v1/models/openai/gpt-5", "openai/gpt-5"),
        ("/v1/models/best", "best"),
        # Without a provider it is the vendor's own, or whoever has it.
        ("/v1/models/gpt-5", "openai/gpt-5"),
        ("/v1/models/claude-2", "anthropic/claude-2"),
        ("/v1/models/openrouter/openai/gpt-5", "openrouter/openai/gpt-5"),
    ],
)
async def test_one_model_is_found_by_its_name(path: str, found: str) -> None:
    assert json_of(await listing(*ALL).call("GET", path))["id"] == found
    assert json_of(await listing(*ALL).call("GET", path, headers=ANTHROPIC))["type"] == "model"


@pytest.mark.parametrize("path", ["/v1/models/openai/gpt-6", "/v1/models/count", "/api/v1/models/nobody/endpoints"])
async def test_a_model_that_is_not_there_is_not_found(path: str) -> None:
    missing = await listing(*ALL).call("GET", path)
    assert missing.status == 404
    # OpenRouter's clients read a number there.
    assert json_of(missing)["error"]["code"] == (404 if path.startswith("/api/") else "model_not_found")


async def test_openrouters_other_lists() -> None:
    found = listing(*ALL)
    assert json_of(await found.call("GET", "/api/v1/models/count")) == {"data": {"count": 7}}
    counted = await found.call("GET", "/api/v1/models/count", query={"output_modalities": "embeddings"})
    assert json_of(counted) == {"data": {"count": 1}}
    assert len(json_of(await found.call("GET", "/api/v1/models/user"))["data"]) == 7
    body: Any = json_of(await found.call("GET", "/api/v1/models/openai/gpt-5/endpoints"))["data"]
    assert (body["id"], body["architecture"]["tokenizer"]) == ("openai/gpt-5", "GPT")
    serving = [(e["provider_name"], e["model_id"]) for e in body["endpoints"]]
    assert serving == [
        ("openai", "openai/gpt-5"),
        ("azure", "azure/gpt-5"),
        ("openrouter", "openrouter/openai/gpt-5"),
    ]
    assert body["endpoints"][0]["supports_tool_choice"]["auto"] is True


async def test_a_list_that_has_not_changed_is_neither_sent_nor_rendered_again() -> None:
    found = listing(GPT)
    found.backend.models_version = "1"
    first = await found.call("GET", "/v1/models")
    again = await found.call("GET", "/v1/models")
    assert isinstance(first, Response)
    assert isinstance(again, Response)
    assert again.body is first.body
    assert found.backend.known_versions == ["", "1"]
    found.backend.models, found.backend.models_version = [OLD], "2"
    assert await ids(found) == ["anthropic/claude-2"]
    assert await ids(found) == ["anthropic/claude-2"]
    found.backend.models, found.backend.models_version = [GPT], ""
    assert await ids(found) == ["openai/gpt-5"], "a list without a version is never kept"
    found.backend.models = [OLD]
    assert await ids(found) == ["anthropic/claude-2"]


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/x", "/llm/v1alpha/models", "/api/v1/models/a/b/endpoints"])
async def test_models_are_for_keys_that_may_see_them(path: str) -> None:
    found = rig()
    found.backend.error = Unauthenticated("no key")
    assert (await found.call("GET", path)).status == 401
